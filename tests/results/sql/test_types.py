"""Every type of DuckDB, from a query to files: exact, or text."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tui_lab.results.export.output import WRITERS, Format
from tui_lab.results.sql.database import query
from tui_lab.store.lab import Lab

HUGE = 2**127 - 1


def alike(expression: str, text: str) -> tuple[str, str, Any]:
    """A case whose value in JSON is its text in CSV."""
    return expression, text, text


# An expression, its text in CSV, and its value in JSON.
CASES: list[tuple[str, str, Any]] = [
    ("(-128)::TINYINT", "-128", -128),
    ("255::UTINYINT", "255", 255),
    ("(-32768)::SMALLINT", "-32768", -32768),
    ("65535::USMALLINT", "65535", 65535),
    ("(-2147483648)::INTEGER", "-2147483648", -(2**31)),
    ("4294967295::UINTEGER", "4294967295", 2**32 - 1),
    ("9223372036854775807::BIGINT", "9223372036854775807", 2**63 - 1),
    ("18446744073709551615::UBIGINT", "18446744073709551615", 2**64 - 1),
    ("7::HUGEINT", "7", 7),
    ("99999999999999999999999999999999999999::HUGEINT", "9" * 38, 10**38 - 1),
    (f"{HUGE}::HUGEINT", str(HUGE), str(HUGE)),
    (f"(-{HUGE + 1})::HUGEINT", str(-HUGE - 1), str(-HUGE - 1)),
    (f"{2**128 - 1}::UHUGEINT", str(2**128 - 1), str(2**128 - 1)),
    ("18446744073709551616::UHUGEINT", str(2**64), 2**64),
    alike("'123456789012345678901234567890123456789012345'::BIGNUM", "123456789012345678901234567890123456789012345"),
    ("0.1::FLOAT", "0.1", 0.10000000149011612),
    ("0.1::DOUBLE", "0.1", 0.1),
    ("'nan'::DOUBLE", "NaN", None),
    ("1.50::DECIMAL(4,2)", "1.50", Decimal("1.50")),
    alike("1234567890123456789012345678.0123456789::DECIMAL(38,10)", "1234567890123456789012345678.0123456789"),
    alike("12345678901234567890123456789012345678::DECIMAL(38,0)", "12345678901234567890123456789012345678"),
    ("INTERVAL '90 seconds'", "90.0", 90.0),
    ("INTERVAL '-1 day'", "-86400.0", -86400.0),
    alike("INTERVAL '14 months 3 days 4 hours'", "P1Y2M3DT4H"),
    alike("to_days(2147483647)", "P2147483647D"),
    ("true", "true", True),
    alike("DATE '2024-01-02'", "2024-01-02"),
    alike("'infinity'::DATE", "infinity"),
    alike("'0044-03-15 (BC)'::DATE", "0044-03-15 (BC)"),
    alike("'12024-03-15'::DATE", "12024-03-15"),
    alike("TIME '23:59:59.123456'", "23:59:59.123456"),
    alike("TIME '01:02:03'", "01:02:03"),
    alike("'23:59:59.123456789'::TIME_NS", "23:59:59.123456789"),
    alike("'12:13:14.5+05:30'::TIMETZ", "12:13:14.5+05:30"),
    alike("'2024-01-02 03:04:05'::TIMESTAMP_S", "2024-01-02T03:04:05"),
    alike("'2024-01-02 03:04:05.006'::TIMESTAMP_MS", "2024-01-02T03:04:05.006"),
    alike("'2024-01-02 03:04:05.000006'::TIMESTAMP", "2024-01-02T03:04:05.000006"),
    alike("'2024-01-02 03:04:05.000000007'::TIMESTAMP_NS", "2024-01-02T03:04:05.000000007"),
    alike("'2024-01-02 03:04:05.5+02'::TIMESTAMPTZ", "2024-01-02T01:04:05.500Z"),
    alike("'-infinity'::TIMESTAMP", "-infinity"),
    alike("'290000-01-01'::TIMESTAMP", "290000-01-01 00:00:00"),
    alike("'00112233-4455-6677-8899-aabbccddeeff'::UUID", "00112233-4455-6677-8899-aabbccddeeff"),
    alike(r"'\xAA\x00b'::BLOB", "aa0062"),
    alike("'0010110'::BIT", "0010110"),
    alike("'b'::ENUM('a', 'b')", "b"),
    alike("'=1,\"x'", '=1,"x'),
    ("NULL", "", None),
    ("[1, 2, NULL]", "[1,2,null]", [1, 2, None]),
    ("[]", "[]", []),
    ("[1, 2]::INTEGER[2]", "[1,2]", [1, 2]),
    ("{'a': 1, 'b': 'x'}", '{"a":1,"b":"x"}', {"a": 1, "b": "x"}),
    ("MAP {'k': 1}", '{"k":1}', {"k": 1}),
    ("MAP {1: [2]}", '{"1":[2]}', {"1": [2]}),
    alike("union_value(n := 1)", "1"),
    alike("""'{"a": 1.50}'::JSON""", '{"a": 1.50}'),
    ("{'a': 7::HUGEINT, 'b': 'x'}", '{"a":7,"b":"x"}', {"a": 7, "b": "x"}),
    (
        f"{{'a': {10**38 - 1}::HUGEINT, 'n': 'nan'::DOUBLE}}",
        f'{{"a":{10**38 - 1},"n":null}}',
        {"a": 10**38 - 1, "n": None},
    ),
    (f"[{2**64}::HUGEINT, NULL]", f"[{2**64},null]", [2**64, None]),
    (f"[{HUGE}::HUGEINT, 1]", f'["{HUGE}","1"]', [str(HUGE), "1"]),
    (f"[{2**63}::HUGEINT, 1]::HUGEINT[2]", f"[{2**63},1]", [2**63, 1]),
    (f"[{{'a b': {2**63}::UHUGEINT}}]", f'[{{"a b":{2**63}}}]', [{"a b": 2**63}]),
    (f"MAP {{{2**70}::HUGEINT: {2**71}::UHUGEINT}}", f'{{"{2**70}":{2**71}}}', {str(2**70): 2**71}),
    (f"{{'a': {2**90}::BIGNUM}}", f'{{"a":{2**90}}}', {"a": 2**90}),
    ("row((-1)::HUGEINT, 'x')", '{"element1":-1,"element2":"x"}', {"element1": -1, "element2": "x"}),
    ("MAP {1.50: [5::DECIMAL(20, 0)]}", '{"1.50":[5]}', {"1.50": [5]}),
    alike("row(INTERVAL '1 month', 2)", "(1 month, 2)"),
    ("[1.50::DECIMAL(20, 2)]", '["1.50"]', ["1.50"]),
    alike("{'a': 1.5::DECIMAL(38, 10), 'b': INTERVAL '1 day'}", "{'a': 1.5000000000, 'b': 1 day}"),
    alike("MAP {'k': 'infinity'::DATE}", "{k=infinity}"),
    alike("['2024-01-02 03:04:05.000000007'::TIMESTAMP_NS]", "['2024-01-02 03:04:05.000000007']"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.create(tmp_path_factory.mktemp("types") / "lab")


def written(frame: pl.DataFrame, format: Format) -> bytes:
    buffer = io.BytesIO()
    WRITERS[format](frame, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("expression", "text", "value"), CASES, ids=[case[0] for case in CASES])
def test_a_type_is_exact_in_every_format(lab: Lab, expression: str, text: str, value: Any) -> None:
    frame = query(lab, f"SELECT {expression} AS x, 1 AS x FROM range(2)")
    rows = list(csv.reader(io.StringIO(written(frame, "csv").decode())))
    assert rows == [["x", "x_1"], [text, "1"], [text, "1"]]

    lines = written(frame, "jsonl").splitlines()
    assert written(frame, "json") == b"[\n" + b",\n".join(lines) + b"\n]\n"
    # A number has all its digits there, also where a float would not.
    found = json.loads(lines[0], parse_float=float if isinstance(value, float) else str)["x"]
    assert str(found) == str(value)
    assert written(frame, "table") and written(frame, "markdown")


@pytest.mark.parametrize("expression", [case[0] for case in CASES])
def test_parquet_holds_what_the_answer_has(lab: Lab, expression: str, tmp_path: Path) -> None:
    frame = query(lab, f"SELECT {expression} AS x")
    file = tmp_path / "x.parquet"
    file.write_bytes(written(frame, "parquet"))
    assert written(pl.read_parquet(file), "csv") == written(frame, "csv")
