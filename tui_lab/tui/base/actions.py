"""The actions of the screen, each defined once: for the keys, the footer, the help, the palette and the docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from textual.binding import Binding, BindingType
from textual.keys import format_key


class Action(NamedTuple):
    """One thing that a key does.

    id is the pane's name (or `app`), a dot, and the action's own name: `tasks.retry` calls `action_retry` of the
    Tasks pane. keys are Textual's names, separated by commas; the first stands in the footer. The user may
    set others in config.toml, by the id.
    """

    id: str
    keys: str
    label: str
    help: str
    shown: bool = True  # in the footer
    call: str = ""  # the action string, where it is not the id's
    priority: bool = False  # before the widget that has focus
    listed: bool = True  # in the command palette
    leads_away: bool = False  # from what is shown: then it waits for nothing that is read

    @property
    def owner(self) -> str:
        """The pane's name, or `app`."""
        return self.id.partition(".")[0]

    @property
    def action(self) -> str:
        """The action as Textual calls it, such as `retry` for `action_retry`."""
        return self.call or self.id.partition(".")[2].replace(".", "_")


def key_word(key: str) -> str:
    """Return a key as it is written in a sentence: `r`, `^r`, `alt+1`, `esc`."""
    *modifiers, name = key.split("+")
    letter = format_key(name)  # "slash" is /; but what would be a symbol stays a word, such as enter
    shown = letter if len(letter) == 1 and letter.isascii() else "esc" if name == "escape" else name
    return f"^{shown}" if modifiers == ["ctrl"] else "+".join([*modifiers, shown])


def shown_key(action: Action, own: Mapping[str, str], in_text: bool = False) -> str:
    """Return the first key of an action, as it is written in a sentence. own: those that the user has set. in_text:
    the first one that acts in a text field, too, if there is one."""
    keys = [key.strip() for key in own.get(action.id, action.keys).split(",")]
    usual = [key.strip() for key in action.keys.split(",") if "alt+" in key]  # they stay
    acting = (key for key in (*keys, *usual) if len(format_key(key)) > 1)
    return key_word(next(acting, keys[0]) if in_text else keys[0])


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """The actions as Textual's bindings.

    A key with alt goes before the widget that has focus: from most terminals it comes with its letter, which a text
    field would take. It keeps acting where the user has set other keys.
    """
    found: list[BindingType] = []
    for one in actions:
        keys = [key.strip() for key in one.keys.split(",")]
        plain = [key for key in keys if not key.startswith("alt+")]
        for some, early in ((plain, one.priority), ([key for key in keys if key not in plain], True)):
            if some:
                known = one.id if some is plain else None
                found.append(
                    Binding(
                        ",".join(some),
                        one.action,
                        one.label,
                        show=one.shown,
                        tooltip=one.help,
                        id=known,
                        priority=early,
                    )
                )
    return found
