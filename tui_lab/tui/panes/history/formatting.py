"""How submissions are shown: a row each, the one under the cursor in full, and two beside each other."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
from textual.content import Content

from tui_lab.client.formatting import plural, printable
from tui_lab.client.submissions import Submission as OneSubmission
from tui_lab.client.submissions import SubmissionDifference, command_line
from tui_lab.tui.base.formatting import MUTED, STATE_STYLES, count_words, mark
from tui_lab.tui.widgets.table.layout import GAP, GUTTER
from tui_lab.tui.widgets.table.table import Column


class Submission(OneSubmission):
    """A submission, and its experiment."""

    experiment: str
    going: bool


_DIFF: Final = {"+": "$text-success", "-": "$text-error", "@": "$text-primary"}


def address(one: Submission) -> str:
    """Return the address of a submission, as `grid#2`."""
    return f"{one['experiment']}#{one['number']}"


def when(moment: float | None, day: bool = True) -> str:
    """Return a moment as local time, empty for None. day: with the date."""
    if moment is None:
        return ""
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")


def command(one: Submission) -> str:
    """Return the command line as it was typed."""
    return command_line([str(word) for word in one.get("argv") or []])


def submissions_frame(found: Sequence[Submission], ascii: bool) -> pl.DataFrame:
    """Return a row for each submission, the newest first."""
    rows = [
        {
            "address": address(one),
            "when": when(one["at"])[:16],
            "tasks": one["tasks"],
            "asked": one["asked"],
            "outcome": outcome(one, ascii),
            "by": f"{one['user']}@{one['host']}",
            "command": command(one),
        }
        for one in sorted(found, key=lambda one: -one["at"])
    ]
    schema = {
        **dict.fromkeys(("address", "when", "outcome", "by", "command"), pl.String),
        "tasks": pl.Int64,
        "asked": pl.Int64,
    }
    order = ["address", "when", "tasks", "asked", "outcome", "by", "command"]
    return pl.DataFrame(rows, schema=schema).select(order)


def columns(found: Sequence[Submission], width: int) -> list[Column]:
    """Return the columns of the table. width: of the pane, in characters."""
    longest = max((len(address(one)) for one in found), default=0)
    first = [
        Column("address", "submission", width=min(max(10, longest), 24)),
        Column("when", width=16),
        Column("tasks", format=lambda value: f"{value:,}", width=9),
        Column("asked", format=lambda value: f"{value:,}", width=9),
    ]
    rest = width - GUTTER - 1 - sum((column.width or 0) + GAP for column in first)
    if rest < 64:
        return [*first, Column("outcome", "then", width=max(10, rest))]
    by = Column("by", width=18)
    return [*first, Column("outcome", "then", width=24), by, Column("command", width=rest - 24 - by.width - 2 * GAP)]  # type: ignore[operator]


def outcome(one: Submission, ascii: bool) -> str:
    """Return the result of a submission, in short."""
    if one["counts"]:
        return "  ".join(f"{mark(state, ascii)} {count:,}" for state, count in count_words(one["counts"]))
    if one.get("going"):
        return "going"
    later = [event["event"] for event in one["later"]]
    return later[-1] if later else "not ended"


def heading(one: Submission) -> Content:
    """Return which submission it is, when it was made, and by whom."""
    return Content.assemble((address(one), "bold"), f"  {when(one['at'])}  {one['user']}@{one['host']}")


def detail(one: Submission, ascii: bool) -> Content:
    """Return all about a submission, but for its heading."""
    lines = []
    if one["counts"]:
        parts = []
        for state, count in count_words(one["counts"]):
            parts.append(Content.styled(f"{mark(state, ascii)} {count:,} {state}", STATE_STYLES[state]))
        lines.append(Content.assemble(("came to  ", MUTED), Content("  ").join(parts)))
    reasons = ", ".join(f"{count:,} {why}" for why, count in (one.get("reasons") or {}).items() if count)
    asked = f"{plural(one['asked'], 'task')} of {one['tasks']:,}" + (f" ({reasons})" if reasons else "")
    lines.append(_line("asked", asked))
    if one["later"]:
        events = ", ".join(f"{event['event']} {when(event['at'], day=False)}" for event in one["later"][-6:])
        lines.append(_line("then", events))
    lines += [_line("command", command(one)), _line("folder", printable(str(one.get("cwd") or "")))]
    return Content("\n").join(lines)


def _line(name: str, text: str) -> Content:
    return Content.assemble((f"{name:<9}", MUTED), text)


def difference(first: str, second: str, found: SubmissionDifference) -> Content:
    """Return what `tui-lab diff` prints of two submissions."""
    lines = list(_changes(found["file"]))
    if not lines:
        lines.append(Content.styled("the file is the same", MUTED))
    tasks = f"{plural(found['tasks_kept'], 'task')} in both, {found['tasks_added']:,} only in {second}, "
    lines += [Content(), Content(tasks + f"{found['tasks_gone']:,} only in {first}")]
    if found["program_changed"]:
        lines.append(Content.styled(f"changed in between: {', '.join(found['program_changed'])}", "$text-warning"))
    return Content("\n").join(lines)


def _changes(lines: Sequence[str]) -> Iterator[Content]:
    for line in lines:
        if line.startswith(("+++", "---")):
            yield Content.styled(printable(line), "bold")
        else:
            yield Content.styled(printable(line), _DIFF.get(line[:1], ""))
