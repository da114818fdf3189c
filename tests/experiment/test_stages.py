"""Stages of a file: what each uses, what it comes after, where repeats begin, and what is wrong."""

from __future__ import annotations

import itertools
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.load import load_text
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.stages import cycle, in_order
from tui_lab.experiment.yaml.problem import SpecError

THREE = """\
stages:
  test: {command: './test {train.output} {prepare.output}'}
  train:
    command: ./train {prepare.output} [lr] --seed {seed}
    needs: {cpus: '{cores}'}
    env: {SIZE: '{size}'}
    timeout: 5m
  prepare: {command: './prepare {data}', uses: [data, size]}
env: {LEVEL: '{level}', SIZE: none}
timeout: 1h
repeat: 2
parameters: {data: [a, b], size: [1, 2], lr: [0.1], cores: [1], level: [3]}
"""


def load(text: str) -> Experiment:
    return load_text(textwrap.dedent(text), "f.yaml")


def test_what_stages_use_and_come_after() -> None:
    experiment = load(THREE.replace("[data, size]", "[data, size, level]"))
    stages = experiment.stages
    assert list(stages) == ["prepare", "train", "test"]
    assert stages["prepare"].uses == ("data", "size", "level")
    assert stages["train"].uses == ("size", "lr", "cores", "level"), "also what its variables and needs name"
    assert stages["test"].uses == ("level",), "the variables of the experiment are those of every stage"
    assert (stages["train"].after, stages["test"].after) == (("prepare",), ("train", "prepare"))
    repeated = {name: (one.begins_repeats, one.repeated, one.takes_seed) for name, one in stages.items()}
    assert repeated == {
        "prepare": (False, False, False),
        "train": (True, True, True),
        "test": (False, True, False),
    }


def test_a_stage_has_its_own_keys_before_those_of_the_experiment() -> None:
    experiment = load(THREE.replace("[data, size]", "[data, size, level]"))
    train = experiment.of_stage("train")
    assert (experiment.stage, experiment.timeout, experiment.command) == (
        "test",
        3600.0,
        "./test {train.output} {prepare.output}",
    )
    assert (train.stage, train.timeout, train.env) == ("train", 300.0, {"LEVEL": "{level}", "SIZE": "{size}"})
    assert train.of_stage("prepare").env == {"LEVEL": "{level}", "SIZE": "none"}
    assert [one.stage for one in train.per_stage] == ["prepare", "train", "test"]
    assert str(train.problem(("timeout",), "it")) == "f.yaml:7:14: it"
    assert str(experiment.problem(("timeout",), "it")) == "f.yaml:10:10: it"


def test_the_last_stage_is_beside_all_others_that_none_comes_after() -> None:
    experiment = load(
        """
        stages:
          build: {command: make}
          check: {command: make check, after: build}
          bench: {command: 'make bench SIZE={n}', after: build}
        parameters: {n: [1, 2]}
        """
    )
    assert experiment.stage == "bench"
    assert experiment.stages["bench"].after == ("build",)
    assert experiment.beside == experiment.stages["bench"].beside == ("check",)
    assert experiment.outputs_before == ("build.output",), "it can't read what may not be there yet"


