"""Loading experiment.yaml: every form of every key, and every mistake with its place and words."""

# ruff: noqa: E501, ISC004, SIM905  (messages are asserted whole)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tui_lab.experiment.domains.cases import Cases
from tui_lab.experiment.domains.choice import Choice
from tui_lab.experiment.domains.domain import Listed
from tui_lab.experiment.domains.geomspace import Geomspace
from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.domains.linspace import Linspace
from tui_lab.experiment.domains.loguniform import LogUniform
from tui_lab.experiment.domains.randint import RandInt
from tui_lab.experiment.domains.range import Range
from tui_lab.experiment.domains.uniform import Uniform
from tui_lab.experiment.load import load, load_text
from tui_lab.experiment.model import Experiment, FileTemplate, Metric, Rows, Sample, Seed
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.row_sources.pattern import PatternRows
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.experiment.sources.run import RunSource
from tui_lab.experiment.yaml.problem import Problem, SpecError, suggest

FILES = Path(__file__).parent / "files"
FULL = FILES / "full.yaml"


def said(text: str, name: str = "f.yaml") -> list[str]:
    """What is wrong with a text, without the file's name."""
    try:
        load_text(text, name)
    except SpecError as error:
        assert list(error.problems) == sorted(error.problems)
        for problem in error.problems:
            _check_fix(text, name, problem)
        return [str(problem).removeprefix(f"{name}:") for problem in error.problems]
    return []


def _check_fix(text: str, name: str, problem: Problem) -> None:
    """A fix takes the problem away, and most that name another word have one."""
    if problem.fix is None:
        assert not problem.hint.startswith("did you mean") or problem.file != name, problem
        return
    try:
        load_text(problem.fix.applied(text), name)
    except SpecError as error:
        places = [(one.line, one.column, one.message) for one in error.problems]
        assert (problem.line, problem.column, problem.message) not in places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("command: echo a: b\n", "command: 'echo a: b'\n"),
        ("command: @x # why\n", "command: '@x' # why\n"),
        ("command: {x} y\n", "command: '{x} y'\n"),
        ("command: {x}\n", "command: '{x}'\n"),
        ("command: x\nmetrics:\n  a: [0-9]+ (@float@)\n", "command: x\nmetrics:\n  a: '[0-9]+ (@float@)'\n"),
        ("command: x\nmetrics:\n  a: loss (@flot@)\n", "command: x\nmetrics:\n  a: loss (@float@)\n"),
        ('comand: "x" # why\n', 'command: "x" # why\n'),
        ("command: x {lrr}m\nparameters: {lr: 1}\n", "command: x {lr}m\nparameters: {lr: 1}\n"),
    ],
)
def test_what_a_hint_suggests_is_an_edit(text: str, expected: str) -> None:
    with pytest.raises(SpecError) as error:
        load_text(text)
    fix = error.value.problems[0].fix
    assert fix is not None
    assert fix.applied(text) == expected


def domain(text: str) -> Any:
    experiment = load_text(f"command: ./x {{p}}\nsample: {{n: 9}}\nparameters:\n  p: {text}\n")
    return experiment.parameters[0]["p"]


# --- What is right


def test_the_least_experiment() -> None:
    experiment = load_text("command: ./x", "some/where/least.yaml")
    assert experiment == Experiment(name="least", command="./x")
    assert experiment.file == Path("some/where/least.yaml")
    assert experiment.folder == Path("some/where").absolute()
    assert experiment.parameters == ()
    assert experiment.seed is None and experiment.seeding == Seed(base=0, per="repeat")
    assert experiment.retry_on == ("exit", "exception", "signal", "timeout", "oom", "outs")
    assert (experiment.repeat, experiment.retries, experiment.grace, experiment.timeout) == (1, 0, 10.0, None)
    assert experiment.ok_exit_codes == (0,)
    assert experiment.order == "interleaved"
    assert experiment.notices == ()


