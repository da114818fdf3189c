"""A subcommand that another package could bring: `tui-lab headcount`, the tasks of a lab's experiments."""

from __future__ import annotations

from tui_lab.cli.commands import Command
from tui_lab.cli.options import Parser, add_common, lab_to_read
from tui_lab.client.exit_status import DONE

COMMAND = Command("how many tasks each experiment has", __name__)


def main(arguments: list[str]) -> int:
    parser = Parser("headcount", description=COMMAND.help)
    add_common(parser)
    lab = lab_to_read(parser.parse_args(arguments))
    for name in lab.experiments():
        print(name, lab.experiment(name).tasks().height)
    return DONE
