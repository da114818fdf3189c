"""What a line of the command line does: panes, actions, operations on what runs, and every subcommand of `tui-lab`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from tui_lab.experiment.yaml.problem import suggest
from tui_lab.tui.app.command_line.line import CommandLine
from tui_lab.tui.app.command_line.words import Vocabulary, Word, complete, meant
from tui_lab.tui.app.control import LabControl
from tui_lab.tui.app.palette import registry, run
from tui_lab.tui.base import panes, themes
from tui_lab.tui.base.config import SavedState
from tui_lab.tui.base.pane import Host

OWN = (
    Word("open", "Open a pane.", "pane"),
    Word("experiment", "Make another experiment the current one.", "experiment"),
    Word("theme", "Colours of the whole screen.", "theme"),
)
"""Words that are neither subcommands nor actions."""
SWITCHES = {"pause": False, "resume": True}
"""Subcommands that keys of the screen do, too; whether the experiment then goes on."""


class Lines:
    """Carries out lines. commands: the subcommands of `tui-lab`, each with its line of help."""

    def __init__(self, app: Host, control: LabControl, commands: Mapping[str, str]) -> None:
        self._app, self._control, self._commands = app, control, commands
        self._actions = {action.id: action for actions in registry().values() for action in actions}
        self._panes = (*panes.NAMES, *panes.others())
        self.vocabulary = Vocabulary(
            tuple(self._words()),
            {
                "pane": self._panes,
                "theme": tuple(themes.names()),
                "experiment": tuple(one.name for one in app.snapshot.experiments),
            },
        )

    def _words(self) -> Iterator[Word]:
        yield from OWN
        for name, help in self._commands.items():
            yield Word(name, f"{help[:1].upper()}{help[1:]}.", "experiment")
        known = {word.name for word in OWN} | set(self._commands)
        for name in self._panes:
            if name not in known:
                yield Word(name, f"Open the {panes.title(name)} pane.")
        for action in self._actions.values():
            if action.listed:
                yield Word(action.id, f"{action.label}: {action.help}")

    def wrong(self, line: str) -> str:
        """Return what is wrong with a line; empty where nothing is."""
        full = meant(self.vocabulary, line)
        if full is None:
            name = line.split()[0]
            near = suggest(name, [word.name for word in self.vocabulary.words])
            some = [one.line for one in complete(self.vocabulary, name)][:2]
            return f'no command "{name}"; ' + (near or (f"{' or '.join(some)}?" if some else "? lists the keys"))
        try:
            words = shlex.split(full)
        except ValueError:
            return "a quote is not closed"
        word = self.vocabulary.word(words[0])
        if word in OWN and len(words) > 1 and words[1] not in self.vocabulary.arguments[word.takes]:
            return f'no {word.takes} "{words[1]}"'
        return f"{words[0]}: which {word.takes}?" if word in (OWN[0], OWN[2]) and len(words) == 1 else ""

    async def ask(self, saved: SavedState) -> str | None:
        """Take a line; those of before are kept for each lab. Only in a worker."""
        earlier = saved.lines_of_lab("commands")
        line = await self._app.ask(CommandLine(self.vocabulary, earlier, self.wrong))
        if line is not None:
            saved.put_lines_of_lab("commands", [*(one for one in earlier if one != line), line])
        return line

    async def run(self, line: str) -> None:
        """Carry out a line that is not wrong."""
        full = meant(self.vocabulary, line) or ""
        name, _, rest = full.partition(" ")
        rest, app = rest.strip(), self._app
        if name in self._panes and not rest:
            app.show_pane(name)
        elif name == "open":
            app.show_pane(rest)
        elif name == "experiment":
            app.current = rest
        elif name == "theme":
            app.theme = rest
        elif name in self._actions:
            run(app, self._actions[name])
        elif name in SWITCHES and self._is_experiment(rest):
            await self._control.pause(rest or None, SWITCHES[name])
        elif name == "stop" and self._is_experiment(rest):
            await self._control.stop(rest or None)
        elif name == "priority" and not rest:
            await self._control.priority()
        elif name in self._panes and name == "query" and not rest.startswith("-"):
            app.open_query(rest)
        else:
            app.stream(f"tui-lab {full}", ("tui_lab", *shlex.split(full)))

    def _is_experiment(self, text: str) -> bool:
        """Return whether a text names an experiment, or none."""
        return not text or text in self.vocabulary.arguments["experiment"]
