"""`tui-lab history`: the submissions, when and by whom, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_lab.cli.options import Parser, add_common, add_json, choose_experiments, examples, lab_to_read, print_json
from tui_lab.client.exit_status import DONE
from tui_lab.results.terminal.guard import console as new_console

if TYPE_CHECKING:
    from tui_lab.client.submissions import Submission

_TABLE_WIDTH = 110  # below that, commands would be broken into slivers: each submission gets lines of its own


def main(arguments: list[str]) -> int:
    """Run `tui-lab history`; return the exit status."""
    parser = Parser(
        "history",
        description="List the submissions: when, by whom, and their results.",
        epilog=examples(
            ("tui-lab history grid", "the submissions of one experiment"),
            ("tui-lab diff grid#1 grid#2", "what changed between two of them"),
        ),
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all of the lab")
    add_json(parser)
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.client.submissions import submissions

    for folder in choose_experiments(lab_to_read(args), args.experiments):
        found = submissions(folder)
        if args.json:
            print_json({"experiment": folder.name, "submissions": found})
        else:
            _show(folder.name, found)
    return DONE


def _show(name: str, found: list[Submission]) -> None:
    import datetime

    from rich.table import Table
    from rich.text import Text

    from tui_lab.client.formatting import STATE_MARKS
    from tui_lab.client.git_state import commit_line
    from tui_lab.client.submissions import command_line

    console = new_console(highlight=False)
    narrow = console.width < _TABLE_WIDTH
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("submission", "when", "by", "tasks", "asked", "then", "command"):
        table.add_column(title, justify="right" if title in ("tasks", "asked") else "left", overflow="fold")
    for one in found:
        when = datetime.datetime.fromtimestamp(one["at"]).strftime("%Y-%m-%d %H:%M:%S")
        counts = one["counts"] or {}
        then = "  ".join(f"{STATE_MARKS[state]} {count:,} {state}" for state, count in counts.items() if count)
        words = command_line(one["argv"])
        if line := commit_line(one["git"]):
            words += f"\n{line}"
        if narrow:
            count = f"{one['tasks']:,} tasks, {one['asked']:,} asked: {then or 'not ended'}"
            title = f"{name}#{one['number']}  {when}  {one['user']}@{one['host']}"
            console.print(Text("\n  ".join([title, count, *words.split("\n")])), soft_wrap=True)
            continue
        table.add_row(
            f"{name}#{one['number']}", when, f"{one['user']}@{one['host']}", f"{one['tasks']:,}", f"{one['asked']:,}",
            Text(then or "not ended"), Text(words),
        )  # fmt: skip
    if not narrow:
        console.print(table)
