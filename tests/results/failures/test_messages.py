"""The line that says why a program failed, and what lines of one kind have in common."""

from __future__ import annotations

import random
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.failures.clusters import Failure, clusters
from tui_lab.results.failures.messages import BINARY, PIPE, masked, telling, telling_line

OUTPUTS = {
    "no such kind": "begin\nno such kind\n",
    "ValueError: loss is nan": """\
        Traceback (most recent call last):
          File "train.py", line 3, in <module>
            raise ValueError("loss is nan")
        ValueError: loss is nan
        wandb: run ended
        wandb: 2 files were kept
        """,
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB": """\
        Traceback (most recent call last):
          File "a.py", line 1, in f
        KeyError: 'a'

        During handling of the above exception, another exception occurred:

        Traceback (most recent call last):
          File "b.py", line 2, in g
        torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
        of which 1 GiB is free
        """,
    "OSError: [Errno 28] No space left on device": "OSError: [Errno 28] No space left on device\nsee the manual\n",
    "main.c:3:5: error: 'x' undeclared": "main.c:3:5: error: 'x' undeclared\n   3 | x;\n     | ^\nmake: *** [all]\n",
    "./run: line 3: 17 Killed": "loading\n./run: line 3: 17 Killed\nstep ended\n",
    "2026-01-02 ERROR can't open the file": "2026-01-02 ERROR can't open the file\n2026-01-02 INFO bye\n",
    "epoch 2 error: 0.25": "epoch 1 error: 0.5\nepoch 2 error: 0.25\n",
    "thread 'main' panicked at src/main.rs:2": "thread 'main' panicked at src/main.rs:2\nnote: see the manual\n",
    "": "\n  \n",
}


@pytest.mark.parametrize("line", OUTPUTS)
def test_the_line_that_says_why(line: str) -> None:
    text = OUTPUTS[line]
    indent = "        " if text.startswith("        ") else ""
    lines = [one.removeprefix(indent) for one in text.split("\n")]
    assert telling([one.encode() for one in lines]).decode() == line


def test_the_line_is_read_from_the_end_of_the_last_stream(tmp_path: Path) -> None:
    (tmp_path / "stderr").write_bytes(b"KeyError: 'early'\n" + b"x\n" * 20_000 + b"\x1b[31mKeyError: 'late'\x1b[0m\r\n")
    assert telling_line(tmp_path, 1) == "KeyError: 'late'"
    (tmp_path / "stderr").write_bytes(b"a\n" + b"x" * 1_000_000 + b"\n")  # its beginning is far away
    assert telling_line(tmp_path, 1) == "x" * 500 + "…"
    (tmp_path / "stderr").write_bytes("Fehler: „ö“ fehlt, 誤り".encode() + b"\xff\n")
    assert telling_line(tmp_path, 1) == "Fehler: „ö“ fehlt, 誤り\ufffd"
    (tmp_path / "stderr").write_bytes(random.Random(1).randbytes(4000).replace(b"\n", b" "))
    assert telling_line(tmp_path, 1) == BINARY
    assert telling_line(tmp_path, 2) == ""
    assert telling_line(tmp_path, 2, signal_number=13) == PIPE
    assert telling_line(tmp_path, 1, "there is no such program") == "there is no such program"
    (tmp_path / "stdout.2").write_bytes(b"epoch 1\nno licence left\n")
    assert telling_line(tmp_path, 2) == "no licence left"
    assert telling_line(tmp_path, 2, signal_number=13) == PIPE


VALUES = st.one_of(
    st.integers(0, 10**12).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: repr(abs(value))),
    st.integers(0, 2**64).map(hex),
    st.uuids().map(str),
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda value: value.isoformat(" ", "seconds")),
    st.times().map(lambda value: value.isoformat("seconds")),
    st.lists(st.text("abcxyz019._-", min_size=1), min_size=2).map(lambda parts: "/" + "/".join(parts)),
    st.just(uuid.UUID(int=7)).map(lambda value: value.hex[-12:] + "ab12cd34"),
)


@given(VALUES, VALUES)
def test_values_are_masked(one: str, other: str) -> None:
    lines = [f"in {value} of it: no room" for value in (one, other)]
    assert masked(lines[0]) == masked(lines[1]) == "in # of it: no room"
    kinds = clusters([Failure(task, 1, "exit 1", line) for task, line in enumerate(lines)])
    assert [(kind.tasks, kind.line) for kind in kinds] == [((0, 1), lines[0])]
    said = [(lines[0], 2, 0)] if one == other else [(lines[0], 1, 0), (lines[1], 1, 1)]
    assert (list(kinds[0].lines), kinds[0].different) == (said, len(said))


def test_kinds_of_failures() -> None:
    lines = [
        ("exit 1", "ValueError: the shape of layer conv does not match that of the weights"),
        ("exit 1", "KeyError: 'lr'"),
        ("exit 1", "ValueError: the shape of layer dense does not match that of the weights"),
        ("exit 1", "TypeError: the shape of layer dense does not match that of the weights"),
        ("exit 2", "KeyError: 'lr'"),
        ("exit 1", "KeyError: 'momentum'"),
        ("exit 1", "ValueError: the shape of layer conv does not match that of the weights"),
        ("dependency", ""),
        ("dependency", ""),
    ]
    kinds = clusters([Failure(task, 1, reason, line) for task, (reason, line) in enumerate(lines)])
    assert [kind.tasks for kind in kinds] == [(0, 2, 6), (1,), (3,), (4,), (5,), (7, 8)]
    raised = [
        Failure(task, 1, "exception at a.py:3 in f", f"E: {word}", exception="E") for task, word in enumerate("ab")
    ]
    assert [(kind.tasks, kind.line) for kind in clusters(raised)] == [((0, 1), "E: a")]