def test_every_key() -> None:
    experiment = load(FULL)
    assert experiment.name == "full"
    assert [(s.name, s.line) for s in experiment.steps] == [("prepare", 6), ("train", 7)]
    assert experiment.parameters[0]["lr"] == Geomspace(start=0.001, stop=0.1, n=3)
    assert experiment.parameters[0]["batch"] == Listed(values=(16, 32, None))
    assert experiment.parameters[0]["size"] == Cases(
        cases={"small": {"width": 8, "depth": 2}, "big": {"width": 64, "depth": 8}}
    )
    assert experiment.parameters[0]["optimizer"] == Listed(values=("adam",))
    assert experiment.parameters[1]["warmup"] == Range(start=0, stop=0.3, step=0.1)
    assert experiment.parameters[1]["batch"] == Linspace(start=8, stop=16, n=3)
    assert experiment.defaults["early-stop"] is False
    assert experiment.zip == (("lr", "batch"),)
    assert experiment.where == 'lr < 1 and "early-stop" is not null'
    assert experiment.derive == {"hidden": "2 * width"}
    assert experiment.sample == Sample(n=50, seed=1)
    assert experiment.repeat == 10
    assert experiment.seed == Seed(base=1, per="task")
    assert experiment.files["mesh.json"] == FileTemplate(source="mesh.tmpl", marks=("#", "#"))
    assert experiment.templates["input.nml"] == "dt = {lr:.3e}\nsteps = {steps}\n"
    assert experiment.workdir == "runs"
    assert experiment.env == {"OMP_NUM_THREADS": "4", "WARMUP": "{warmup}", "EMPTY": ""}
    assert experiment.setup == "module load cuda\nconda activate lab"
    assert (experiment.timeout, experiment.grace) == (5400.0, 30.0)
    assert experiment.retry_on == ("exit", "oom")
    assert experiment.metrics["loss"] == Metric(source=PatternSource(pattern="Final Loss: (@float@)"))
    assert experiment.metrics["rate"] == Metric(source=JsonSource(json_file="result.json", path="$.rate"))
    assert experiment.metrics["size"] == Metric(
        source=RunSource(run="stat -c %s {output}/model.bin", pattern="(@int@)")
    )
    assert experiment.rows == Rows(source=PatternRows(pattern="epoch (?P<epoch>@int@) loss (?P<loss>@float@)"))
    assert experiment.code == ("*.py", "lib/**")
    assert experiment.inputs == ("data/*.csv",)
    assert experiment.unhashed == ("early-stop",)
    assert experiment.needs == Needs(gpus=(0.5,), cpus=(2,), memory=(4 << 30, "{steps}M"), tokens={"license": (1,)})
    assert experiment.limits == {"license": 2}
    assert experiment.keep == Keep(globs=("*.csv", "plots/**"), most=500 << 20)
    assert experiment.notices == ()
    assert experiment.parameter_names == (
        *("lr", "batch", "early-stop", "size", "width", "depth", "optimizer", "warmup", "steps", "hidden"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", Listed(values=(0.1,))),
        ("relu", Listed(values=("relu",))),
        ("on", Listed(values=("on",))),
        ("false", Listed(values=(False,))),
        (
            "[1, 1.0, true, '1', null, [2, 3], {a: 1}]",
            Listed(values=(1, 1.0, True, "1", None, [2, 3], {"a": 1})),
        ),
        ("{range: [1, 51, 2]}", Range(start=1, stop=51, step=2)),
        ("{range: [0, 3]}", Range(start=0, stop=3, step=1)),
        ("{range: [3, 0, -1]}", Range(start=3, stop=0, step=-1)),
        ("{linspace: [0, 1, 5]}", Linspace(start=0, stop=1, n=5)),
        ("{geomspace: [-1, -100, 3]}", Geomspace(start=-1, stop=-100, n=3)),
        ("{uniform: [0, 1e-3]}", Uniform(a=0, b=0.001)),
        ("{loguniform: [1e-5, 1]}", LogUniform(a=1e-5, b=1)),
        ("{randint: [1, 1]}", RandInt(a=1, b=1)),
        ("{choice: [a, 2]}", Choice(values=("a", 2))),
    ],
)
def test_domains(text: str, expected: object) -> None:
    found = domain(text)
    assert found == expected
    if isinstance(found, Listed):  # equality in Python is not enough: 1 == 1.0 == True
        assert list(map(type, found.values)) == list(map(type, expected.values))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("domain", "size"),
    [
        (Range(start=0, stop=1, step=0.1), 10),
        (Range(start=0, stop=0.3, step=0.1), 3),
        (Range(start=1, stop=51, step=2), 25),
        (Range(start=5, stop=0, step=-2), 3),
        (Range(start=0, stop=0), 0),
        (Linspace(start=0, stop=1, n=7), 7),
        (Listed(values=(1, 1)), 2),
    ],
)
def test_sizes(domain: Range | Linspace | Listed, size: int) -> None:
    assert domain.size == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1d", 86400.0),
        ("500ms", 0.5),
        ("1.5m", 90.0),
        ("90", 90.0),
        ("'90'", 90.0),
        ("0.5", 0.5),
        ("'{t}m'", "{t}m"),
        ("~", None),
    ],
)
def test_timeouts(text: str, seconds: float | str | None) -> None:
    assert load_text(f"command: ./x {{t}}\nparameters: {{t: 1}}\ntimeout: {text}\n").timeout == seconds


def test_forms_of_a_command() -> None:
    assert load_text("command: true").command == "true"
    assert load_text("command: |\n  a\n  b\n").command == "a\nb\n"
    assert load_text("command: [make -s, ./x]").command == ("make -s", "./x")
    assert load_text("command: [make]").command == ("make",)
    steps = load_text("command:\n  build: make\n  run: |\n    ./x\n").steps
    assert [(s.name, s.command, s.line) for s in steps] == [("build", "make", 2), ("run", "./x\n", 3)]


def test_one_or_many() -> None:
    text = "command: ./x\nretry_on: oom\nok_exit_codes: 3\ntags: a\ncode: '*.py'\nsetup: module load x\nseed: 3\n"
    experiment = load_text(text)
    assert experiment.retry_on == ("oom",)
    assert experiment.ok_exit_codes == (3,)
    assert experiment.tags == ("a",)
    assert experiment.code == ("*.py",)
    assert experiment.setup == "module load x"
    assert experiment.seed == Seed(base=3)


def test_keys_left_empty_mean_nothing() -> None:
    keys = "parameters defaults zip where derive sample files workdir env shell setup timeout max_failures".split()
    keys += "metrics rows code inputs unhashed tags description name".split()
    text = "command: ./x\n" + "".join(f"{key}:\n" for key in keys)
    assert load_text(text) == Experiment(name="experiment", command="./x")


def test_workdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("PROJECT", "/data/p")
    monkeypatch.delenv("NOWHERE", raising=False)

    def workdir(text: str) -> str | None:
        return load_text(f"command: ./x {{p}}\nparameters: {{p: 1}}\nworkdir: {text}\n", "/lab/f.yaml").workdir

    assert workdir("runs/../r") == "r"
    assert workdir("/abs") == "/abs"
    assert workdir("~/w") == "/home/ana/w"
    assert workdir("$PROJECT/w") == "/data/p/w"
    assert workdir("${PROJECT}") == "/data/p"
    assert workdir("$NOWHERE/w") == "$NOWHERE/w"
    assert workdir("'{output}'") == "{output}"
    assert workdir("'runs/{p}'") == "runs/{p}"
    assert workdir("../w") == "/w"


def test_a_copy_in_a_lab_means_what_the_original_meant(tmp_path: Path) -> None:
    original = tmp_path / "project" / "sweep.yaml"
    original.parent.mkdir()
    original.write_text("command: ./x < {output}/in\nfiles: {in: in.tmpl}\nworkdir: w\n")
    (original.parent / "in.tmpl").write_text("text")
    first = load(original)
    copy = tmp_path / "experiment.yaml"
    copy.write_text(original.read_text())
    second = load(copy, folder=first.folder, stem="sweep", templates=first.templates)
    assert second == first
    assert second.templates == first.templates
    (original.parent / "in.tmpl").unlink()
    assert load(copy, folder=first.folder, stem="sweep", templates=first.templates) == first


def test_anchors_and_merge_keys() -> None:
    text = """
command: ./x {a} {b}
parameters:
  - &base {a: [1, 2], b: 3}
  - {<<: *base, b: 4}
"""
    sweeps = load_text(text).parameters
    assert sweeps == (
        {"a": Listed(values=(1, 2)), "b": Listed(values=(3,))},
        {"a": Listed(values=(1, 2)), "b": Listed(values=(4,))},
    )