MISTAKES = [
    ("stages: {a: {command: x}}\ncommand: y\n", '2:1: with "stages", "command" stands at a stage; move it there'),
    (
        "stages: {a: {command: 'echo > {output}/x'}, b: {command: 'cat {a}/x'}}\n",
        "1:63: {a} is a stage, not a parameter; {a.output} is the folder of its run",
    ),
    ("stages: {a: {}}\n", '1:10: the stage "a" has no "command"; add one, as in: command: ./prepare.sh'),
    ("stages: {a: {comand: x}}\n", '1:14: "comand" is no key of a stage; did you mean "command"?'),
    ("stages: {a: x}\n", '1:13: "a" must be a mapping, such as {command: ./prepare.sh}, not text ("x")'),
    (
        "stages: {a: {command: x}, A: {command: x}}\n",
        '1:27: the stages "a" and "A" differ only in case',
    ),
    (
        "stages: {make: {command: x}, b: {command: y, after: mak}}\n",
        '1:53: there is no stage "mak"; did you mean "make"?',
    ),
    ("stages: {a: {command: x, after: a}}\n", '1:33: the stage "a" can\'t come after itself'),
    (
        "stages:\n  a: {command: x, after: [c]}\n  b: {command: x, after: a}\n  c: {command: 'y {b.output}'}\n",
        "2:3: these stages wait for each other: a -> b -> c -> a",
    ),
    (
        "stages: {a: {command: 'x {a.output}'}}\n",
        "1:23: {a.output} is the stage's own folder; write {output}",
    ),
    (
        "stages: {a: {command: 'x {lr}', uses: [n]}}\nparameters: {n: [1], lr: [1]}\n",
        (
            '1:39: the stage "a" takes {lr}, which its "uses" does not name; '
            "add lr to it, or leave it out: what a stage names, it uses"
        ),
    ),
    (
        "stages: {a: {command: 'x {n}', uses: [m]}}\nparameters: {n: [1]}\n",
        '1:39: there is no parameter "m"',
    ),
    (
        "stages: {a: {command: 'x {params}'}}\nparameters: {n: [1]}\n",
        (
            '1:23: the stage "a" reads its parameters from a file or TUI_LAB_PARAMS; '
            "say which: add uses: all, or uses: [NAME, ...]"
        ),
    ),
    (
        "stages: {a: {command: 'x {task_id}'}, b: {command: y, after: a}}\n",
        (
            '1:23: {task_id} can\'t stand at the stage "a": several tasks share a run of it; '
            "{output} is a folder of the run's own"
        ),
    ),
    (
        "stages: {a: {command: x}}\nrepeat: 3\n",
        (
            "2:9: no stage uses {seed} or {repeat}, so all repeats of a task would be the same; "
            "add per_repeat: true to the stage at which they begin"
        ),
    ),
    (
        "stages: {a: {command: x}}\nseed: 3\n",
        "2:7: no stage uses the seed; a stage that uses it has {seed} in its command, or says per_repeat: true",
    ),
    (
        "stages: {a: {command: x}, b: {command: 'y {a.output}'}}\nparameters: {a.output: [1]}\n",
        '2:14: the parameter "a.output" is called like the folder of the stage "a"',
    ),
    (
        "stages: {a: {command: x, per: nod}, b: {command: y, after: a}}\n",
        '1:31: "nod" is no value of "per"; did you mean "node"?',
    ),
    (
        "stages: {a: {command: x}, b: {command: y, after: a, per: node}}\n",
        '1:53: nothing comes after the stage "b": a task is one run, not one for each node',
    ),
    (
        "stages: {a: {command: x, per: node, run_on: big}, b: {command: y, after: a}}\n",
        (
            "1:37: a run for each node goes to the nodes that need it; "
            'what comes after it says where, by a "run_on" of its own'
        ),
    ),
    (
        "stages: {a: {command: x, per: node, retain: until-done}, b: {command: y, after: a}}\n",
        "1:37: the runs of the nodes keep their files: another task may need them",
    ),
    ("stages: {a: {command: x, per_repeat: 3}}\n", '1:38: "per_repeat" must be true or false, not the number 3'),
    (
        "stages: {a: {command: x}, b: {command: y, retain: until-done, after: a}}\n",
        '1:51: no stage comes after "b": its files are results of tasks; leave retain out',
    ),
    (
        "stages: {a: {command: x, retain: until-don}, b: {command: y, after: a}}\n",
        '1:34: "until-don" is no value of "retain"; did you mean "until-done"?',
    ),
    (
        "stages: {a: {command: x, outs: [m, ../x]}}\n",
        '1:36: "../x" is not inside {output}; globs are relative to the folder of a run',
    ),
    (
        "stages: {a: {command: 'x {lr}', outs: 'm-{lr}.pt'}}\nparameters: {lr: [1]}\n",
        '1:39: "outs" are globs, without values of parameters: {lr}; write * for it',
    ),
    ("stages: {a: {command: 'x {b.outptu}'}, b: {command: y}}\n", "1:26: there is no parameter for {b.outptu}"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_mistakes_are_reported_at_their_place(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(text, "f.yaml")
    assert any(str(one).removeprefix("f.yaml:").startswith(said) for one in caught.value.problems), caught.value


def test_a_parameter_that_no_stage_uses_is_noted() -> None:
    experiment = load("stages: {a: {command: 'x {n}'}}\nparameters: {n: [1], size: [1, 2]}\n")
    assert [notice for notice in experiment.notices if '"size"' in notice]


names = st.sampled_from("abcde")


@given(st.dictionaries(names, st.frozensets(names, max_size=2), min_size=1))
def test_an_order_or_a_circle(after: dict[str, frozenset[str]]) -> None:
    graph = {name: tuple(sorted(before & after.keys())) for name, before in after.items()}
    order = in_order(graph)
    if order is None:
        way = cycle(graph)
        assert way[0] == way[-1]
        assert all(later in graph[name] for name, later in itertools.pairwise(way))
    else:
        assert sorted(order) == sorted(graph)
        assert all(order.index(other) < order.index(name) for name, before in graph.items() for other in before)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("{stage: bb, pattern: '(@int@)'}", '2:36: there is no stage "bb"; it is one of a, z, b'),
        ("{stage: a, sql: c + 1}", '2:29: "sql" does not read the outputs of a stage'),
        (
            "{stage: a, run: 'echo {y}', pattern: '(@int@)'}",
            '2:50: {y} has no value here: the stage "a" does not use it; tasks that share a run of it may differ there',
        ),
        ("{stage: a, run: 'echo {x} {seed}', pattern: '(@int@)'}", "2:54: {seed} has no value here"),
        ("{stage: z, function: 'f.py::g'}", '2:36: "function" may come too late: files of "z" are removed'),
        ("{stage: a, run: 'echo {task_id}', pattern: '(@int@)'}", "2:50: {task_id} has no value here"),
    ],
)
def test_metrics_of_stages(metric: str, said: str) -> None:
    text = "stages: {a: {command: 'x {x}'}, z: {command: z, retain: until-done}, b: {command: 'y {y}', after: [a, z]}}"
    text += "\nmetrics: {c: '(@int@)', m: METRIC}\n"
    text += "parameters: {x: [1, 2], y: [1, 2]}\n"
    with pytest.raises(SpecError) as caught:
        load_text(text.replace("METRIC", metric), "f.yaml")
    assert any(str(one).removeprefix("f.yaml:").startswith(said) for one in caught.value.problems), caught.value
    with pytest.raises(SpecError, match="there are no stages"):
        load_text("command: x\nmetrics: {m: {pattern: '(x)', stage: a}}\n", "f.yaml")
