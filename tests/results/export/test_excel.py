"""Excel files, and CSV that Excel reads."""

from __future__ import annotations

import datetime
import re
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from tui_lab.results.export import excel
from tui_lab.results.export.output import OutputError, write

NAMES = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
WHEN = datetime.datetime(2024, 1, 2, 3, 4, 5, 250_000)


@pytest.fixture
def needs_writer() -> None:
    pytest.importorskip("xlsxwriter", reason="XlsxWriter is missing: pip install 'tui-lab[excel]'")


def cells(file: Path) -> list[list[tuple[str, str] | None]]:
    """Type and text of each cell of the only sheet, as they are in the file; None where there is none."""
    with zipfile.ZipFile(file) as book:
        assert [name for name in book.namelist() if "/worksheets/sheet" in name] == ["xl/worksheets/sheet1.xml"]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert not sheet.findall(".//m:f", NAMES), "no formula"
    assert not sheet.findall(".//m:hyperlink", NAMES), "no link"
    found = []
    for row in sheet.iterfind(".//m:row", NAMES):
        line: list[tuple[str, str] | None] = []
        for cell in row.iterfind("m:c", NAMES):
            place = re.match("[A-Z]+", cell.attrib["r"])
            assert place is not None
            column = 0
            for letter in place[0]:
                column = 26 * column + ord(letter) - 64
            line += [None] * (column - 1 - len(line))
            text = "".join(part.text or "" for part in cell.iter() if part.tag.endswith(("}v", "}t")))
            line.append((cell.attrib.get("t", "n"), text))
        found.append(line)
    return found


def column(tmp_path: Path, values: list[Any], dtype: Any = None) -> list[tuple[str, str] | None]:
    file = tmp_path / "x.xlsx"
    write(pl.DataFrame({"before": ["x"] * len(values), "it": pl.Series(values, dtype=dtype)}), None, file)
    return [row[1] if len(row) > 1 else None for row in cells(file)[1:]]


T, N = "inlineStr", "n"


@pytest.mark.usefixtures("needs_writer")
@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, -999_999_999_999_999], pl.Int64, [(N, "1"), None, (N, "-999999999999999")]),
        ([1, 10**15], pl.Int64, [(T, "1"), (T, "1000000000000000")]),
        ([2**64 - 1, 2**64 - 2], pl.UInt64, [(T, "18446744073709551615"), (T, "18446744073709551614")]),
        ([2**100, 1], pl.Int128, [(T, str(2**100)), (T, "1")]),
        ([0.1, float("nan"), float("inf"), None, 1e-300], None,
         [(N, "0.1"), (T, "nan"), (T, "inf"), None, (N, "1E-300")]),
        ([True, None, False], None, [("b", "1"), None, ("b", "0")]),
        (["=1+1", "+1", "@a", "-2", "{=1}", "1e3", "http://x.org/", "", "_x0041_"], None,
         [(T, "=1+1"), (T, "+1"), (T, "@a"), (T, "-2"), (T, "{=1}"), (T, "1e3"), (T, "http://x.org/"), (T, ""),
          (T, "_x005F_x0041_")]),
        ([WHEN], pl.Datetime("us"), [(N, "45293.12783854167")]),
        ([WHEN, WHEN.replace(microsecond=1)], pl.Datetime("us"),
         [(T, "2024-01-02T03:04:05.250"), (T, "2024-01-02T03:04:05.000001")]),
        ([WHEN], pl.Datetime("us", "UTC"), [(T, "2024-01-02T03:04:05.250Z")]),
        ([datetime.date(2024, 1, 2)], None, [(N, "45293")]),
        ([datetime.date(1850, 1, 2)], None, [(T, "1850-01-02")]),
        ([datetime.timedelta(minutes=1, milliseconds=5)], None, [(N, "60.005")]),
        ([datetime.time(1, 2, 3)], None, [(T, "01:02:03")]),
        ([[1, 2], None], None, [(T, "[1,2]"), None]),
        ([{"a": 1}], None, [(T, '{"a":1}')]),
        ([b"\x00\xff"], None, [(T, "00ff")]),
        ([Decimal("1.50"), Decimal("-2.25")], pl.Decimal(10, 2), [(N, "1.5"), (N, "-2.25")]),
        ([Decimal("1.5"), Decimal("0.12345678901234567890")], pl.Decimal(38, 20),
         [(T, "1.50000000000000000000"), (T, "0.12345678901234567890")]),
        ([None, None], pl.Null, [None, None]),
    ],
)  # fmt: skip
def test_cells_keep_what_they_are(tmp_path: Path, values: list[Any], dtype: Any, expected: list[Any]) -> None:
    assert column(tmp_path, values, dtype) == expected


@pytest.mark.usefixtures("needs_writer")
def test_the_names_of_columns_are_text(tmp_path: Path) -> None:
    file = tmp_path / "x.xlsx"
    write(pl.DataFrame({"=1+1": [], "b": []}), None, file)
    assert cells(file) == [[(T, "=1+1"), (T, "b")]]


@pytest.mark.usefixtures("needs_writer")
def test_what_a_sheet_does_not_hold_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.xlsx"
    with pytest.raises(OutputError, match=r"holds 1,048,575 rows .* these are 1,048,576 rows"):
        write(pl.DataFrame({"a": pl.Series(range(excel.ROWS))}), None, file)
    with pytest.raises(OutputError, match="these are 16,385 columns"):
        write(pl.DataFrame({f"c{number}": [1] for number in range(16_385)}), None, file)
    with pytest.raises(OutputError, match="row 2 of column 1 has 32,768"):
        write(pl.DataFrame({"a": ["x" * 32_767, "x" * 32_768]}), None, file)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(OutputError, match=r"pip install 'tui-lab\[excel\]'"):
        write(pl.DataFrame({"a": [1]}), None, tmp_path / "x.xlsx")


def test_csv_for_excel(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    frame = pl.DataFrame({"x": [0.5, None], "n": [1, 2], "text": ["a;b", "ä"], "d": [Decimal("1.50"), Decimal(2)]})
    write(frame, "excel-csv", file)
    assert file.read_bytes() == '\ufeffx;n;text;d\n0,5;1;"a;b";1,50\n;2;ä;2,00\n'.encode()