# --- Notices


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("ci95(loss) < -0.01", "ci95(loss) is never below 0"),
        ("n(loss) > 3 AND sd(loss) < 0", "sd(loss) is never below 0"),
        ("n(loss) >= 9", "n(loss) is at most 8, the largest number of repeats"),
        ("n() > 8", "n() is at most 8, the largest number of repeats"),
        ("8 < count(loss)", "count(loss) is at most 8, the largest number of repeats"),
        ("n() = 9", "n() is at most 8, the largest number of repeats"),
        ("0 > stddev_samp(loss)", "stddev_samp(loss) is never below 0"),
        ("ci95(loss) <= 0", ""),
        ("ci95(loss) < 0.01 * mean(loss)", ""),
        ("n(loss) >= 8", ""),
        ("ci95(loss) < -1 OR n() > 4", ""),
        ("NOT (sd(loss) < 0)", ""),
    ],
)
def test_a_condition_that_cannot_become_true_is_told(condition: str, why: str) -> None:
    text = (
        f"command: echo loss\nrepeat: {{min: 2, max: 8, until: '{condition}'}}\nmetrics: {{loss: 'loss (@float@)'}}\n"
    )
    said = load_text(text, "f.yaml").notices
    assert said == ((f"f.yaml:2:33: this can't become true: {why}; every setting runs 8 times",) if why else ())


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("1e-2,1e-3", "as a list: [1e-2, 1e-3]"),
        ("1 2 3", "as a list: [1, 2, 3]"),
        ("sgd, adam", "as a list: [sgd, adam]"),
        ("range(0, 3)", "as a domain: {range: [0, 3]}"),
        ("range(3)", "as a domain: {range: [0, 3]}"),
        ("1..3", "as a domain: {range: [1, 4]}"),
        ("np.logspace(-3, 0, 4)", "as a domain: {geomspace: [0.001, 1, 4]}"),
    ],
)
def test_a_text_that_looks_like_a_list_is_told(value: str, hint: str) -> None:
    said = load_text(f"command: echo {{x}}\nparameters:\n  x: {value}\n", "f.yaml").notices
    assert said == (f"f.yaml:3:6: \"x\" is the single text {value} here; {hint}; as a text: '{value}'",)
    assert not load_text(f"command: echo {{x}}\nparameters:\n  x: '{value}'\n").notices


@pytest.mark.parametrize(
    "value", ["2026-01-31", "1:30", "a b", "--fast", "f(1)", "hello, world!", "127.0.0.1", "1.2.3"]
)
def test_a_plain_text_is_nothing_to_tell(value: str) -> None:
    assert not load_text(f"command: echo {{x}}\nparameters:\n  x: {value}\n").notices


def test_unused_parameters_are_noticed() -> None:
    text = """
command: ./x {a} {b}
parameters: {a: 1, unused: [1, 2], filter: 1, size: {cases: {s: {b: 1, c: 1}}}, in_env: 1, base: 1}
derive: {double: 2 * base}
where: filter = 1
env: {E: '{in_env}'}
"""
    notice = "no command, file or variable uses the parameter"
    assert load_text(text, "f.yaml").notices == (
        f'f.yaml:3:20: {notice} "unused"',
        f'f.yaml:3:72: {notice} "c"',
        f'f.yaml:4:10: {notice} "double"',
    )


@pytest.mark.parametrize("command", ["./x {params}", "./x $TUI_LAB_PARAMS"])
def test_a_command_that_reads_all_parameters_uses_them(command: str) -> None:
    assert load_text(f"command: {command}\nparameters: {{a: 1}}\n").notices == ()


def test_braces_that_name_nobody_are_noticed() -> None:
    text = "command:\n- ./x {a}\n- ./y {n} '{quoted}' {forgotten}\nparameters: {a: 1, n: 2}\n"
    assert load_text(text, "f.yaml").notices == (
        "f.yaml:3:22: {forgotten} is not a parameter, so the program gets this text",
    )


# --- What is wrong

