"""Excel files. XlsxWriter is imported here alone, and only to write one: it is the extra `tui-lab[excel]`.

A cell of Excel holds a number of 15 to 16 digits, a text of 32,767 characters, or a date without a time zone. What is
more is text, for all of a column, so that what differs in a table differs in the file: longer integers and decimals,
times of other than this kind, NaN and infinities. A text is never a formula or a link.
"""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import polars as pl

from tui_lab.results.plain import plain_column, shown

ROWS: Final = 1_048_576
COLUMNS: Final = 16_384
CHARACTERS: Final = 32_767
DIGITS: Final = 15
"""Of an integer that a cell holds as a number."""
_FIRST_DAY: Final = datetime.date(1900, 3, 1)  # before it, Excel counts a day that there never was
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_numbers": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


class ExcelError(Exception):
    """A table that an Excel file can't hold, or that can't be written here; the text says why."""


def write(frame: pl.DataFrame, file: BinaryIO) -> None:
    """A workbook with one sheet; its first row has the names of the columns. Raises ExcelError."""
    try:
        import xlsxwriter
    except ImportError:
        raise ExcelError("Excel files need XlsxWriter: pip install 'tui-lab[excel]'") from None
    if frame.height >= ROWS or frame.width > COLUMNS:
        what = f"{frame.height:,} rows" if frame.height >= ROWS else f"{frame.width:,} columns"
        raise ExcelError(f"a sheet of Excel holds {ROWS - 1:,} rows and {COLUMNS:,} columns, and these are {what}")
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, _OPTIONS)
    sheet = book.add_worksheet("results")
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    formats = {
        datetime.date: book.add_format({"num_format": "yyyy-mm-dd"}),
        datetime.datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"}),
    }
    write_text: Callable[..., Any] = sheet.write_string
    for place, name in enumerate(frame.columns):
        write_text(0, place, _fitting(name, "the name of column", place), bold)
    columns = [_column(series) for series in frame]
    for number, row in enumerate(zip(*columns, strict=True), 1):
        for place, value in enumerate(row):
            match value:
                case None:
                    pass
                case bool():
                    sheet.write_boolean(number, place, value)
                case int() | float():
                    sheet.write_number(number, place, value)
                case datetime.date():
                    sheet.write_datetime(number, place, value, formats[type(value)])
                case _:
                    write_text(number, place, _fitting(value, f"row {number} of column", place))
    book.close()
    file.write(buffer.getbuffer())


def _fitting(text: str, what: str, place: int) -> str:
    if len(text.encode("utf-16-le")) // 2 > CHARACTERS:
        raise ExcelError(
            f"a cell of Excel holds {CHARACTERS:,} characters, and {what} {place + 1} has {len(text):,}; "
            "a CSV or Parquet file holds them"
        )
    return text


def _column(series: pl.Series) -> list[Any]:
    """The cells of a column: numbers, dates and booleans where Excel has them, else texts."""
    dtype = series.dtype
    values = series.drop_nulls()
    if dtype == pl.Boolean:
        return series.to_list()
    if dtype.is_integer():
        short = all(-(10**DIGITS) < value < 10**DIGITS for value in values.to_list())
        return series.to_list() if short else series.cast(pl.String).to_list()
    if dtype.is_float():
        return [value if value is None or math.isfinite(value) else shown(value) for value in series.to_list()]
    if isinstance(dtype, pl.Decimal):
        texts = values.cast(pl.String).to_list()
        short = all(sum(map(str.isdigit, text)) <= DIGITS for text in texts)
        return series.cast(pl.Float64).to_list() if short else series.cast(pl.String).to_list()
    if (dtype == pl.Date or (isinstance(dtype, pl.Datetime) and dtype.time_zone is None)) and _has_dates(values):
        return series.to_list()
    return [None if value is None else value if _is_number(value) else shown(value) for value in plain_column(series)]


def _has_dates(values: pl.Series) -> bool:
    """Whether Excel can hold all dates, or times to the millisecond."""
    days = values if values.dtype == pl.Date else values.dt.date()
    exact = values.dtype == pl.Date or bool((values.dt.nanosecond() % 1_000_000 == 0).all())
    return exact and bool(((days >= _FIRST_DAY) & (days.dt.year() <= 9999)).all())


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)
