"""OutputFolders as programs leave them: streams, steps, files, JSON, CSV, any bytes, missing things."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.load import load_text
from tui_lab.experiment.metric import Take
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.extraction import text
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.extractor import Extraction
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.structured import Broken, documents, parse_path, select, table
from tui_lab.store.task_files import TaskFile


def experiment(metrics: str, command: str = "command: ./run") -> Experiment:
    return load_text(f"name: x\n{command}\nmetrics:\n{metrics}", "x.yaml")


def read(
    tmp_path: Path,
    metrics: str,
    files: dict[str, str | bytes],
    command: str = "command: ./run",
    attempt: int = 1,
    live: bool = False,
) -> Extraction:
    place = tmp_path / "tasks" / "0" / "7"
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return extract(experiment(metrics, command), OutputFolders(tmp_path), [(7, attempt)], live=live)


def one(tmp_path: Path, metrics: str, files: dict[str, str | bytes], **more: Any) -> Any:
    return read(tmp_path, metrics, files, **more).values["m"][0]


def test_streams_and_attempts(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"stdout": "v=1", "stdout.2": "v=2", "stderr": "v=3", "log.txt": "v=4"}
    assert one(tmp_path, "  m: v=(@int@)", files) == 1
    assert one(tmp_path, "  m: v=(@int@)", files, attempt=2) == 2
    assert one(tmp_path, "  m: {pattern: v=(@int@), from: stderr}", files) == 3
    assert one(tmp_path, "  m: {pattern: v=(@int@), from: log.txt}", files, attempt=2) == 4


def test_named_steps(tmp_path: Path) -> None:
    command = "command: {train: ./train, test: ./test}"
    files: dict[str, str | bytes] = {
        "train.stdout": "v=1\nv=9",
        "test.stdout": "v=2",
        "train.stdout.2": "v=5",
    }
    assert one(tmp_path, "  m: v=(@int@)", files, command=command) == 2
    assert one(tmp_path, "  m: {pattern: v=(@int@), take: sum}", files, command=command) == 12
    assert one(tmp_path, "  m: {pattern: v=(@int@), from: train.stdout}", files, command=command) == 9
    # The second attempt failed in its first step.
    assert one(tmp_path, "  m: v=(@int@)", files, command=command, attempt=2) == 5


def test_a_step_without_a_last_newline_does_not_join_lines(tmp_path: Path) -> None:
    command = "command: {a: ./a, b: ./b}"
    files: dict[str, str | bytes] = {"a.stdout": "v=1", "b.stdout": "2"}
    assert one(tmp_path, "  m: v=(@int@)", files, command=command) == 1


def test_carriage_returns_and_colours(tmp_path: Path) -> None:
    bar = b"\x1b[32mloss:\x1b[0m \x1b[1m0.9\x1b[0m\r\x1b[2Kloss: 0.5\rloss: 0.25\r\n\x1b]0;title\x07done\n"
    assert one(tmp_path, "  m: 'loss: (@float@)'", {"stdout": bar}) == 0.25
    assert one(tmp_path, "  m: {pattern: 'loss: (@float@)', take: count}", {"stdout": bar}) == 3
    assert one(tmp_path, "  m: {pattern: '^loss: (@float@)$', take: max}", {"stdout": bar}) == 0.9


@given(noise=st.binary(max_size=200))
def test_any_bytes_around_a_value(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    output = noise + b"\nloss: 0.5\n" + noise.replace(b"loss", b"")
    assert one(tmp_path_factory.mktemp("noise"), "  m: 'loss: (@float@)'", {"stdout": output}) == 0.5


def test_text_that_is_not_utf8_is_kept_as_far_as_it_goes(tmp_path: Path) -> None:
    assert one(tmp_path, "  m: {pattern: 'name=(.*)'}", {"stdout": b"name=caf\xe9\n"}) == "caf\ufffd"


def test_globs_match_one_file(tmp_path: Path) -> None:
    metrics = "  m: {pattern: v=(@int@), from: 'run-*.log'}"
    assert one(tmp_path, metrics, {"run-17.log": "v=1"}) == 1
    found = read(tmp_path, metrics, {"run-18.log": "v=2"})
    assert found.values["m"] == [None]
    assert "2 files match" in found.tallies["m"].trouble


def test_what_is_missing_is_null_and_counted(tmp_path: Path) -> None:
    metrics = "  m: {pattern: v=(@int@), from: a.log}\n  c: {pattern: v, take: count, from: stdout}\n"
    metrics += "  d: {pattern: v, take: count, from: no}"
    found = read(tmp_path, metrics, {"stdout": "nothing"})
    assert found.values == {"m": [None], "c": [0], "d": [None]}
    assert found.tallies["m"].missing == 1
    assert found.again == {7}


def test_a_folder_in_place_of_a_file_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks/0/7/a.log").mkdir(parents=True)
    found = read(
        tmp_path,
        "  m: {pattern: v=(@int@), from: a.log}\n  j: {json: a.log, path: $.a}\n  c: {csv: a.log, column: a}",
        {},
    )
    assert found.values == {"m": [None], "j": [None], "c": [None]}


def test_a_named_pipe_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks/0/7").mkdir(parents=True)
    os.mkfifo(tmp_path / "tasks/0/7/a.log")
    found = read(tmp_path, "  m: {pattern: v=(@int@), from: a.log}\n  j: {json: a.log, path: $.a}", {})
    assert found.values == {"m": [None], "j": [None]}


def test_large_outputs_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"step {number} loss={number % 977 / 8}" for number in range(30_000)]
    output = "\n".join(lines) + "\nend"
    metrics = "\n".join(f"  {take}: {{pattern: loss=(@float@), take: {take}}}" for take in get_args(Take))
    whole = read(tmp_path, metrics, {"stdout": output}).values
    numbers = [number % 977 / 8 for number in range(30_000)]
    assert whole["median"] == [statistics.median(numbers)] and whole["sd"] == [pytest.approx(statistics.stdev(numbers))]
    monkeypatch.setattr("tui_lab.results.extraction.extract.BLOCK", 1 << 17)
    assert read(tmp_path, metrics, {"stdout": output}).values == whole
    assert read(tmp_path, "  m: loss=(@float@)", {"stdout": output}).values["m"] == whole["last"]


def test_a_line_without_an_end_is_cut_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LONGEST_LINE", 1000)
    (tmp_path / "out").write_bytes(b"x" * 5000 + b"\nlast")
    assert [line for part in text.blocks(TaskFile(str(tmp_path), "out"), block=300) for line in part.lines][
        -1
    ] == "last"
    backwards = list(text.blocks_backwards(TaskFile(str(tmp_path), "out"), block=300))
    assert backwards[0].lines[-1] == "last"
    assert sum(len(part.data) for part in backwards) == 5005


def test_a_running_task_has_a_torn_last_line(tmp_path: Path) -> None:
    assert one(tmp_path, "  m: v=(@int@)", {"stdout": "v=1\nv=1"}) == 1
    assert read(tmp_path, "  m: v=(@int@)", {"stdout": "v=1\nv=23"}, live=True).values["m"] == [1]
    assert read(tmp_path, "  m: v=(@int@)", {"stdout": "v=7"}, live=True).values["m"] == [None]


# --- JSON


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.a.b[0]", 1), ("$.a.b[-1]", 3), ("$['a']['b'][1]", 2), ("$.a['odd key']", "x"), ("$.f", 0.5),
        ("$.t", True),
        ("$.nothing", None), ("$.a.b[9]", None), ("$.a.b.c", None), ("$.n", None), ("$.a.b[*]", 3),
        ("$.a.b", 3),
        ("$.list[*].v", 5),
    ],
)  # fmt: skip
def test_json_paths(tmp_path: Path, path: str, expected: object) -> None:
    document = '{"a": {"b": [1, 2, 3], "odd key": "x"}, "f": 0.5, "t": true, "n": null,"list": [{"v": 4}, {"v": 5}]}'
    metrics = f"""  m: {{json: r.json, path: "{path}"}}"""
    assert one(tmp_path, metrics, {"r.json": document}) == expected


def test_json_takes_and_types(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"r.json": '{"v": [3, 1, 2], "s": "4.5", "speed": "2 KiB/s"}'}
    assert one(tmp_path, "  m: {json: r.json, path: $.v, take: min}", files) == 1
    assert one(tmp_path, "  m: {json: r.json, path: $.v, take: mean}", files) == 2.0
    assert one(tmp_path, "  m: {json: r.json, path: $.v, take: count}", files) == 3
    assert one(tmp_path, "  m: {json: r.json, path: $.s, type: float}", files) == 4.5
    assert one(tmp_path, "  m: {json: r.json, path: $.s}", files) == "4.5"
    assert one(tmp_path, "  m: {json: r.json, path: $.speed, type: float, unit: B/s}", files) == 2048.0


@pytest.mark.parametrize(
    "output",
    [
        '{"acc": 0.5}',
        '\ufeff{"acc": 0.5}',
        'INFO starting\n{"acc": 0.1}\nINFO going on\n{"acc": 0.5}\nbye',
        'warning: {odd}\n{\n  "acc": 0.5\n}\ntrailing',
        '{"acc": 0.1}\n{"acc": 0.5}\n{"other": 1}\n{"torn": ',
        '[INFO] x\n{"acc": 0.5, "loss": NaN}',
    ],
)
def test_json_on_stdout(tmp_path: Path, output: str) -> None:
    assert one(tmp_path, "  m: {json: stdout, path: $.acc}", {"stdout": output}) == 0.5


@given(st.binary(max_size=80) | st.text(st.sampled_from('{}[]",:1aN\n\\ud8'), max_size=40).map(str.encode))
def test_any_bytes_are_documents_or_none(raw: bytes) -> None:
    for document in documents(raw):
        if not isinstance(document, Broken):
            select(document, parse_path("$.a"))


def test_halves_of_characters(tmp_path: Path) -> None:
    assert one(tmp_path, "  m: {json: r.json, path: $.a}", {"r.json": '{"a": "x\\ud800"}'}) == "x?"


@pytest.mark.parametrize("path", ["a.b", "$a", "$.a[", "$.a[x]", "$..a"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


# --- CSV


def test_csv_columns(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"h.csv": 'epoch,loss,name\n1,0.5,"a,b"\n2,0.25,\n3,,c\n'}
    assert one(tmp_path, "  m: {csv: h.csv, column: loss}", files) == "0.25"
    assert one(tmp_path, "  m: {csv: h.csv, column: loss, type: float}", files) == 0.25
    assert one(tmp_path, "  m: {csv: h.csv, column: loss, take: max}", files) == 0.5
    assert one(tmp_path, "  m: {csv: h.csv, column: epoch, take: sum}", files) == 6
    assert one(tmp_path, "  m: {csv: h.csv, column: name, take: first}", files) == "a,b"
    found = read(tmp_path, "  m: {csv: h.csv, column: los}", files)
    assert found.values["m"] == [None]
    assert 'did you mean "loss"?' in found.tallies["m"].trouble


@pytest.mark.parametrize(
    "content",
    ["a;b\n1;2,5\n", "a\tb\n1\t2,5\n", "# a, b\n1,\"2,5\"\n", "\ufeffa,b\r\n1,\"2,5\"\r\n", "\n\na;b\n1;2,5"]
)  # fmt: skip
def test_csv_dialects(tmp_path: Path, content: str) -> None:
    assert one(tmp_path, "  m: {csv: h.csv, column: b}", {"h.csv": content}) == "2,5"


def test_broken_csv_stops_nothing(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"a,b", b"a,b\n1", b'a,b\n"1', b"\xff\xfe\x00", b'a,b\n"' + b"x" * 200_000):
        assert one(tmp_path, "  m: {csv: h.csv, column: b}", {"h.csv": content}) is None


LATENCY = '{"latency": %s, "samples": [\n{"latency": 3.0},\n{"latency": 4.0}]}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"loss": 2}\n{"loss": nan}\n', math.nan), ('{"loss": 2}\n{"loss": -nan}\n', math.nan),
        ('{"loss": NaN}', math.nan),
        ('{"loss": 2}\n{"loss": inf}\n', math.inf), ('{"loss": -Infinity}', -math.inf),
        ('{"loss": -nan(ind)}', math.nan),
        ('{"loss": 2}\n{"loss": 1.#INF}\n', math.inf), ('{"loss": 2}\n{"loss": 0,5}\n', None),
        ('{"loss": 2}\n{"loss": ', None),
        ('{"loss": 2} {"loss": 3}\n', 3), ('{"loss": 2}{"loss": 3}{"loss": x}\n', None),
        ('[INFO] go\n{"loss": 2}\n[1/3] end {"loss": 9}\n', 2),
        ('{"loss": 2}\n["a", nope]\n', 2), ('{"a": "nan, inf", "loss": nan}', math.nan),
        ('{"loss": 2}\n{not json}\n', 2),
        (LATENCY.replace("latency", "loss") % "-nan", math.nan), (LATENCY.replace("latency", "loss") % "?", None),
        ('{"x": [oops,\n{"loss": 4}\n]}\n{"loss": 5}\n', 5),
        ('{"loss": 12345678901234567890123}', 12345678901234567890123),
    ],
)  # fmt: skip
def test_broken_json_lends_nothing_to_another(tmp_path: Path, text: str, expected: float | None) -> None:
    found = read(tmp_path, "  m: {json: out, path: $.loss}", {"out": text})
    assert repr(found.values["m"][0]) == repr(expected)
    if expected is None:
        assert "broken JSON in line" in found.tallies["m"].trouble


def test_a_broken_document_makes_the_smallest_unknown(tmp_path: Path) -> None:
    metrics = "  m: {json: stdout, path: $.loss, take: min}"
    assert one(tmp_path, metrics, {"stdout": '{"loss": 3}\n{"loss": 0,5}\n{"loss": 2}\n'}) is None
    assert one(tmp_path, metrics, {"stdout": '{"loss": "10"}\n{"loss": "9"}\n'}) == 9


@pytest.mark.parametrize(
    ("keys", "text", "expected"),
    [
        ("", "epoch,loss\n1,0,5\n", None), ("decimal: ','", 'epoch,loss\n1,"0,5"\n', 0.5),
        ("", 'epoch,loss\n1,"0,5"\n', "0,5"),
        ("decimal: ','", "epoch;loss\n1;0,5\n", 0.5), ("type: float", "epoch;loss\n1;0,5\n", None),
        ("decimal: ',', thousands: .", "epoch;loss\n1;1.234,5\n", 1234.5), ("take: min", "loss\n3\n1,234\n", None),
        ("take: min", 'loss\n3\n"1,234"\n', None), ("take: min", "loss\n3\nNA\n2\n", 2),
        ("", '"a;b;c;d",loss\n1,2\n', 2), ("", "loss,loss\n1,2\n", 1), ("delimiter: '||'", 'a||loss\n"x||y"||2\n', 2),
        ("delimiter: ' '", "a   loss\n 1  \t 2 \n", 2), ("comment: '#'", "# made by x\nloss\n# more, of it\n2\n", 2),
        ("skip: 2", "run 7\nof today, or so\nloss,a\n2,3\n", 2), ("", "loss,a\n2,3,\n", 2),
    ],
)  # fmt: skip
def test_layouts_of_csv_files(tmp_path: Path, keys: str, text: str, expected: object) -> None:
    found = read(tmp_path, f"  m: {{csv: out.csv, column: loss, {keys}}}", {"out.csv": text})
    value = found.values["m"][0]
    assert (float(value) if isinstance(expected, int) and isinstance(value, str) else value) in (
        expected,
        str(expected),
    )
    if expected is None:
        assert found.tallies["m"].trouble or found.tallies["m"].example


def test_columns_with_one_name(tmp_path: Path) -> None:
    second = "  m: {csv: out.csv, column: loss_2, type: int}"
    assert one(tmp_path, second, {"out.csv": "loss,loss,a\n1,2,3\n"}) == 2
    header, _ = table(TaskFile(str(tmp_path / "tasks/0/7"), "out.csv"))
    assert header == ["loss", "loss_2", "a"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("{csv: a, column: b, delimiter: ''}", "this can't be a delimiter"),
        ("{csv: a, column: b, skip: -1}", "skip"),
        ("{pattern: 'a(@int@)', comment: x}", '"comment" goes with "csv"'),
        ("{csv: a, column: b, decimal: ';'}", '";" is no value of "decimal"; it takes one of ".", ","'),
        ("{csv: a, column: b, decimal: ',', thousands: ','}", "this is the decimal mark"),
        ("{sql: a + 1, decimal: ','}", '"sql" computes them'),
    ],
)  # fmt: skip
def test_mistakes_in_the_keys_of_numbers(metric: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        experiment(f"  m: {metric}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("piece", "found"),
    [
        ("[INFO] epoch\n", 0),
        ('{"a": }\n', None),
        ('{"a": 1}', None),
        ("[1, 2,\n", 1),
        ("[", 1),
        ('"\\"', 0),
    ],
)
def test_any_output_is_read_in_a_time_that_its_size_tells(piece: str, found: int | None) -> None:
    """Where each line costs as much as the whole, they take minutes."""
    count = 1_000_000 // len(piece)
    began = time.process_time()
    seen = sum(1 for _ in documents((piece * count).encode()))
    assert time.process_time() - began < 60
    assert seen == (count if found is None else found)


def test_documents_larger_than_a_piece() -> None:
    large = {"text": "x" * 5000, "list": [{"n": n} for n in range(3000)], "é": "\\u00e9\U0001f600" * 300}
    for indent in (None, 2):
        text = "[INFO] before\n" + json.dumps(large, indent=indent) + "\n[WARN] after\n" + json.dumps({"last": 1})
        assert list(documents(text.encode())) == [large, {"last": 1}]


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("# iter   time  residual\n  1  0.1  1.0e-01\n  2  0.2  1.0d-02\n", "time", 0.2),
        ("# iter   time  residual\n  1  0.1  1.0e-01\n  2  0.2  1.0d-02\n", "residual", 0.01),
        ("#iter   time  residual\n  1  0.1  1.0e-01\n", "iter", 1.0),
        ("#  time  residual\n1  0.1  0.5\n2  0.2  0.25\n", "time", 0.2),
        ("#  time  residual\n1  0.1  0.5\n2  0.2  0.25\n", "#", 2.0),
        ("# time\n", "time", None),
    ],
)
def test_a_header_that_is_a_comment(tmp_path: Path, text: str, column: str, expected: float | None) -> None:
    metric = f"  m: {{csv: t.txt, column: '{column}', delimiter: ' ', type: float}}"
    assert one(tmp_path, metric, {"t.txt": text}) == expected
