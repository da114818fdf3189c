"""Metrics and conditions are added to a text, of which all the rest stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.test_writer import values
from tui_lab.experiment.additions import add_condition, add_metric, set_repeat
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.experiment.yaml.writer import one_line, write_yaml

METRIC = {"pattern": "loss: (@float@)", "goal": "min"}
LOSS = "loss: {pattern: 'loss: (@float@)', goal: min}"
names = st.text("abcxyz", min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"metrics:\n  {LOSS}\n"),
        ("# notes\n", f"# notes\nmetrics:\n  {LOSS}\n"),
        ("command: x", f"command: x\nmetrics:\n  {LOSS}"),
        ("command: x # why\n\n# end\n", f"command: x # why\nmetrics:\n  {LOSS}\n\n# end\n"),
        ("command: x\n# why\n# a: b\n\n# end\n", f"command: x\n# why\n# a: b\nmetrics:\n  {LOSS}\n\n# end\n"),
        ("# why\ncommand: x", f"# why\ncommand: x\nmetrics:\n  {LOSS}"),
        ("command: x\n# why", f"command: x\n# why\nmetrics:\n  {LOSS}"),
        ("{command: x, # why\n}", "{command: x, metrics: {" + LOSS + "}, # why\n}"),
        ("metrics:\ncommand: x\n", f"metrics:\n  {LOSS}\ncommand: x\n"),
        ("metrics: {} # none yet\n", "metrics: {" + LOSS + "} # none yet\n"),
        ("metrics: {a: b}\nkeep: c\n", "metrics: {a: b, " + LOSS + "}\nkeep: c\n"),
        ("metrics:\n    a:\n        run: b\nkeep: c", f"metrics:\n    a:\n        run: b\n    {LOSS}\nkeep: c"),
        ("metrics:\r\n  a: b # c\r\n\r\n# d\r\n", f"metrics:\r\n  a: b # c\r\n  {LOSS}\r\n\r\n# d\r\n"),
        ("metrics:\n  a: |\n    b\n\n    c\nkeep: d\n", f"metrics:\n  a: |\n    b\n\n    c\n  {LOSS}\nkeep: d\n"),
        ("x: &x {a: b}\nmetrics:\n  <<: *x\nkeep: c\n", f"x: &x {{a: b}}\nmetrics:\n  <<: *x\n  {LOSS}\nkeep: c\n"),
        ("---\ncommand: x\n...\n", f"---\ncommand: x\nmetrics:\n  {LOSS}\n...\n"),
    ],
)  # fmt: skip
def test_a_metric_goes_behind_the_others(text: str, expected: str) -> None:
    assert add_metric(text, "f.yaml", "loss", METRIC).applied(text) == expected


@given(
    st.dictionaries(names, values, max_size=3),
    st.none() | st.dictionaries(names, values, max_size=3),
    st.booleans(),
    st.text("# a:'\"", max_size=6),
)
def test_the_rest_stays_byte_for_byte(top: dict[str, Any], metrics: Any, flow: bool, note: str) -> None:
    mapping = {**top, "metrics": metrics} if metrics is not None else top
    lines = (one_line(mapping) + "\n" if flow else write_yaml(mapping)).splitlines(keepends=True)
    block = any("|" in line for line in lines)  # in a text, a comment would be part of it
    text = "".join(lines if block else [part for line in lines for part in (f"# {note}\n", line)])
    edit = add_metric(text, "f.yaml", "loss", METRIC)
    assert edit.start == edit.end or not metrics
    assert parse(edit.applied(text), "f.yaml").node(("metrics", "loss", "goal")) is not None
    after = add_condition(text, "f.yaml", "a < 1").applied(text)
    assert repr({**parse(after, "f.yaml").value, "where": 0}) == repr({**mapping, "where": 0}) or "parameters" in top


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parameters:\n  a: [1] # b\n\ncommand: x\n",
         "parameters:\n  a: [1] # b\nwhere: 'not (a >= 6)'\n\ncommand: x\n"),
        ("where: b < 1 # why\n", "where: 'b < 1 and not (a >= 6)' # why\n"),
        ("where: b < 1 or c\n", "where: '(b < 1 or c) and not (a >= 6)'\n"),
        ("where: 'b -- why'\n", 'where: "(b -- why\\n) and not (a >= 6)"\n'),
        ("where:\ncommand: x\n", "where: 'not (a >= 6)'\ncommand: x\n"),
        ("where: |\n  b < 1\n  and c\nkeep: d\n", "where: |-\n  b < 1\n  and c\n  and not (a >= 6)\nkeep: d\n"),
        ("where: |\n  b\n  or c\n", "where: |-\n  (b\n  or c\n  ) and not (a >= 6)\n"),
    ],
)  # fmt: skip
def test_a_condition_joins_the_one_that_is_there(text: str, expected: str) -> None:
    assert add_condition(text, "f.yaml", "not (a >= 6)").applied(text) == expected


@pytest.mark.parametrize("text", ["metrics: [a]", "- a", "metrics: {loss: x}", "a: [1", "? a\n: b\n"])
def test_what_has_no_place_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"f\.yaml:1:"):
        add_metric(text, "f.yaml", "loss", METRIC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repeat: 2  # as in the paper\ncommand: x\n", "repeat: 10  # as in the paper\ncommand: x\n"),
        ("parameters: {a: [1]}\ncommand: x\n", "parameters: {a: [1]}\nrepeat: 10\ncommand: x\n"),
        ("{command: x, repeat: 1}", "{command: x, repeat: 10}"),
    ],
)
def test_repeats_are_set(text: str, expected: str) -> None:
    assert set_repeat(text, "f.yaml", 10).applied(text) == expected


def test_a_condition_of_repeats_stays() -> None:
    with pytest.raises(SpecError, match="has a condition"):
        set_repeat("repeat: {min: 2, max: 5, until: 'true'}", "f.yaml", 10)
