"""Values written as YAML mean the same when they are read."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.writer import write_yaml

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.text("ab:#'\"{}[]|>-? \n\t0.e~\u2028\x85", max_size=12)
    | st.sampled_from(
        ["yes", "null", "~", "1e3", "0o17", ".inf", "a\n\nb\n", "a\n  b", " a\nb", "a\n", "\n", "a\\", "- a"]
    )
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4)


@given(st.dictionaries(st.text(), values, min_size=1))
def test_what_is_written_reads_as_the_same(mapping: dict[str, Any]) -> None:
    document = parse(write_yaml(mapping), "x.yaml")
    assert document.problems == []
    assert repr(document.value) == repr(mapping)  # also tells 1 from 1.0 and True


def test_what_is_written_is_easy_to_read() -> None:
    command = "make -s\n\n./main {lr} | tee out.txt\n"
    mapping = {
        "name": "grid",
        "command": command,
        "parameters": {"lr": {"loguniform": [1e-05, 1]}, "opt": ["adam", "1e3"], "x": math.inf},
        "code": ["*.py"],
    }
    assert write_yaml(mapping) == (
        "name: grid\n"
        "command: |\n  make -s\n\n  ./main {lr} | tee out.txt\n"
        "parameters:\n  lr: {loguniform: [1e-05, 1]}\n  opt: [adam, '1e3']\n  x: .inf\n"
        "code: ['*.py']\n"
    )