MISTAKES: list[tuple[str, list[str]]] = [
    # the file
    ("", ["1:1: the file is empty; it needs at least a command, as in: command: ./main.py {x}"]),
    ("# only this\n", ["1:1: the file is empty; it needs at least a command, as in: command: ./main.py {x}"]),
    ("- a\n", ['1:1: the file must be a mapping, such as "command: ./main.py {x}", not a list']),
    ("hello\n", ['1:1: the file must be a mapping, such as "command: ./main.py {x}", not text ("hello")']),
    ("repeat: 3\n", ['1:1: there is no "command"; add one, as in: command: ./main.py {x}']),
    # keys
    (
        "command: x\nrepat: 3\nvars: {}\nxyzzy: 1\n",
        [
            '2:1: there is no key "repat"; did you mean "repeat"?',
            '3:1: there is no key "vars"; did you mean "parameters"?',
            '4:1: there is no key "xyzzy"',
        ],
    ),
    (
        "command: x\nstop_when: x\nwarmup: 1\nhooks:\n",
        [
            '2:1: "stop_when" is not supported yet',
            '3:1: "warmup" is not supported yet',
            '4:1: "hooks" is not supported yet',
        ],
    ),
    ("cmd: x\n", ['1:1: there is no key "cmd"; did you mean "command"?']),
    (
        "command: x\nnodes: [a]\ngoal: max\n",
        [
            '2:1: there is no key "nodes"; give nodes when it runs: --node HOST SLOTS, or --cluster FILE',
            '3:1: there is no key "goal"; it stands at a metric: metrics: {NAME: {pattern: ..., goal: max}}',
        ],
    ),
    ("stages: {}\n", ['1:9: "stages" is empty; each stage needs a command, as in: {prepare: {command: ./prepare.sh}}']),
    ('command: "x\\0y"\n', ["1:12: a NUL character can't stand here"]),
    ("command: x\nrepeat: 1\nrepeat: 2\n", ['3:1: "repeat" is given twice, the first time in line 2']),
    # name
    (
        "command: x\nname: my sweep\n",
        ['2:7: "my sweep" can\'t be a name; names begin with a letter or _ and continue with letters, digits, _ . -'],
    ),
    (
        "command: x\nname: grid_Rows\n",
        ["2:7: an experiment's name can't end in \"_rows\"; tables of experiments have such names"],
    ),
    (
        "command: x\nname: Results\n",
        ['2:7: an experiment can\'t be called "Results"; that is the name of a table in SQL'],
    ),
    (
        f"command: x\nname: {'n' * 101}\n",
        ['2:7: "nnnnnnnnnnnnnnnnnnnn..." is too long for a name; 100 characters are allowed'],
    ),
    # command
    ("command:\n", ["1:1: the command is empty"]),
    ("command: '  '\n", ["1:10: the command is empty"]),
    ("command: []\n", ["1:10: the command is an empty list; give at least one command"]),
    (
        "command: echo {x}\nparameters: {x: [{a, b}, {a: null}]}\n",
        ["2:18: YAML reads {a, b} as a mapping, not as text; put it in single quotes: '{a, b}'"],
    ),
    ("command: {}\n", ["1:10: YAML reads {} as a mapping, not as text; put it in single quotes: '{}'"]),
    ("command: {x}\n", ["1:10: YAML reads {x} as a mapping, not as text; put it in single quotes: '{x}'"]),
    (
        "command: {{x}}\n",
        ["1:11: a mapping can't be a key; put the whole value in single quotes if it is text"],
    ),
    (
        "command: [x]\nparameters: {x: 1}\n",
        ["1:10: YAML reads [x] as a list, not as text; put it in single quotes: '[x]'"],
    ),
    (
        "command: [python, main.py, --lr, 0.1]\n",
        [
            "1:10: a list of commands, but these look like the words of one; write them as one text: python main.py --lr 0.1"
        ],
    ),
    (
        "command: |\n  ./main\n    --lr 1\n",
        [
            '3:5: a command can\'t begin with "-": --lr 1; '
            'fold the command with ">-", or end the line before it with a backslash'
        ],
    ),
    (
        "command: {a: x, A: y, 2b: z, c: {x}, d: }\n",
        [
            '1:17: the steps "a" and "A" differ only in case',
            '1:23: "2b" can\'t be a name; names begin with a letter or _ and continue with letters, digits, _ . -',
            "1:33: YAML reads {x} as a mapping, not as text; put it in single quotes: '{x}'",
            "1:38: the command is empty",
        ],
    ),
    (
        "command: [make all, {a: b}]\n",
        ['1:21: an item of "command" must be text, not a mapping'],
    ),
    # placeholders
    (
        "command: |\n  ./x {lr}\n  ./y {lrr}\nparameters: {lr: 1}\n",
        ["3:7: there is no parameter for {lrr}; did you mean {lr}? For the text {lrr} itself write {{lrr}}"],
    ),
    (
        "command: ./x {lr}\nparameters: {lr: 1}\nenv: {A: '{lrr}'}\ntimeout: '{lrr}m'\n",
        [
            "3:11: there is no parameter for {lrr}; did you mean {lr}? For the text {lrr} itself write {{lrr}}",
            "4:11: there is no parameter for {lrr}; did you mean {lr}? For the text {lrr} itself write {{lrr}}",
        ],
    ),
    # parameters
    ("command: x\nparameters: 3\n", ['2:13: "parameters" must be a mapping of parameters, not the number 3']),
    (
        "command: x\nparameters: []\n",
        ['2:13: "parameters" is an empty list; leave it out, or give at least one sweep'],
    ),
    ("command: x\nparameters: [~]\n", ["2:14: this sweep is empty; write {} for one task with all defaults"]),
    (
        "command: x\nparameters:\n  2x: 1\n  output: 2\n  params: 3\n  LR: 4\n  lr: 5\n",
        [
            '3:3: "2x" can\'t be a name; names begin with a letter or _ and continue with letters, digits, _ . -',
            '4:3: a parameter can\'t be called "output"; {output} is built in',
            '5:3: a parameter can\'t be called "params"; {params} is built in',
            '7:3: the parameters "LR" and "lr" differ only in case; SQL ignores case',
        ],
    ),
    (
        "command: x\nparameters:\n- {Lr: 1}\n- {size: {cases: {a: {lr: 1}}}}\ndefaults: {LR: 1}\nderive: {size: 1}\n",
        [
            '4:23: the parameters "Lr" and "lr" differ only in case; SQL ignores case',
            '5:12: the parameters "Lr" and "LR" differ only in case; SQL ignores case',
            '6:10: "size" is a parameter already; give the derived parameter another name',
        ],
    ),
    (
        "command: x\nparameters: {lr: }\n",
        ['2:14: parameter "lr" has no value; write [null] for the value null'],
    ),
    ("command: x\nparameters: {lr: []}\n", ["2:18: an empty list of values; give at least one value"]),
    (
        "command: x\nparameters: {lr: {x}}\n",
        ["2:18: YAML reads {x} as a mapping, not as text; put it in single quotes: '{x}'"],
    ),
    (
        "command: x\nparameters: {lr: {rang: [1, 2]}}\n",
        ['2:19: "rang" is not a kind of domain; did you mean "range"?'],
    ),
    (
        "command: x\nparameters: {lr: {a: 1, b: 2}}\n",
        [
            '2:18: a domain has one kind, and this has "a" and "b"; a parameter of a group has a dot in its name, as in '
            f"lr.a: [1, 2]; write a mapping that is a value inside a list; kinds are {', '.join(KINDS.own)}"
        ],
    ),
    (
        "command: x\nparameters: {lr: [{range: [1, 2]}]}\n",
        ["2:19: a domain can't stand inside a list; write it without the list, or list its values"],
    ),
    (
        "command: x\nparameters: {lr: {range: 3}}\n",
        ['2:26: "range" takes [start, stop] or [start, stop, step], not the number 3'],
    ),
    (
        "command: x\nparameters: {lr: {range: [3]}}\n",
        ['2:26: "range" takes [start, stop] or [start, stop, step], not 1 values'],
    ),
    ("command: x\nparameters: {lr: {range: [0, 1, 0]}}\n", ["2:33: the step of a range can't be 0"]),
    (
        "command: x\nparameters: {lr: {range: [1, 0]}}\n",
        ["2:26: this range is empty; it goes from start by step, without stop"],
    ),
    (
        "command: x\nparameters: {lr: {range: [0, true]}}\n",
        ['2:30: an item of "range" must be a number, not true'],
    ),
    (
        f"command: echo {{a}}\nparameters: {{a: {{range: [0, 1{'0' * 400}]}}}}\n",
        [f'2:29: an item of "range" is too large: 1{"0" * 36}...; numbers go up to 1.8e308'],
    ),
    (
        "command: x\nparameters: {lr: {range: [0, .inf]}}\n",
        ['2:30: an item of "range" must be a finite number, not .inf'],
    ),
    (
        "command: x\nparameters: {lr: {range: [0, 1e9]}}\n",
        ["2:26: a parameter with 1,000,000,000 values; 10,000,000 are allowed"],
    ),
    (
        "command: x\nparameters: {lr: {linspace: [0, 1, 0]}}\n",
        ['2:36: the n of "linspace" must be at least 1, not 0'],
    ),
    (
        "command: x\nparameters: {lr: {linspace: [0, 1, 1.5]}}\n",
        ['2:36: an item of "linspace" must be a whole number, not the number 1.5'],
    ),
    (
        "command: x\nparameters: {lr: {linspace: [0, 1]}}\n",
        ['2:29: "linspace" takes [start, stop, n], not 2 values'],
    ),
    (
        "command: x\nparameters: {lr: {geomspace: [-1, 1, 3]}}\n",
        ['2:30: "geomspace" can\'t reach or cross 0; start and stop have the same sign'],
    ),
    (
        "command: x\nsample: {n: 1}\nparameters: {lr: {uniform: [1, 1]}}\n",
        ['3:28: the first number of "uniform" must be below the second; write [low, high]'],
    ),
    (
        "command: x\nsample: {n: 1}\nparameters: {lr: {loguniform: [0, 1]}}\n",
        ['3:32: the numbers of "loguniform" must be above 0'],
    ),
    (
        "command: x\nsample: {n: 1}\nparameters: {lr: {randint: [1, 2.5]}}\n",
        ['3:32: an item of "randint" must be a whole number, not the number 2.5'],
    ),
    (
        "command: x\nparameters: {lr: {uniform: [0, 1]}, n: {choice: [1]}}\n",
        [
            '2:18: "lr" is drawn at random, so these parameters need "sample"; add sample: {n: 50}',
            '2:40: "n" is drawn at random, so these parameters need "sample"; add sample: {n: 50}',
        ],
    ),
    ("command: x\nparameters: {s: {cases: {}}}\n", ['2:25: "cases" is empty; give at least one case']),
    (
        "command: x\nparameters: {s: {cases: [a]}}\n",
        ['2:25: "cases" must be a mapping of named cases, not a list'],
    ),
    (
        "command: x\nparameters: {s: {cases: {a: 1}}}\n",
        ['2:29: case "a" must be a mapping of parameters and values, not the number 1'],
    ),
    ("command: x\nparameters: {s: {cases: {a: {}}}}\n", ['2:29: case "a" sets no parameter']),
    (
        "command: x\nparameters: {s: {cases: {a: {p: 1}, b: {p: 1, q: 2}, c: {r: 1}}}}\n",
        [
            '2:47: case "b" sets "q", but case "a" does not',
            '2:54: case "c" does not set "p", but case "a" does',
        ],
    ),
    (
        "command: x\nparameters: {s: {cases: {a: {2p: 1}}}}\n",
        ['2:30: "2p" can\'t be a name; names begin with a letter or _ and continue with letters, digits, _ . -'] * 1,
    ),
    (
        "command: x\nparameters: {s: {cases: {a: {p: {range: [0, 1]}}}}}\n",
        ["2:33: a case sets one value, not a domain"],
    ),
    (
        "command: x\nparameters: {p: 1, s: {cases: {a: {p: 1}}}}\n",
        ['2:36: the cases of "s" set "p", which is also a parameter of the sweep'],
    ),
    (
        "command: x\nparameters: {s: {cases: {a: {p: 1}}}, t: {cases: {a: {p: 1}}}}\n",
        ['2:55: the cases of both "s" and "t" set "p"'],
    ),
    # defaults, zip, unhashed
    (
        "command: x\ndefaults: {lr: {range: [0, 1]}}\n",
        ['2:16: a default is one value, not a domain; domains stand in "parameters"'],
    ),
    (
        "command: x {optimizer} {epochs}\nparameters: {optimizer: [a, b]}\ndefaults: {optimiser: a, epochs: 3}\n",
        ['3:12: nothing uses the default "optimiser"; did you mean "optimizer"?'],
    ),
    ("command: x\nzip: [a, b]\n", ['2:6: "zip" is a list of groups; write [[a, b]]']),
    ("command: x\nzip: a\n", ['2:6: "zip" must be a list of groups, such as [[lr, warmup]], not text ("a")']),
    (
        "command: x\nparameters: {a: 1}\nzip: [[a]]\n",
        ["3:7: a group that advances together needs two parameters or more"],
    ),
    (
        "command: x\nparameters: {lr: [1, 2], wd: [1, 2, 3], d: {choice: [1]}}\nsample: {n: 1}\n"
        "zip: [[lr, wd], [lr, w], [d, d]]\n",
        [
            '4:7: zipped parameters need the same number of values, but "lr" has 2 and "wd" 3',
            '4:18: "lr" is in two groups',
            '4:22: "w" is not swept, so it can\'t be zipped',
            '4:30: "d" is twice in this group',
        ],
    ),
    (
        "command: x\nparameters: {a: [1, 2], d: {choice: [1]}}\nsample: {n: 1}\nzip: [[a, d]]\n",
        ['4:7: "d" is drawn at random, so it can\'t be zipped'],
    ),
    (
        "command: x\nparameters: {threads: 1}\nunhashed: [thread, log]\n",
        [
            '3:12: there is no parameter "thread"; did you mean "threads"?',
            '3:20: there is no parameter "log"',
        ],
    ),
    # expressions
    (
        "command: x\nparameters: {lr: 1}\nwhere: lr < lrr\nderive: {h: 2 * q}\n",
        ['3:13: unknown name "lrr"; did you mean "lr"?', '4:17: unknown name "q"'],
    ),
    # sample, repeat, seed
    ("command: x\nsample: 0\n", ['2:9: "sample" must be at least 1, not 0']),
    ("command: x\nsample: {seed: 1}\n", ['2:1: "sample" needs "n", the number of combinations']),
    (
        "command: x\nsample: {n: 0, sed: 1}\n",
        ['2:13: "n" must be at least 1, not 0', '2:16: "sed" is no key of "sample"; did you mean "seed"?'],
    ),
    ("command: x\nrepeat: 0\n", ['2:9: "repeat" must be at least 1, not 0']),
    ("command: x\nrepeat: ten\n", ['2:9: "repeat" must be a whole number, not text ("ten")']),
    ("command: x\nrepeat:\n", ['2:1: "repeat" has no value; it takes a whole number']),
    (
        "command: x\nseed: {base: 1.5, per: tasks}\n",
        [
            '2:14: "base" must be a whole number, not the number 1.5',
            '2:24: "tasks" is no value of "per"; did you mean "task"?',
        ],
    ),
    # how tasks run
    ("command: x\nretries: -1\n", ['2:10: "retries" must be at least 0, not -1']),
    (
        "command: x\nretry_on: [75, foo]\n",
        [
            '2:16: "foo" is no value of "retry_on"; it takes one of exit, exception, signal, timeout, oom, outs, start, or an '
            "exit status, as in 75"
        ],
    ),
    (
        "command: x\nretry_on: [exitt, stopped, 300]\n",
        [
            '2:12: "exitt" is no value of "retry_on"; did you mean "exit"?',
            '2:19: "stopped" can\'t be retried; stopped tasks wait for `tui-lab retry`',
            "2:28: the exit status of a failure lies between 1 and 255, and this is 300",
        ],
    ),
    (
        "command: x\nok_exit_codes: [0, 300]\n",
        ["2:20: an exit status lies between 0 and 255, and this is 300"],
    ),
    (
        "command: x\nok_exit_codes: []\n",
        ['2:16: "ok_exit_codes" is empty; no task could succeed; the default is [0]'],
    ),
    ("command: x\nmax_failures: 0\n", ['2:15: "max_failures" must be at least 1, not 0']),
    (
        "command: x\norder: interleave\n",
        ['2:8: "interleave" is no value of "order"; did you mean "interleaved"?'],
    ),
    ("command: x\npriority: high\n", ['2:11: "priority" must be a whole number, not text ("high")']),
    (
        "command: x\ntimeout: 1:30\n",
        ['2:10: "1:30" is no time; write 30s, 1h30m, 2d, or a number of seconds'],
    ),
    (
        "command: x\ntimeout: 0\n",
        ["2:10: 0 can't be a time here; write 30s, 1h30m, 2d, or a number of seconds"],
    ),
    (
        "command: x\ntimeout: '{x}m'\n",
        ['2:10: "{x}m" is no time; write 30s, 1h30m, 2d, or a number of seconds'],
    ),
    (
        "command: x\ntimeout: {x}\n",
        ["2:10: YAML reads {x} as a mapping, not as text; put it in single quotes: '{x}'"],
    ),
    ("command: x\ngrace: -1s\n", ['2:8: "-1s" is no time; write 30s, 1h30m, 2d, or a number of seconds']),
    ("command: x\nversion: 0\n", ['2:10: "version" must be at least 1, not 0']),
    (
        "command: x\nshell: [bash]\n",
        ["2:8: YAML reads [bash] as a list, not as text; put it in single quotes: '[bash]'"],
    ),
    (
        "command: x\ntags: [a, [b]]\n",
        ["2:11: YAML reads [b] as a list, not as text; put it in single quotes: '[b]'"],
    ),
    ("command: x\ndescription: {a: b}\n", ['2:14: "description" must be text, not a mapping']),
    (
        "command: x\nenv: {A B: 1, TUI_LAB_X: 2, C: [1, 2]}\n",
        [
            '2:7: "A B" can\'t be the name of a variable; letters, digits and _',
            '2:15: "TUI_LAB_X" is set for every task already',
            "2:32: YAML reads [1, 2] as a list, not as text; put it in single quotes: '[1, 2]'",
        ],
    ),
    (
        "command: x\nenv: {PATH: '/x:$PATH', LD_LIBRARY_PATH: '/x:${LD_LIBRARY_PATH:-}', A: '$A', PYTHONPATH: $HOME}\n",
        [
            f'2:{column}: {name} is not replaced here: values of "env" are plain texts; setup may do that: `{line}`'
            for column, name, line in (
                (17, "$PATH", 'export PATH="/x:$PATH"'),
                (46, "${LD_LIBRARY_PATH:-}", 'export LD_LIBRARY_PATH="/x:${LD_LIBRARY_PATH:-}"'),
                (73, "$A", 'export A="$A"'),
                (90, "$HOME", 'export PYTHONPATH="$HOME"'),
            )
        ],
    ),
    (
        "command: x\nfiles: {../a: x, /b: y, c: {form: q}, d: {from: x, marks: ['#']}}\n",
        [
            '2:9: "../a" is not inside {output}; files are written into the task\'s folder',
            '2:18: "/b" is not inside {output}; files are written into the task\'s folder',
            '2:25: "c" needs "from", the template',
            '2:29: "form" is no key of a file; did you mean "from"?',
            '2:59: "marks" takes two texts, not a list; such as ["#", "#"] or ["<<", ">>"]',
        ],
    ),
    # metrics
    ("command: x\nmetrics: [a]\n", ['2:10: "metrics" must be a mapping of names and patterns, not a list']),
    (
        "command: x\nmetrics: {a: 'loss: '}\n",
        ["2:14: the pattern has no group for the value; put parentheses around the value, as in: loss (@float@)"],
    ),
    (
        "command: x\nmetrics: {a: '(x) (y)'}\n",
        [
            "2:14: the pattern has 2 groups, and one value; name the one that counts, (?P<value>...), or make the others (?:...)"
        ],
    ),
    (
        "command: x\nmetrics:\n  a: |-\n    loss\n    (x\n",
        ["5:5: in the pattern: missing ), unterminated subpattern"],
    ),
    (
        "command: x\nmetrics:\n  a: loss (a #b)\n",
        [
            '3:11: in the pattern: missing ), unterminated subpattern; YAML reads " #" as a comment: put the value in single quotes'
        ],
    ),
    (
        "command: x\nmetrics:\n  a: {pattern: (x), take: frist, type: flt, goal: maximum}\n",
        [
            '3:27: "frist" is no value of "take"; did you mean "first"?',
            '3:40: "flt" is no value of "type"; did you mean "float"?',
            '3:51: "maximum" is no value of "goal"; it takes one of min, max',
        ],
    ),
    (
        "command: x\nmetrics: {a: {json: r}}\n",
        ['2:15: metric "a" needs "path", the place in the JSON; write path: $.a.b, or "$" for all of it'],
    ),
    ("command: x\nmetrics: {a: {json: r, path: .a.b}}\n", ['2:30: a path begins with "$"; write "$.a.b"']),
    ("command: x\nmetrics: {a: {csv: r}}\n", ['2:15: metric "a" needs "column", a column of the CSV file']),
    (
        "command: x\nmetrics: {a: {run: r}}\n",
        ['2:15: metric "a" needs "pattern", to find its value in the output of the command'],
    ),
    (
        "command: x\nmetrics: {a: {json: r, csv: s}}\n",
        ['2:24: metric "a" has both "json" and "csv"; a metric comes from one of them'],
    ),
    (
        "command: x\nmetrics: {a: {take: last}}\n",
        ['2:11: metric "a" has no source; give one of pattern, json, csv, sql, run, function, returned'],
    ),
    (
        "command: x\nmetrics: {a: {sql: duration, column: c}}\n",
        ['2:30: "column" goes with "csv", not with "sql"'],
    ),
    (
        "command: x\nmetrics: {a: {pattrn: x}}\n",
        ['2:15: "pattrn" is no key of a metric; did you mean "pattern"?'],
    ),
    ("command: x\nmetrics: {a: {sql: b / duration}}\n", ['2:20: unknown name "b"']),
    (
        "command: x\nmetrics: {a: (x), A: (y)}\n",
        ['2:19: the metrics "a" and "A" differ only in case; SQL ignores case'],
    ),
    ("command: x\nmetrics: {a: }\n", ['2:11: "a" has no value; it takes text']),
    (
        "command: x\nrows: x\n",
        ['2:7: "rows" must be a mapping with one of pattern, csv, each, function, returned, not text ("x")'],
    ),
    (
        "command: x\nrows: {pattern: '(x)'}\n",
        ["2:17: the pattern of rows needs named groups; each is a column, as in (?P<epoch>@int@)"],
    ),
    (
        "command: x\nrows: {pattern: '(?P<a>x)', csv: y}\n",
        ['2:29: "rows" has both "pattern" and "csv"; "rows" comes from one of them'],
    ),
    ("command: x\nrows: {csv: x, from: stderr}\n", ['2:16: "from" goes with "pattern", not with "csv"']),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_all_problems_of_a_file_at_once() -> None:
    text = "comand: x\nrepeat: no\nparameters: {a: {range: [0, 1, 0]}}\nunhashed: [b]\nretries: -1\n"
    assert [line.split(":")[0] for line in said(text)] == ["1", "2", "3", "4", "5"]


def test_words_of_other_libraries_stay_out() -> None:
    for text, _ in MISTAKES:
        for line in said(text):
            assert not any(word in line for word in ("Input should", "pydantic", "union", "NoneType", "str_type"))


@pytest.mark.parametrize("stem", ["2x", "my sweep", "grid_tasks", "nodes"])
def test_a_file_whose_stem_is_no_name(stem: str) -> None:
    (line,) = said("command: x\n", f"{stem}.yaml")
    assert line.startswith("1:1: ")
    assert line.endswith("and this is the name of the file; give the experiment a name, as in: name: grid")
    assert said("command: x\nname: grid\n", f"{stem}.yaml") == []


def test_scripts_whose_lines_may_begin_with_a_dash() -> None:
    for script in (
        "./x \\\n    --lr 3\n",
        "cat > f <<EOF\n- a\n- b\nEOF\n./x\n",
        "cat > f <<-'E'\n\t- a\n\tE\n./x\n",
        "python -c '\n-1\n'\n",
        'echo "\n- a"\n',
        "# it's\n./x\n",
    ):
        body = "".join(f"  {line}\n" for line in script.splitlines())
        assert said(f"command: |\n{body}") == [], script
    assert len(said("command: |\n  # it's\n  -x\n")) == 1
    assert len(said("command: |\n  cat <<E\n  - a\n  E\n  -x\n")) == 1


def test_templates(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("command: x\nparameters: {lr: 1}\nfiles: {a: gone.txt, b: {from: bytes}, c: typo, d: ok}\n")
    (tmp_path / "bytes").write_bytes(b"x\n\xff")
    (tmp_path / "typo").write_text("one\n  {lrr}\n")
    (tmp_path / "ok").write_text("{lr} {other} {{lr}}")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert [str(p).replace(str(tmp_path), "T") for p in caught.value.problems] == [
        'T/f.yaml:3:12: the template "gone.txt": there is no such file; looked for in T',
        'T/f.yaml:3:32: the template "bytes": not UTF-8 text (byte 0xff) in line 2; looked for in T',
        "T/typo:2:3: there is no parameter for {lrr}; did you mean {lr}? For the text {lrr} itself write {{lrr}}",
    ]


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "this is a folder, not a file"),
    ):
        with pytest.raises(SpecError) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {message}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("command: x")
    path.chmod(0)
    with pytest.raises(SpecError, match="can't be read: Permission denied"):
        load(path)


