"""A chart as a page of its own: the picture as SVG, what it shows in words, and the data as a table."""

from __future__ import annotations

from html import escape
from typing import Final

from tui_lab.results.charts import Chart
from tui_lab.results.plain import shown

MOST_ROWS: Final = 1000
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:1rem auto;padding:0 1rem;color-scheme:light dark}"
    "svg{width:100%;height:auto;background:#fff}"
    "table{border-collapse:collapse;font-size:.85rem}"
    "th,td{padding:.1rem .6rem;text-align:right;border-bottom:1px solid #8884}"
)


def page(chart: Chart, svg: str) -> str:
    """HTML that needs no other file."""
    title = chart.title or f"{chart.y.label} over {chart.x.label}"
    picture = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    rows = chart.table.head(MOST_ROWS)
    head = "".join(f"<th>{escape(name)}</th>" for name in rows.columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{'' if cell is None else escape(shown(cell))}</td>" for cell in row) + "</tr>"
        for row in rows.iter_rows()
    )
    more = chart.table.height - rows.height
    notes = "".join(f"<p>{escape(text)}</p>\n" for text in [*chart.notes, *([f"{more:,} more rows"] if more else [])])
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        f"<figure>{picture}</figure>\n"
        f"<details><summary>Data</summary><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n"
        f"{notes}</details>\n</body></html>\n"
    )
