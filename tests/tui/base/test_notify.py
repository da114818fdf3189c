"""What of a run is worth a notification, and the bytes by which it leaves the screen."""

from __future__ import annotations

import sys
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from textual.events import AppBlur

from tests.tui.conftest import wait_until
from tui_lab.store.events import Ended, Paused
from tui_lab.store.lab import Lab
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base import notify, terminal
from tui_lab.tui.base.config import Config
from tui_lab.tui.base.notify import Notifier, cleaned, notifications
from tui_lab.tui.base.snapshot import ExperimentSnapshot, LabSnapshot


def test_news_of_a_run() -> None:
    lab = Lab(Path("lab"), "x")
    going = ExperimentSnapshot("grid", {"pending": 3, "failed": 0, "done": 0}, 3, 3, True, failure="task 3: exit 1")
    failed = replace(going, counts={"pending": 2, "failed": 1, "done": 0})
    ended = replace(failed, counts={"pending": 0, "failed": 1, "done": 2}, active=False, ended=Ended(1.0, {}))
    steps = [LabSnapshot(lab, (one,)) for one in (going, failed, failed, ended, ended)]
    told = [[one.text for one in notifications(*pair)] for pair in pairwise(steps)]
    assert told == [["grid: the first failure: task 3: exit 1"], [], ["grid has ended: 2 done, 1 failed"], []]
    assert notifications(LabSnapshot(), steps[0]) == []
    # What was launched from this screen may have ended before it is seen for the first time.
    for before in (LabSnapshot(), LabSnapshot(lab)):
        assert [one.text for one in notifications(before, steps[3], {"grid"})] == [*told[0], *told[2]]
        assert notifications(before, steps[3], {"other"}) == []
    assert [one.severity for one in notifications(steps[1], replace(steps[1], died=True))] == ["error"]
    # A pause that nobody asked for is told, with what a key continues.
    for reason, said in (("first_failures", [("grid is paused: the first tasks failed", "grid")]), ("asked", [])):
        paused = LabSnapshot(lab, (replace(failed, paused=Paused(1.0, reason, 10)),))
        assert [(one.text, one.paused) for one in notifications(steps[1], paused)] == said
        assert notifications(paused, paused) == []


OSC777 = "\x1b]777;notify;TUI Lab;grid has ended\x1b\\"
OSC9 = "\x1b]9;TUI Lab: grid has ended\x1b\\"
OSC99 = "\x1b]99;"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "xterm-kitty", "VTE_VERSION": "7000"}, OSC99),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, OSC99),
        ({"TERM": "foot", "KITTY_WINDOW_ID": "1"}, OSC777),  # foot that was started in kitty
        ({"TERM": "xterm-ghostty"}, OSC777),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, OSC777),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7000"}, OSC777),
        ({"TERM": "rxvt-unicode-256color"}, OSC777),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, OSC9),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, OSC9),  # over SSH
        ({"TERM": "xterm-256color", "WT_SESSION": "x"}, OSC9),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, ""),
        ({"TERM": "linux"}, ""),
    ],
)
def test_each_terminal_gets_the_sequence_that_it_knows(environment: dict[str, str], wanted: str) -> None:
    made = Notifier("auto", "", environment).sequence("TUI Lab", "grid has ended")
    assert made.startswith(wanted) and bool(made) == bool(wanted)
    assert Notifier("off", "", environment).sequence("TUI Lab", "grid has ended") == ""


def test_what_tmux_shows_is_asked_and_the_sequence_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_asked", lambda _: ["xterm-256color", "WezTerm 20240203"])
    inside = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux,1,0", "KITTY_WINDOW_ID": "1"}
    made = Notifier("auto", "", inside).sequence("TUI Lab", "grid has ended")
    assert made == "\x1bPtmux;\x1b\x1b]777;notify;TUI Lab;grid has ended\x1b\x1b\\\x1b\\"


def test_kitty_gets_title_and_text_as_one_notification() -> None:
    title, body, rest = Notifier("osc99", "", {}).sequence("TUI Lab", "é; done").split("\x1b\\")
    name = title.partition(":")[0].removeprefix("\x1b]99;i=")
    assert title == f"\x1b]99;i={name}:d=0:e=1:p=title;{b64encode(b'TUI Lab').decode()}"
    assert body == f"\x1b]99;i={name}:d=1:e=1:p=body;{b64encode('é; done'.encode()).decode()}"
    assert rest == "" and name.replace("-", "").isalnum()
    assert name not in Notifier("osc99", "", {}).sequence("TUI Lab", "another")


def test_a_text_can_t_end_the_sequence_or_begin_another() -> None:
    hostile = "4;3;50\x1b\\\x07\x9c\x1b]52;c;AAAA\x07\nrm \x00\udc80" + "x" * 1000
    for way in ("osc9", "osc777"):
        sent: list[str] = []
        assert Notifier(way, "", {}).send("a;b\x1b\\", hostile, sent.append) == ""
        inside = sent[0].removeprefix("\x1b]").removesuffix("\x1b\\")
        assert cleaned(inside) in (inside, inside[: notify.LONGEST - 1] + "…")  # nothing is left to be removed
        assert inside.startswith({"osc9": "9;a;b \\: 4;3;50", "osc777": "777;notify;a,b \\;4,3,50"}[way])
        assert len(inside) < 400


def test_the_command_is_run_without_a_shell_and_its_problems_are_reported(tmp_path: Path) -> None:
    out = tmp_path / "said"
    program = f"import sys; open({str(out)!r}, 'w').write(repr(sys.argv[1:]))"
    command = f'{sys.executable} -c "{program}" --title={{title}} {{body}}'
    assert Notifier("off", command, {}).send("TUI Lab", "$(x) {title} 'é'", list) == ""
    assert out.read_text() == repr(["--title=TUI Lab", "$(x) {title} 'é'"])
    assert Notifier("off", "/nonexistent {body}", {}).send("a", "b", list) == (
        "notify_command: /nonexistent: No such file or directory"
    )
    failing = f"{sys.executable} -c \"import sys; sys.exit('no bus')\""
    assert Notifier("off", failing, {}).send("a", "b", list).endswith(": no bus")


async def test_a_user_who_looks_elsewhere_is_notified(small_lab: Path, tmp_path: Path) -> None:
    """Not one who looks at the screen."""
    out = tmp_path / "said"
    command = f"{sys.executable} -c \"import sys; open('{out}', 'a').write(sys.argv[1] + chr(10))\" {{body}}"
    app = LabApp(small_lab, config=Config(notify_command=command))
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: app.current == "small")
        sent: list[str] = []
        assert app._driver is not None
        app._driver.write = sent.append  # type: ignore[method-assign,assignment]
        app._messages.notifier._environment = {"TERM": "foot"}
        found = app.snapshot.experiments[0]
        going, ended = (replace(app.snapshot, experiments=(one,)) for one in (replace(found, ended=None), found))
        app.watch_snapshot(going, ended)
        app.post_message(AppBlur())
        await wait_until(pilot, lambda: not app.app_focus)
        app.watch_snapshot(going, replace(ended, died=True))
        await wait_until(pilot, lambda: out.exists() and out.read_text().count("\n") == 2)
        lines = sorted(out.read_text().splitlines())
        assert lines == ["The engine has died; nothing is lost.", "small has ended: 6 done, 2 failed"]
        assert sorted(one for one in sent if "777" in one) == [
            f"\x1b]777;notify;TUI Lab {small_lab.name};{line.replace(';', ',')}\x1b\\" for line in lines
        ]
