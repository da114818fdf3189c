"""The registry of actions as the command palette and the help show it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.app import App, SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.screen import Screen

from tui_lab.tui.app.actions import ACTIONS
from tui_lab.tui.app.help import Help, Row
from tui_lab.tui.base import panes, themes
from tui_lab.tui.base.actions import Action, key_word
from tui_lab.tui.base.config import Config, config_file
from tui_lab.tui.base.formatting import STATE_STYLES, count_words, mark
from tui_lab.tui.base.pane import Host, host_of

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot


_HERE: Final = "Where the cursor is"


def key_words(keys: str) -> str:
    """Return keys as they are written: `r ^r alt+1`."""
    return " ".join(key_word(key.strip()) for key in keys.split(","))


def keys_of(action: Action, own: dict[str, str]) -> str:
    """Return the keys of an action, as configured."""
    return key_words(own.get(action.id, action.keys))


class Commands(Provider):
    """The provider of the command palette. Textual's own sorts by name; here the actions of the open pane come
    first."""

    async def discover(self) -> Hits:
        for one in commands(host_of(self.screen)):
            yield DiscoveryHit(one.title, one.callback, help=one.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for one in commands(host_of(self.screen)):
            score = matcher.match(one.title)
            if score > 0:
                yield Hit(score, matcher.highlight(one.title), one.callback, help=one.help)


def commands(app: Host) -> Iterator[SystemCommand]:
    """Return actions of the open pane, of the app, of the other panes; experiments; themes."""
    pane = app.pane
    opened = pane.NAME if pane is not None else ""
    for name, actions in sorted(registry().items(), key=lambda item: (item[0] != opened, item[0] != "app")):
        title = "" if name == "app" else f"{name.capitalize()}: "
        for action in actions:
            if action.listed:
                keys = keys_of(action, app.config.keys)
                yield SystemCommand(f"{title}{action.label}", f"{action.help}  {keys}", partial(run, app, action))
    for name in panes.others():
        yield SystemCommand(panes.title(name), f"Open the {panes.title(name)} pane.", partial(app.show_pane, name))
    for one in app.snapshot.experiments:
        yield SystemCommand(f"Show {one.name}", "Make it the current experiment.", partial(choose, app, one.name))
    for theme in themes.names():
        yield SystemCommand(f"Theme {theme}", "Colours of the whole screen.", partial(setattr, app, "theme", theme))


def run(app: Host, action: Action) -> None:
    """Run an action, after opening its pane."""
    if action.owner == "app":
        app.call_later(app.run_action, action.action, app)
        return
    pane = app.open_pane(action.owner)
    pane.call_after_refresh(app.run_action, action.action, pane)


def choose(app: Host, experiment: str) -> None:
    """Make an experiment the current one."""
    app.current = experiment


def help_groups(app: Host) -> list[tuple[str, list[Row]]]:
    """Return titles, each with keys and what they do: of the pane, of the widget with the focus, of the app."""
    pane = app.pane
    own = app.config.keys
    title = pane.TITLE if pane is not None else ""
    actions = pane.ACTIONS if pane is not None else ()
    groups = [(title, [(keys_of(one, own), one.help) for one in actions])]
    known = {one.id for one in (*actions, *app.ACTIONS)}
    whole, here = dict[str, list[str]](), dict[str, list[str]]()
    for node, binding, _, tooltip in app.screen.active_bindings.values():
        words = tooltip or binding.tooltip or binding.description
        if isinstance(node, Screen) and words:
            whole.setdefault(words, []).append(key_words(binding.key))
        elif binding.id not in known and not isinstance(node, App) and words:
            here.setdefault(words, []).append(key_words(binding.key))
    if app.screen.HELP is not None:  # one that covers the panes, whose keys don't act
        of_screen = [(" ".join(keys), what) for what, keys in whole.items()]
        return [(str(app.screen.TITLE), of_screen), (_HERE, [(" ".join(keys), what) for what, keys in here.items()])]
    groups.append((_HERE, [(" ".join(keys), what) for what, keys in here.items()]))
    everywhere = [(keys_of(one, own), one.help) for one in app.ACTIONS]
    return [
        *groups,
        ("Everywhere", [*everywhere, ("tab shift+tab", "Go to the next part of the pane, or to the previous one.")]),
    ]


def show_help(app: App[int], host: Host) -> None:
    """Show the help of the open pane, or of what covers it, unless it is shown. app, host: the same, as Textual and as
    panes know it."""
    pane = host.pane
    if not isinstance(app.screen, Help):
        title, text = (pane.TITLE, pane.HELP) if pane is not None else (str(app.TITLE), "")
        if app.screen.HELP is not None:
            title, text = str(app.screen.TITLE), app.screen.HELP
        app.push_screen(Help(title, text, help_groups(host)))


def experiment_choices(snapshot: LabSnapshot, ascii: bool, coloured: bool) -> list[tuple[str, Content]]:
    """The experiments of a lab, the newest first, each with its tasks by state.

    coloured: the ground of the chosen one is so pale that the colours of states can be read on it.
    """
    width = max((len(one.name) for one in snapshot.experiments), default=0)
    found = []
    for one in reversed(snapshot.experiments):
        parts: list[Content | tuple[str, str]] = [(f"{one.name:<{width}}", "bold"), (f"  {one.planned:>9,} tasks", "")]
        for state, count in count_words(one.counts):
            parts.append((f"  {mark(state, ascii)} {count:,}", STATE_STYLES[state] if coloured else ""))
        how = "  going" if one.active else "  paused" if one.paused else f"  {one.problem}" if one.problem else ""
        found.append((one.name, Content.assemble(*parts, how)))
    return found


async def ask_experiment(app: Host, coloured: bool) -> str | None:
    """Ask for an experiment; None where there is none, or none is chosen. Only in a worker."""
    from tui_lab.tui.widgets.dialogs import Choose

    choices = experiment_choices(app.snapshot, app.config.ascii, coloured)
    if not choices:
        app.tell("there is no experiment yet")
        return None
    return await app.ask(Choose("Experiments", choices, app.current))


def registry() -> dict[str, tuple[Action, ...]]:
    """Return every action: of the app, and of each pane by its name."""
    return {"app": ACTIONS, **{name: panes.load(name).ACTIONS for name in (*panes.NAMES, *panes.others())}}


def action_of(id: str) -> Action:
    """Return an action of the app, or of a pane."""
    owner = id.partition(".")[0]
    actions = ACTIONS if owner == "app" else panes.load(owner).ACTIONS
    return next(one for one in actions if one.id == id)


def unknown_keys(config: Config) -> list[str]:
    """Return what is wrong with configured keys: those of actions that no pane has."""
    from tui_lab.experiment.yaml.problem import suggest

    known, found = [action.id for actions in registry().values() for action in actions], []
    for name in config.keys:
        if name not in known:
            hint = suggest(name, known) or "the help lists them"
            found.append(f"{config_file()}: keys.{name}: there is no such action; {hint}")
    return found
