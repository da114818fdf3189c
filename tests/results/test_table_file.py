"""Tables that other programs wrote."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tui_lab.results.table_file import TableFileError, read_table


def test_parquet_with_intervals_decimals_and_huge_numbers(tmp_path: Path) -> None:
    """Below a folder whose name would be a pattern."""
    path = tmp_path / "a=1[x]" / "x.parquet"
    path.parent.mkdir()
    duckdb.sql(
        "COPY (SELECT to_seconds(i) AS t, interval '1 month' AS m, i::DECIMAL(10, 3) AS d, i::HUGEINT AS h "
        f"FROM range(3) AS r(i)) TO '{path}'"
    )
    table = read_table(path)
    assert table["t"].to_list() == [timedelta(seconds=i) for i in range(3)]
    assert table["m"].to_list() == ["P1M"] * 3
    assert table["d"].to_list() == [Decimal(i) for i in range(3)]
    assert table["h"].to_list() == [0, 1, 2]
    assert table.columns == ["t", "m", "d", "h"], "the folder's name is no column"


def test_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(TableFileError, match="can't be read"):
        read_table(path)