# --- Problems from elsewhere


def test_others_can_point_into_the_file() -> None:
    experiment = load_text("command: x {a}\nparameters:\n  a: [1, 2]\nwhere: 'a < 3'\n", "f.yaml")
    assert str(experiment.problem(("where",), "wrong", "so what", offset=4)) == "f.yaml:4:13: wrong; so what"
    assert str(experiment.problem(("parameters", "a"), "wrong", at_key=True)) == "f.yaml:3:3: wrong"
    assert str(experiment.problem(("parameters", "a", 1), "wrong")) == "f.yaml:3:10: wrong"
    assert str(experiment.problem(("derive", "b"), "wrong")) == "f.yaml:1:1: wrong"
    unplaced = Experiment(name="x", command="y")
    assert unplaced.problem(("where",), "wrong").line == 0


def test_problems() -> None:
    assert str(Problem("f", 1, 2, "what", "how")) == "f:1:2: what; how"
    assert str(Problem("f", 0, 0, "what")) == "f: what"
    error = SpecError([Problem("f", 2, 1, "b"), Problem("f", 1, 9, "a"), Problem("f", 2, 1, "b")])
    assert str(error) == "f:1:9: a\nf:2:1: b"
    assert suggest("repat", ["repeat", "retries"]) == 'did you mean "repeat"?'
    assert suggest("started", ["state", "started_at"]) == 'did you mean "started_at"?'
    assert suggest("LR", ["lr"]) == 'did you mean "lr"?'
    assert suggest("xyz", ["repeat"]) == ""


