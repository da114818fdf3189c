"""Questions over the screen: yes or no, one of several, a line of text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_lab.experiment.error import TuiLabError
from tui_lab.tui.base.workers import work
from tui_lab.tui.widgets.menu import Menu

AGAIN: Final = 1.0
"""Seconds after which a question is brought up to date."""
_CSS = """
    align: center middle;
    & > #dialog {
        width: auto; max-width: 90%; min-width: 44; height: auto; max-height: 90%;
        background: $surface; border: round $primary; border-title-color: $text-primary; border-title-style: bold;
        border-subtitle-color: $text-muted; padding: 1 2;
    }
"""


class Confirm(ModalScreen[bool]):
    """A question before something that can't be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
        Binding("left,right,h,l", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = f"""
    Confirm {{ {_CSS}
        #dialog {{ width: 64; }}
        #buttons {{ height: auto; margin-top: 1; align-horizontal: right; }}
        Button {{ margin-left: 2; min-width: 10; }}
    }}
    """

    def __init__(self, title: str, body: str, yes: str) -> None:
        super().__init__()
        self.words = title, body, yes

    def compose(self) -> ComposeResult:
        title, body, yes = self.words
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(title)
            dialog.border_subtitle = "y / n"
            yield Static(Content(body))
            with Horizontal(id="buttons"):
                yield Button(Content(yes), variant="primary", id="yes", compact=True)
                yield Button("Cancel", id="no", compact=True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Decide(ModalScreen[str]):
    """A question with several answers; empty where none was given. answers: (answer, key, label). also: further keys,
    each with its answer. again: returns what is said below the title as it is now; it is asked every second. What it
    raises leaves what is said as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,escape,q", "leave", "No"),
        Binding("left,right,h,l", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = f"""
    Decide {{ {_CSS}
        #dialog {{ width: 72; }}
        #buttons {{ height: auto; margin-top: 1; align-horizontal: right; }}
        Button {{ margin-left: 2; min-width: 10; }}
    }}
    """

    def __init__(
        self,
        title: str,
        body: str,
        answers: Sequence[tuple[str, str, str]],
        also: Mapping[str, str] | None = None,
        again: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        super().__init__()
        self.words = title, body
        self.answers = answers
        self._keys = {key: answer for answer, key, _ in answers} | dict(also or {})
        self._again = again

    def on_mount(self) -> None:
        if self._again is not None:
            self.set_interval(AGAIN, self._say_again)

    @work(exclusive=True)
    async def _say_again(self) -> None:
        if self._again is not None:
            with suppress(TuiLabError, OSError):
                body = await self._again()
                self.query_one("#body", Static).update(Content(body))

    def compose(self) -> ComposeResult:
        title, body = self.words
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(title)
            dialog.border_subtitle = Content(" / ".join([*(key for _, key, _ in self.answers), "n"]))
            yield Static(Content(body), id="body")
            with Horizontal(id="buttons"):
                for number, (_, key, label) in enumerate(self.answers):
                    yield Button(
                        Content(f"{key}  {label}"), variant="default" if number else "primary", compact=True,
                        id=f"answer-{number}",
                    )  # fmt: skip
                yield Button(Content("Cancel"), id="no", compact=True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        _, _, number = (event.button.id or "").partition("answer-")
        self.dismiss(self.answers[int(number)][0] if number else "")

    def on_key(self, event: Key) -> None:
        if event.key in self._keys:
            event.stop()
            self.dismiss(self._keys[event.key])

    def action_leave(self) -> None:
        self.dismiss("")


class Choose(ModalScreen[str | None]):
    """One of several. choices: (id, what is shown). The one of `chosen` stands under the cursor. Typing narrows them;
    j, k and q mean what they do elsewhere only where no choice begins so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("backspace", "shorten", show=False),
    ]
    DEFAULT_CSS = f"""
    Choose {{ {_CSS}
        #dialog {{ padding: 0 1; }}
        Menu {{ width: auto; min-width: 44; height: auto; max-height: 20; }}
    }}
    """

    def __init__(self, title: str, choices: Sequence[tuple[str, Content | str]], chosen: str | None = None) -> None:
        super().__init__()
        self.heading = title
        self.choices = choices
        self.chosen = chosen
        self.typed = ""
        self._listed: list[tuple[str, Content | str]] = []  # those that are shown

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(self.heading)
            yield Menu(compact=True)

    def on_mount(self) -> None:
        self._narrow("")
        self.query_one(Menu).focus()

    def on_key(self, event: Key) -> None:
        letter = event.character or ""
        if not event.is_printable or (letter == " " and not self.typed):
            return
        if self.typed or letter not in "jkq" or self._begin_with(letter):
            event.stop()
            event.prevent_default()
            self._narrow(self.typed + letter)

    def _begin_with(self, letter: str) -> bool:
        return any(str(shown).lower().startswith(letter) for _, shown in self.choices)

    def _narrow(self, typed: str) -> None:
        """Show the choices that hold a text, first those that begin with it."""
        self.typed, wanted = typed, typed.lower()

        def rank(choice: tuple[str, Content | str]) -> int:
            words = str(choice[1]).lower()
            return 0 if words.split()[:1] == [wanted] else 1 if words.startswith(wanted) else 2

        found = [one for one in self.choices if wanted in str(one[1]).lower()]
        self._listed = sorted(found, key=rank) if typed else found
        options = self.query_one(Menu)
        options.clear_options()
        options.add_options(Option(shown) for _, shown in self._listed)
        names = [name for name, _ in self._listed]
        here = names.index(self.chosen) if self.chosen in names and not typed else 0
        if names:
            options.highlighted = here
        else:
            options.add_option(Option("no match", disabled=True))
        dialog = self.query_one("#dialog")
        dialog.border_subtitle = Content(f"{typed}: backspace shortens it" if typed else
                                         "typing narrows, enter chooses, esc leaves")  # fmt: skip

    def action_shorten(self) -> None:
        self._narrow(self.typed[:-1])

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._listed[event.option_index][0])

    def action_leave(self) -> None:
        self.dismiss(None)


class Ask(ModalScreen[str | None]):
    """A line of text. check: what is wrong with a text, empty where it is good."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]
    DEFAULT_CSS = f"""
    Ask {{ {_CSS}
        #dialog {{ width: 90%; max-width: 100; }}
        #wrong {{ color: $text-error; height: auto; min-height: 1; }}
        Input {{ margin-top: 1; }}
    }}
    """

    def __init__(
        self,
        title: str,
        body: str = "",
        *,
        value: str = "",
        placeholder: str = "",
        check: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__()
        self.words = title, body
        self.value = value
        self.placeholder = placeholder
        self.check = check or (lambda text: "" if text.strip() else "enter a text")

    def compose(self) -> ComposeResult:
        title, body = self.words
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(title)
            dialog.border_subtitle = "enter continues, esc leaves"
            if body:
                yield Static(Content(body))
            yield Input(self.value, placeholder=self.placeholder, compact=True)
            yield Static("", id="wrong")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _changed(self) -> None:
        self.query_one("#wrong", Static).update("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        wrong = self.check(event.value)
        if wrong:
            self.query_one("#wrong", Static).update(Content(wrong))
        else:
            self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)
