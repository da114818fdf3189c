"""What tasks need, what they share, what is fetched: read from the file, and resolved for an attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.test_load import said
from tui_lab.engine.core.model import AttemptNeeds
from tui_lab.engine.staging import collect
from tui_lab.engine.tasks.needs import needs_of
from tui_lab.experiment.load import load_text
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.needs import Keep, NeedError, Needs
from tui_lab.experiment.units import memory

G = 1 << 30


def experiment(lines: str) -> Experiment:
    return load_text(f"command: ./x {{n}} {{mem}} {{on}}\nparameters: {{n: [1, 2], mem: 4, on: true}}\n{lines}\n")


def needs(line: str, attempt: int = 1, changes: Any = None, **values: Any) -> AttemptNeeds:
    text = f"needs: {line}\nlimits: {{license: 3}}"
    return needs_of(experiment(text), {"n": 2, "mem": 4, "on": True, "attempt": attempt, **values}, attempt, changes)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 * G),
        ("4g", 4 * G),
        ("4GiB", 4 * G),
        ("4Gi", 4 * G),
        ("4 G", 4 * G),
        ("4GB", 4 * 10**9),
        ("1.5K", 1536),
        (".5M", 512 * 1024),
        ("2T", 2048 * G),
        ("1P", 1 << 50),
        ("100B", 100),
        ("0", 0),
    ],
)
def test_sizes_of_memory(text: str, size: int) -> None:
    assert memory(text) == size


@pytest.mark.parametrize("text", ["", "4", "G", "4Gb", "4X", "-4G", "1e3M", "4G5", "4,5G", "nan"])
def test_what_is_no_size_of_memory(text: str) -> None:
    with pytest.raises(ValueError, match="memory"):
        memory(text)


@given(st.integers(1, 10**6), st.sampled_from("KMGTP"))
def test_every_unit_is_1024_of_the_one_before(number: int, unit: str) -> None:
    assert memory(f"{number}{unit}") == number * 1024 ** ("KMGTP".index(unit) + 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("{gpus: 0, exclusive: false, memory: 0}", {}),
        ("{gpus: 1, cpus: 2, memory: 4G}", {"gpus": 1, "cpus": 2, "memory": 4 * G}),
        ("{gpus: 0.5, exclusive: true}", {"gpus": 0.5, "exclusive": True}),
        ("{cpus: 2.0, license: 1}", {"cpus": 2, "tokens": {"license": 1}}),
        ("{cpus: '{n}', memory: '{mem}G', exclusive: '{on}'}", {"cpus": 2, "memory": 4 * G, "exclusive": True}),
        ("{memory: '{attempt}G'}", {"memory": G}),
        ("{scope: '{n}', license: 1}", {"scope": 2, "tokens": {"license": 1}}),
    ],
)
def test_what_an_attempt_needs(line: str, expected: dict[str, Any]) -> None:
    assert needs(line) == expected


def test_a_list_goes_by_attempt_and_the_last_stays() -> None:
    found = [needs("{memory: [4G, 8G, '{mem}T'], gpus: [0, 1]}", attempt) for attempt in (1, 2, 3, 9)]
    assert [one["memory"] // G for one in found] == [4, 8, 4096, 4096]
    assert [one.get("gpus") for one in found] == [None, 1, 1, 1]


def test_a_retry_changes_needs() -> None:
    assert needs("{memory: [4G, 8G], gpus: 1}", 2, {"memory": 16 * G, "gpus": 0}) == {"memory": 16 * G}
    assert needs("{cpus: 1}", 1, {"license": 2}) == {"cpus": 1, "tokens": {"license": 2}}
    with pytest.raises(NeedError, match="a task needs 4 license, and the run has 3"):
        needs("{cpus: 1}", 1, {"license": 4})


@pytest.mark.parametrize(
    ("line", "values", "message"),
    [
        ("{memory: '{mem}'}", {"mem": "lots"}, '"lots" is no size of memory'),
        ("{cpus: '{n}'}", {"n": "many"}, '"cpus" must be a number, not "many"'),
        ("{cpus: '{n}'}", {"n": 1.5}, '"cpus" must be a whole number, not 1.5'),
        ("{gpus: '{n}'}", {"n": 1.5}, '"gpus" must be a whole number or a part of one GPU, not 1.5'),
        ("{cpus: '{n}'}", {"n": -1}, '"cpus" must be at least 0, not -1'),
        ("{exclusive: '{on}'}", {"on": "yes"}, '"exclusive" is true or false, not "yes"'),
        ("{license: '{n}'}", {"n": 7}, "a task needs 7 license, and the run has 3"),
    ],
)
def test_values_that_make_no_sense(line: str, values: dict[str, Any], message: str) -> None:
    made = replace(experiment("limits: {license: 3}"), needs=unchecked(line))
    with pytest.raises(NeedError) as caught:
        needs_of(made, {"n": 2, "mem": 4, "on": True, **values}, 1)
    assert str(caught.value) == message


def unchecked(text: str) -> Needs:
    """Needs with a placeholder, whose listed values were never checked."""
    name, _, value = text.strip("{}").partition(": ")
    amounts = (value.strip("'"),)
    kinds = {
        "gpus": Needs(gpus=amounts),
        "cpus": Needs(cpus=amounts),
        "memory": Needs(memory=amounts),
        "exclusive": Needs(exclusive=amounts),
        "license": Needs(tokens={"license": amounts}),
    }
    return kinds[name]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("needs: 3", ['3:8: "needs" must be a mapping, such as {gpus: 1, memory: 4G}, not the number 3']),
        ("needs: {gpus: }", ['3:9: "gpus" has no value; it takes an amount']),
        (
            "needs: {gpus: []}",
            ['3:15: "gpus" is an empty list; give an amount for each attempt; later ones take the last'],
        ),
        (
            "needs: {gpus: 1.5}",
            ['3:15: "gpus" must be a whole number or a part of one GPU, not 1.5; 2 takes two cards, 0.5 half of one'],
        ),
        ("needs: {cpus: 0.5}", ['3:15: "cpus" must be a whole number, not 0.5; such as 4']),
        (
            "needs: {cpus: 99999999999999999999}",
            ['3:15: "cpus" must be at most 1,000,000,000, not 99999999999999999999; such as 4'],
        ),
        ("needs: {memory: 9999P}", ['3:17: "memory" is at most 1024P, not 9999P; write 500M, 4G or 1.5T']),
        ("needs: {cpus: -1}", ['3:15: "cpus" must be at least 0, not -1; such as 4']),
        ("needs: {cpus: true}", ['3:15: "cpus" must be a number, not "true"; such as 4']),
        ("needs: {memory: 4}", ['3:17: the memory "4" has no unit; write 500M, 4G or 1.5T']),
        ("needs: {memory: [4G, 8]}", ['3:22: the memory "8" has no unit; write 500M, 4G or 1.5T']),
        ("needs: {exclusive: 1}", ['3:20: "exclusive" is true or false, not "1"']),
        (
            "needs: {gpu: 1}",
            ['3:9: "gpu" is neither gpus, cpus, memory, exclusive nor one of "limits"; did you mean "gpus"?'],
        ),
        (
            "needs: {mem: 1}",
            ['3:9: "mem" is neither gpus, cpus, memory, exclusive nor one of "limits"; did you mean "memory"?'],
        ),
        (
            "needs: {licence: 1}\nlimits: {license: 2}",
            [
                '3:9: "licence" is neither gpus, cpus, memory, exclusive nor one of "limits"; did you mean "license"?',
            ],
        ),
        ("needs: {slots: 1}", ['3:9: "slots" can\'t be the name of a resource']),
        ("needs: {disk: 0.5}", ['3:15: "disk" must be a whole number, not 0.5; such as 1']),
        (
            "needs: {license: [1, 3]}\nlimits: {license: 2}",
            ["3:22: a task needs 3 license, and the run has 2, so it could never start"],
        ),
        (
            "needs: {license: '{n}'}\nlimits: {license: 1}",
            ["3:18: a task needs 2 license, and the run has 1, so it could never start"],
        ),
        ("needs: {cpus: '{m}'}", ['3:15: "cpus" must be a number, not "{m}"; such as 4']),
        (
            "needs: {cpus: '{memm}'}",
            ["3:16: there is no parameter for {memm}; did you mean {mem}? For the text {memm} itself write {{memm}}"],
        ),
        ("needs: {memory: '{mem}'}", ['3:17: where "mem" is 4: the memory "4" has no unit; write 500M, 4G or 1.5T']),
        (
            "needs: {cpus: '{slot}'}",
            ["3:15: {slot} is not known before a task has a node; a need can't depend on it"],
        ),
        ("limits: {gpus: 2}", ['3:10: "gpus" is offered by nodes and can have no limit']),
        ("limits: {a: 0}", ['3:13: "a" must be at least 1, not 0']),
        ("limits: {a: 1.5}", ['3:13: "a" must be a whole number, not the number 1.5']),
        ("limits: 3", ['3:9: "limits" must be a mapping, such as {license: 2}, not the number 3']),
        ("keep: /tmp/x", ['3:7: "/tmp/x" is not inside {output}; globs are relative to the task\'s folder']),
        ("keep: [a, ../b]", ['3:11: "../b" is not inside {output}; globs are relative to the task\'s folder']),
        ("keep: {most: 5}", ['3:14: "5" has no unit; write 500M, 4G or 1.5T']),
        ("keep: {most: much}", ['3:14: "much" is no size; write 500M, 4G or 1.5T']),
        ("keep: {glob: x}", ['3:8: "glob" is no key of "keep"; did you mean "globs"?']),
    ],
)
def test_mistakes(lines: str, expected: list[str]) -> None:
    assert said(f"command: ./x {{n}} {{mem}}\nparameters: {{n: [1, 2], mem: 4}}\n{lines}\n") == expected


@pytest.mark.parametrize(
    "domain",
    [
        "[1, 2.5]",
        "{linspace: [1, 2, 3]}",
        "{cases: {1: {b: 2}, x: {b: 3}}}",
        "{choice: [1, x]}",
        "{range: [1, 2, 0.5]}",
    ],
)
def test_every_value_that_the_file_says_is_tried(domain: str) -> None:
    lines = f"sample: {{n: 1}}\nparameters: {{a: {domain}}}\nneeds: {{cpus: '{{a}}'}}\n"
    (found,) = said(f"command: ./x {{a}}\n{lines}")
    assert found.startswith('4:15: where "a" is ')


def test_a_value_of_a_case_is_tried() -> None:
    lines = "parameters: {a: {cases: {small: {m: 1}, big: {m: lots}}}}\nneeds: {memory: '{m}G'}\n"
    expected = '3:17: where "m" is lots: "lotsG" is no size of memory; write 500M, 4G or 1.5T'
    assert said(f"command: ./x\n{lines}") == [expected]


def test_a_limit_that_nothing_takes_is_noticed() -> None:
    assert experiment("limits: {license: 2}").notices == ('experiment.yaml:3:10: no task needs "license"',)
    assert experiment("limits: {license: 2}\nneeds: {license: 1}").notices == ()


def test_a_parameter_that_only_a_need_uses_is_used() -> None:
    made = load_text("command: ./x\nparameters: {mem: [1, 2]}\nneeds: {memory: '{mem}G'}")
    assert made.notices == ()


@pytest.mark.parametrize(
    ("line", "globs", "most"),
    [
        ("keep:", None, 2 * G),
        ("keep: []", (), 2 * G),
        ("keep: '*.csv'", ("*.csv",), 2 * G),
        ("keep: {most: 1G}", None, G),
        ("keep: {globs: [a, b/**]}", ("a", "b/**"), 2 * G),
    ],
)
def test_what_is_fetched(line: str, globs: tuple[str, ...] | None, most: int) -> None:
    made = experiment(line)
    assert made.keep == Keep(globs=globs, most=most)
    told = collect(made, "/home")
    assert told["most"] == most
    assert (told["keep"] is None) == (globs is None)
    assert set(globs or ()) <= set(told["keep"] or ())


def test_what_results_are_read_from_is_always_fetched() -> None:
    lines = (
        "metrics: {a: {json: 'r[1].json', path: $.a}, b: {pattern: x, take: count, from: log.txt}}\nrows: {csv: h.csv}"
    )
    told = collect(experiment(f"keep: []\n{lines}"), "/home")["keep"] or []
    assert {"stdout", "stderr", "*.stdout", "metrics.jsonl", "r[[]1].json", "log.txt", "h.csv"} <= set(told)