# --- Anything loads or is refused

PIECES = st.sampled_from(
    [
        *"{}[]:,#'\"&*!|>-%@`\n\t \\",
        ": ",
        " #",
        "<<: *a\n",
        "- ",
        "null",
        "1e999",
        "range",
        "cases",
        "~",
        "é",
        "\x00",
    ]
)
quick = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)


def load_or_refuse(text: str) -> None:
    try:
        experiment = load(FULL, text)
    except SpecError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.line >= 1
            assert "\n" not in str(problem)
    else:
        assert experiment.steps


@quick
@given(st.integers(0, len(FULL.read_text())), st.integers(0, 60), st.lists(PIECES, max_size=4))
def test_damaged_files_load_or_are_refused(start: int, length: int, pieces: list[str]) -> None:
    text = FULL.read_text()
    load_or_refuse(text[:start] + "".join(pieces) + text[start + length :])


KEYS = st.sampled_from(
    "name command parameters defaults zip where derive sample repeat seed files workdir env shell setup timeout "
    "grace retries retry_on ok_exit_codes max_failures order priority metrics rows code inputs version unhashed "
    "tags description range linspace geomspace cases uniform loguniform randint choice pattern take from json path "
    "csv column sql run n base per a b".split()
)
SCALARS = st.sampled_from(["", "1", "-1", "0.5", "a", "'(a)'", "'{a}'", "true", "~", ".inf", ".nan", "9e99", "'['"])


