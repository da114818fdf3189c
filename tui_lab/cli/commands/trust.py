"""`tui-lab trust`: let the metrics of a lab that came from elsewhere execute commands and functions."""

from __future__ import annotations

import sys
from pathlib import Path

from tui_lab.cli.options import Parser, add_common, examples, lab_path
from tui_lab.client.exit_status import DONE


def main(arguments: list[str]) -> int:
    """Run `tui-lab trust`; return the exit status."""
    parser = Parser(
        "trust",
        description="Let the metrics of a lab that came from elsewhere execute commands and functions.\n\n"
        "Metrics with `run` and `function` execute what the lab's files say. In a lab that you have received, copied "
        "or pulled, they are not executed before you trust it. Labs that you have created, or run something in, are "
        "trusted.",
        epilog=examples(("tui-lab trust received-lab", "a lab whose files you have looked at")),
    )
    parser.add_argument("labs", nargs="*", metavar="LAB", help="default: the lab of --lab")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.store import trust
    from tui_lab.store.lab import Lab

    for path in map(Path, args.labs or [lab_path(args)]):
        lab = Lab.open(path)
        trust.trust(lab.path)
        print(f"{path} is trusted: its metrics may execute commands and functions", file=sys.stderr)
    return DONE
