"""Tables that other programs wrote."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tui_lab.results.sql.table_file import TableFileError, read_table


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


def test_a_file_as_excel_writes_it_where_commas_are_decimal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffx;acc;who\n1;0,5;a,b\n2;nan;c\n3;1,25e-3;d\n".encode())
    table = read_table(path)
    assert table.columns == ["x", "acc", "who"]
    assert table["acc"].to_list()[0::2] == [0.5, 0.00125] and math.isnan(table["acc"][1])
    assert table["who"].to_list() == ["a,b", "c", "d"]


def test_commas_between_tabs_or_commas_are_no_decimals(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,v\n1,"0,5"\n')
    assert read_table(path)["v"].to_list() == ["0,5"]
    path.write_text("x\tv\n1\t0.5\n")
    assert read_table(path)["v"].to_list() == [0.5]