def flow(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(children, max_size=3).map(lambda items: f"[{', '.join(i or '~' for i in items)}]")
    mappings = st.dictionaries(KEYS, children, max_size=3).map(
        lambda items: "{" + ", ".join(f"{key}: {item}" for key, item in items.items()) + "}"
    )
    return lists | mappings


@quick
@given(st.dictionaries(KEYS, st.recursive(SCALARS, flow, max_leaves=8), max_size=6))
@example({"command": "a", "parameters": "{a: {range: [1, 9e99, 1]}}"})
@example({"command": "a", "parameters": "{a: {linspace: [1, 2, 99999999999]}}"})
@example({"command": "[1, 2]", "zip": "[[], [[a]]]"})
def test_any_structure_loads_or_is_refused(keys: dict[str, str]) -> None:
    load_or_refuse("".join(f"{key}: {value}\n" for key, value in keys.items()))


@quick
@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "f.yaml"
    path.write_bytes(data)
    try:
        load(path)
    except SpecError as error:
        assert error.problems


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[3.9, 3.10]", "3.10 is read as 3.1"),
        ("0o17", "0o17 is read as 15"),
        ("−5", "−5 is read as a text (it holds U+2212, MINUS SIGN)"),
        ("[a, “b”]", "“b” is read as a text (it holds U+201C, LEFT DOUBLE QUOTATION MARK)"),
        ("[é, 日本, ½, 5 €, '−5', größe]", ""),
        ("[1e400, 2]", "1e400 is read as inf, beyond what a float holds"),
        ("0x1F", "0x1F is read as 31"),
        ("1e3", "1e3 is read as 1000.0"),
        ("+5", "+5 is read as 5"),
        ("1_000", "1_000 is read as a text (the number is 1000)"),
        ("0.10000000000000001", "0.10000000000000001 is read as 0.1"),
        ("[0.1, 1e-3, .5, 1.0, 5, -0.25, 1.5e-7, '3.10', 2.5]", ""),
    ],
)
def test_what_yaml_alters_is_told(value: str, said: str) -> None:
    notices = load_text(f"command: echo {{x}}\nparameters: {{x: {value}}}\n", "f.yaml").notices
    assert [notice.partition('"x": ')[2] for notice in notices] == (
        [f"{said}; in quotes it stays as written"] if said else []
    )


