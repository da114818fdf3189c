"""`tui-lab serve`: the screen in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from tui_lab.cli.opening import what_to_open
from tui_lab.cli.options import Parser, add_common, examples
from tui_lab.client.errors import UsageError

if TYPE_CHECKING:
    from tui_lab.cli.commands import Screen


def main(arguments: list[str], screen: Screen | None = None) -> int:
    """Run `tui-lab serve`; return the exit status."""
    parser = Parser(
        "serve",
        description="Show the screen in a browser on this machine, until Ctrl-C. Each tab has a screen of its own; "
        "leaving it stops no run. The address that is printed has a token: whoever has it can run commands as you. It "
        "works from this machine only; from elsewhere, forward the port by SSH. Needs: pip install 'tui-lab[serve]'",
        epilog=examples(
            ("tui-lab serve", "the lab in ./lab"),
            ("tui-lab serve experiment.yaml", "a file in the editor"),
            ("tui-lab serve --port 8000", "and elsewhere: ssh -L 8000:127.0.0.1:8000 HOST"),
        ),
    )
    parser.add_argument("words", nargs="?", metavar="FILE | LAB", help="an experiment file, or the folder of a lab")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="listen on this port; else on a free one")
    add_common(parser)
    args = parser.parse_args(arguments)
    if not 0 <= args.port < 1 << 16:
        raise UsageError(f"--port {args.port}: a port is a number from 0 to 65535")
    args.words = [args.words] if args.words is not None else []
    opened = what_to_open(args, ())
    if screen is None or find_spec("textual_serve") is None:
        raise UsageError("the screen in a browser needs: pip install 'tui-lab[serve]'")
    return screen.serve(*opened, args.port)
