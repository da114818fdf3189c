"""`tui-lab pause`: start nothing new for now; what runs goes on."""

from __future__ import annotations

import sys

from tui_lab.cli.options import Parser, add_common, examples, open_lab
from tui_lab.client.errors import NothingToDoError
from tui_lab.client.exit_status import DONE


def main(arguments: list[str]) -> int:
    """Run `tui-lab pause`; return the exit status."""
    parser = Parser(
        "pause",
        description="Start nothing new; what runs may finish. `tui-lab resume` goes on, and so does the same --run.",
        epilog=examples(("tui-lab pause", "everything that is going"), ("tui-lab pause grid", "one experiment")),
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="by default everything that is going")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.engine.client import EngineClient

    lab = open_lab(args)
    client = EngineClient.connect(lab)
    active = client.request("status")["active"] if client is not None else []
    names = [lab.experiment(name).name for name in args.experiments] or active
    if client is None or not active:
        raise NothingToDoError(f"nothing to pause: nothing is going in {lab.path}")
    for name in names:
        if name not in active:
            print(f"{name} is not going", file=sys.stderr)
            continue
        client.request("pause", experiment=name)
        print(f"{name}: paused; what runs may finish. `tui-lab resume {name}` goes on", file=sys.stderr)
    return DONE