def test_what_yaml_alters_is_told_wherever_values_stand() -> None:
    notices = load_text(
        "command: echo {a} {b} {c} {d} {e}\n"
        "defaults: {a: 3.10}\n"
        "sample: {n: 3}\n"
        "parameters:\n"
        "  - {b: [[1.10, 2]], c: {cases: {one: {d: 2.50}, two: {d: 0o17}}}, e: {choice: [4.10, 2]}}\n"
        "  - {b: [1e3], c: x, d: 1, e: 1}\n",
        "f.yaml",
    ).notices
    assert [notice.removesuffix("; in quotes it stays as written") for notice in notices] == [
        'f.yaml:2:15: "a": 3.10 is read as 3.1',
        'f.yaml:5:11: "b": 1.10 is read as 1.1',
        'f.yaml:5:43: "d": 2.50 is read as 2.5',
        'f.yaml:5:59: "d": 0o17 is read as 15',
        'f.yaml:5:81: "e": 4.10 is read as 4.1',
        'f.yaml:6:10: "b": 1e3 is read as 1000.0',
    ]


@pytest.mark.parametrize(
    ("domain", "hint"),
    [
        ("{values: [1, 2]}", "write the list itself, as in p: [1, 2]"),
        ("{logspace: [1, 10, 3]}", 'did you mean "geomspace"?'),
        ("{log_uniform: [1, 10]}", 'did you mean "loguniform"?'),
        ("{name: [adam, sgd]}", "a parameter of a group has a dot in its name, as in p.name: [1, 2]"),
        (
            "{layers: 3}",
            "a parameter of a group has a dot in its name, as in p.layers: [1, 2]; "
            f"write a mapping that is a value inside a list; kinds are {', '.join(KINDS.own)}",
        ),
    ],
)
def test_what_other_tools_write_has_a_counterpart(domain: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(f"command: echo {{p}}\nparameters: {{p: {domain}}}\n")
    assert [problem.hint for problem in caught.value.problems] == [hint]


def test_keys_with_x_are_the_users_own() -> None:
    text = "x-common: &all {lr: [0.1]}\ncommand: echo {lr}\nparameters:\n  <<: *all\n"
    assert load_text(text).parameter_names == ("lr",)


def test_a_name_with_a_line_end_stays_in_its_line() -> None:
    with pytest.raises(SpecError) as caught:
        load_text('command: echo\n"a\\nb": 1\nparameters: {"c\\rd": [1]}\n')
    assert [line.count("\\n") + line.count("\\r") for line in str(caught.value).split("\n")] == [1, 1]


def test_placeholders_and_names_that_only_look_like_others() -> None:
    text = "command: 'echo {\u0445} {x\u200b} {\u4e00}'\nparameters: {x: [1]}\nenv: {A: '{x} {\uff58}'}\n"
    assert load_text(text, "f.yaml").notices == (
        "f.yaml:1:16: {\u0445} only looks like {x}: it holds U+0445, CYRILLIC SMALL LETTER HA",
        "f.yaml:1:20: {x\u200b} only looks like {x}: it holds U+200B, ZERO WIDTH SPACE",
        "f.yaml:3:15: {\uff58} only looks like {x}: it holds U+FF58, FULLWIDTH LATIN SMALL LETTER X",
    )
    with pytest.raises(SpecError) as caught:
        load_text("command: echo {x}\nparameters: {\u0445: [1]}\n", "f.yaml")
    assert caught.value.problems[0].hint == "it holds U+0445, CYRILLIC SMALL LETTER HA"
