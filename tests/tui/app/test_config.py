"""config.toml: strict, and every mistake names file and key. The words of the frame. Copying."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_docs import generator
from tests.workbench import REPOSITORY, Workbench
from tui_lab.cli.opening import in_file
from tui_lab.client.errors import UsageError
from tui_lab.tui.app import entry
from tui_lab.tui.app.palette import registry
from tui_lab.tui.base import clipboard
from tui_lab.tui.base.config import Config, config_file, read_config
from tui_lab.tui.base.formatting import bar, columns_of, rate_words, short, sparkline


def read(text: str) -> Config:
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return read_config(file)


def test_no_file_is_the_usual_configuration() -> None:
    assert read_config(config_file()) == Config()


def test_a_whole_file() -> None:
    found = read(
        'theme = "nord"\nascii = true\nrefresh = 2\nbell = false\nnotify = "osc9"\nnotify_command = "say {body}"\n'
        'images = "blocks"\n'
        '[keys]\n"tasks.retry" = "R"\napp.leave = ["q", "f10"]\n'
    )
    keys = {"tasks.retry": "R", "app.leave": "q,f10"}
    assert found == Config("nord", True, 2, False, keys, "osc9", "say {body}", "blocks")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('them = "nord"', 'them: there is no such key; did you mean "theme"?'),
        ('theme = "nort"', 'theme: there is no theme "nort"; did you mean "nord"?'),
        ("theme = 3", "theme: must be a text"),
        ('ascii = "yes"', "ascii: must be true or false"),
        ("refresh = 100", "refresh: updates per second, from 0.2 to 10"),
        ("refresh = true", "refresh: must be a number"),
        ('images = "block"', 'images: there is no "block"; did you mean "blocks"?'),
        ('notify = "osc8"', 'notify: there is no "osc8"; did you mean "osc9"?'),
        ('notify_command = "say \'a"', "notify_command: is no command: no closing quotation"),
        ('notify_command = "say {text}"', "notify_command: {text} means nothing; {title} and {body} are replaced"),
        ("keys = 3", "keys: must be a table of action = keys"),
        ("[keys]\napp.leave = 3", 'keys.app.leave: must be a key such as "ctrl+r", or a list of keys'),
        ('[keys]\napp.leave = "ctrl+m"', "keys.app.leave: terminals can't distinguish ctrl+m from enter"),
        (
            '[keys]\napp.leave = "cmd+q"',
            'keys.app.leave: "cmd+q" is no key; as in "r", "ctrl+r", "f5", "question_mark"',
        ),
        ("theme = ", "Invalid value (at end of document)"),
    ],
)
def test_mistakes_name_file_and_key(text: str, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert str(caught.value) == f"{config_file()}: {wanted}"


def test_folders_follow_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "here"))
    assert config_file() == tmp_path / "here" / "tui-lab" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # counts as none
    assert config_file() == Path.home() / ".config" / "tui-lab" / "config.toml"


def test_without_a_terminal_there_is_one_clear_line(workbench: Workbench) -> None:
    result = workbench.process(code=2)
    assert result.out == ""
    assert result.err.startswith("tui-lab: the screen needs a terminal") and result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["nothing.yaml"], 'there is no command and no file "nothing.yaml"'),
        (["staus"], 'did you mean "status"?'),
        (["a.yaml", "b.yaml"], "the screen opens one file"),
        (["folder"], "folder: is no lab"),
        (["nothing.yml:3"], 'there is no file "nothing.yml"'),
        (["there.yaml:x"], "there.yaml:x: what stands behind there.yaml is a line, as in there.yaml:3"),
    ],
)
def test_what_can_t_be_opened_is_told(workbench: Workbench, words: list[str], wanted: str) -> None:
    (workbench.folder / "folder").mkdir()
    workbench.write("folder/file", "")
    workbench.write("there.yaml", "command: x\n")
    result = workbench.process(*words, code=2)
    assert wanted in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("e.yaml:3", (3, 1)),
        ("e.yaml:3:14", (3, 14)),
        ("e.yaml:3:14:", (3, 14)),  # as mistakes end
        ("train.txt:2", (2, 1)),
        ("e.yaml", None),
        ("tower:2", None),
        ("ana@tower.yaml:lab", None),
        ("there:2", None),
        ("old.yaml:2", None),
    ],
)
def test_a_line_of_a_file_is_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, place: tuple[int, int] | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("e.yaml", "train.txt", "old.yaml:2"):
        Path(name).touch()
    Path("there").mkdir()
    assert in_file(word) == (None if place is None else (Path(word.partition(":")[0]), place))


# --- Words


def test_a_bar_is_as_wide_as_asked_and_shows_every_part() -> None:
    cells = bar(10, [(1, "good"), (1, "bad")], 1000)
    assert [(len(text), style) for text, style in cells[:2]] == [(1, "good"), (1, "bad")]
    for done in range(0, 101, 7):
        assert sum(len(text) for text, _ in bar(30, [(done, "a"), (100 - done, "b")], 100)) == 30
    assert "".join(text for text, _ in bar(4, [], 0, ascii=True)) == "----"


def test_a_sparkline_keeps_its_width() -> None:
    assert sparkline([0, 0.5, 1, None, 2], 8) == "   ▁▄█ █"
    assert sparkline([0.1] * 50, 5) == "▁▁▁▁▁"
    assert sparkline([0, 1], 2, ascii=True) == ".@"
    assert columns_of([0, 1, 3, None, 4], 6, 2, 4.0) == ["   ▄ █", " ▁▄█ █"]


def test_rates_and_paths_for_people() -> None:
    assert [rate_words(rate) for rate in (250, 3.14, 0.5, 0.001, 0.00001)] == [
        "250/s", "3.1/s", "30/min", "3.6/h", "0.9/day",
    ]  # fmt: skip
    assert short("/a/long/path", 8) == "…ng/path"


# --- Copying


def test_copying_goes_to_the_terminal(tmp_path: Path) -> None:
    sent: list[str] = []
    assert clipboard.copy("text", sent.append, tmp_path, {"TERM": "xterm"}) == ""
    assert sent == ["text"]


def test_what_the_terminal_can_t_take_goes_to_a_file(tmp_path: Path) -> None:
    sent: list[str] = []
    folder = tmp_path / "state"
    for text, term in (("x" * 100_000, "xterm"), ("short\udc80", "linux")):
        place = clipboard.copy(text, sent.append, folder, {"TERM": term})
        assert place == f"to {folder / 'copied.txt'}"
        assert (folder / "copied.txt").read_text(errors="surrogateescape") == text
    assert not sent


# --- Documents


def test_the_page_of_the_screen_is_current() -> None:
    page = REPOSITORY / "docs" / "screen.md"
    wanted = generator().PAGES["screen.md"]()
    assert page.read_text(encoding="utf-8") == wanted, "run: python docs/generate.py (screen.md is old)"


def test_the_configuration_of_the_page_is_a_good_one() -> None:
    page = (REPOSITORY / "docs" / "screen.md").read_text(encoding="utf-8")
    found = read(page.partition("```toml\n")[2].partition("```")[0])
    known = [one.id for actions in registry().values() for one in actions]
    assert set(found.keys) <= set(known) and found.theme == "lab-light"


def test_a_screen_that_dies_says_that_the_run_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "state" / "tui-lab" / "crash.log"
    assert entry._crashed("Traceback ...") == 3
    said = capsys.readouterr().err
    assert "the run goes on" in said and str(file) in said and said.count("\n") == 2
    assert "Traceback" not in said
    assert file.read_text().endswith("\nTraceback ...\n")
