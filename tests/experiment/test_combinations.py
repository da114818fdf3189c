"""From parameters to combinations: order, union, zip, cases, where, sample, and what goes wrong."""

import itertools
import json
import random
import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_lab.experiment.combinations import Combinations, expand, typed
from tui_lab.experiment.domains.choice import Choice
from tui_lab.experiment.domains.domain import Domain, Listed
from tui_lab.experiment.domains.geomspace import Geomspace
from tui_lab.experiment.domains.loguniform import LogUniform
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.domains.randint import RandInt
from tui_lab.experiment.domains.range import Range
from tui_lab.experiment.domains.uniform import Uniform
from tui_lab.experiment.domains.values import distinct, identity
from tui_lab.experiment.load import load_text
from tui_lab.experiment.model import Experiment, Sample
from tui_lab.experiment.overrides import read_values
from tui_lab.experiment.yaml.problem import SpecError


def experiment(text: str) -> Experiment:
    return load_text("name: grid\ncommand: 'true'\n" + text)


def swept(*mappings: Mapping[str, Domain], **options: Any) -> Experiment:
    """An experiment with these parameters; options: further keys of the file."""
    return Experiment(name="x", command="x", parameters=tuple(map(dict, mappings)), **options)


def rows(text: str, **overrides: Sequence[Value]) -> list[tuple[Any, ...]]:
    found = expand(experiment(text), overrides)
    return [tuple(found.row(i).values()) for i in range(found.height)]


def every_row(found: Combinations) -> list[dict[str, Any]]:
    return [found.row(i) for i in range(found.height)]


def problems(text: str, **overrides: Sequence[Value]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        expand(experiment(text), overrides)
    return [str(problem) for problem in caught.value.problems]


# --- The order of expansion


def test_the_last_key_is_fastest() -> None:
    found = expand(experiment("parameters: {b: [1, 2], a: {range: [0, 1, 0.5]}, c: x}"))
    assert found.frame.columns == ["b", "a", "c"]
    assert every_row(found) == [
        {"b": 1, "a": 0.0, "c": "x"},
        {"b": 1, "a": 0.5, "c": "x"},
        {"b": 2, "a": 0.0, "c": "x"},
        {"b": 2, "a": 0.5, "c": "x"},
    ]


def test_the_union_keeps_its_order_and_meets_equal_combinations_once() -> None:
    text = """
defaults: {b: 7, d: 0}
parameters:
  - {a: [1, 2]}
  - {a: [2, 3], b: [7]}
  - {c: [5], a: 1.0}
"""
    found = expand(experiment(text))
    assert found.frame.columns == ["a", "b", "c", "d"]
    assert [list(found.row(i).values()) for i in range(found.height)] == [
        [1, 7, None, 0],
        [2, 7, None, 0],
        [3, 7, None, 0],
        [1.0, 7, 5, 0],
    ]


def test_zipped_parameters_advance_together() -> None:
    text = "zip: [[lr, warmup]]\nparameters: {lr: [0.1, 0.1, 0.2], n: [1, 2], warmup: [5, 6, 5]}"
    assert rows(text) == [(lr, n, w) for lr, w in ((0.1, 5), (0.1, 6), (0.2, 5)) for n in (1, 2)]


def test_a_zipped_parameter_that_a_sweep_leaves_out_is_its_default() -> None:
    text = "zip: [[a, b]]\ndefaults: {b: 9}\nparameters: [{a: [1, 2], b: [3, 4]}, {a: [5, 6]}]"
    assert rows(text) == [(1, 3), (2, 4), (5, 9), (6, 9)]


def test_cases_are_named_bundles() -> None:
    text = """
parameters:
  model: {cases: {small: {layers: 2, width: 64}, big: {layers: 8, width: 512}}}
  lr: [0.1, 0.2]
"""
    found = expand(experiment(text))
    assert found.frame.columns == ["model", "layers", "width", "lr"]
    assert rows(text) == [
        ("small", 2, 64, 0.1),
        ("small", 2, 64, 0.2),
        ("big", 8, 512, 0.1),
        ("big", 8, 512, 0.2),
    ]


def test_derived_parameters_and_where() -> None:
    text = """
parameters: {n: [1, 2, 3], early-stop: [true, false], optim.lr: [0.1, 0.2]}
derive: {twice: 2 * n, label: "'n=' || twice", scaled: '"optim.lr" * 10'}
where: twice > 2 and ("early-stop" or scaled >= 2)
"""
    found = expand(experiment(text))
    assert rows(text) == [
        (n, stop, lr, 2 * n, f"n={2 * n}", lr * 10)
        for n in (2, 3)
        for stop, lr in ((True, 0.1), (True, 0.2), (False, 0.2))
    ]
    assert found.frame.schema["twice"] == pl.Int64
    assert set(found.values) == {"n", "early-stop", "optim.lr"}


def test_without_parameters_there_is_one_combination() -> None:
    assert rows("") == [()]
    assert rows("derive: {x: 1 + 1}") == [(2,)]
    assert rows("defaults: {a: 1}") == [(1,)]
    assert expand(experiment("")).typed().height == 1


# --- Against the plain way


def reference(
    mappings: Sequence[Mapping[str, Listed | Range]],
    defaults: Mapping[str, Value],
    groups: Sequence[Sequence[str]],
    keep: Callable[[dict[str, Any]], bool],
) -> list[dict[str, Value]]:
    """All of it again with itertools and dictionaries."""
    names = list(dict.fromkeys([name for m in mappings for name in m] + list(defaults)))
    seen: set[tuple[object, ...]] = set()
    found = []
    for mapping in mappings:
        axes: list[list[dict[str, Value]]] = []
        done: set[str] = set()
        for name in mapping:
            if name in done:
                continue
            members = [m for m in next((g for g in groups if name in g), (name,)) if m in mapping]
            done.update(members)
            listed = [mapping[m].listing() if len(members) > 1 else distinct(mapping[m].listing()) for m in members]
            axes.append([dict(zip(members, row, strict=True)) for row in zip(*listed, strict=True)])
        for parts in itertools.product(*axes):
            row: dict[str, Value] = {}
            for part in parts:
                row.update(part)
            full = {name: row.get(name, defaults.get(name)) for name in names}
            key = tuple(identity(value) for value in full.values())
            if key not in seen and keep(full):
                seen.add(key)
                found.append(full)
    return found


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from(["", "1", "true", "a b", "é", 'q"', "it's", "two\nlines", "$(rm)"]),
)
names = st.sampled_from(["a", "b", "c", "d-e", "f.g"])
listed = st.lists(scalars, min_size=1, max_size=3).map(lambda v: Listed(values=tuple(v)))
mappings_of_lists = st.lists(st.dictionaries(names, listed, max_size=3), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(mappings_of_lists, st.dictionaries(names, scalars, max_size=3), st.booleans())
def test_it_is_the_product_and_union_of_lists(
    mappings: list[dict[str, Listed]], defaults: dict[str, Value], zipped: bool
) -> None:
    groups: tuple[tuple[str, ...], ...] = ()
    if zipped:
        lengths = [{len(m[n].values) for n in ("a", "b") if n in m} for m in mappings]
        groups = (("b", "a"),) if all(len(found) < 2 for found in lengths) else ()
    expected = reference(mappings, defaults, groups, lambda row: True)
    sweep = swept(*mappings, defaults=defaults, zip=groups)
    found = expand(sweep)
    got = [found.row(i) for i in range(found.height)]
    assert [json.dumps(row) for row in got] == [json.dumps(row) for row in expected]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(-3, 12))
def test_where_keeps_what_it_says(a: int, b: int, limit: int) -> None:
    mapping = {"a": Range(start=0, stop=a), "B-b": Range(start=0, stop=b)}
    expected = reference([mapping], {}, (), lambda row: row["a"] + 2 * row["B-b"] < limit)
    sweep = swept(mapping, where=f'a + 2 * "b-B" < {limit}')
    if not expected:
        with pytest.raises(SpecError, match=f'"where" is true for none of {a * b}'):
            expand(sweep)
        return
    found = expand(sweep)
    assert every_row(found) == expected


# --- Types


def test_types_stay_apart() -> None:
    found = expand(experiment("parameters: {x: [1, true, '1', null, [1], [{a: 1}]]}"))
    assert [found.row(i)["x"] for i in range(found.height)] == [1, True, "1", None, [1], [{"a": 1}]]
    assert found.typed()["x"].to_list() == ["1", "true", '"1"', None, "[1]", '[{"a":1}]']
    mixed = expand(experiment("parameters: {x: [a, .inf, -.inf, .nan, 1.5, [.nan]]}"))
    assert mixed.typed()["x"].to_list() == ["a", "inf", "-inf", "nan", "1.5", "[NaN]"]


@pytest.mark.parametrize(
    ("items", "dtype", "expected"),
    [
        ([1, None, 3], pl.Int64(), [1, None, 3]),
        ([1, 0.5], pl.Float64(), [1.0, 0.5]),
        ([True, None], pl.Boolean(), [True, None]),
        (["a", None, "null"], pl.String(), ["a", None, "null"]),
        ([None], pl.String(), [None]),
        ([2**70, 1], pl.Int128(), [2**70, 1]),
        ([2**63, 1], pl.UInt64(), [2**63, 1]),
        ([2**130 + 1, 1], pl.String(), [str(2**130 + 1), "1"]),
        ([2**53 + 1, 0.5], pl.String(), [str(2**53 + 1), "0.5"]),
        ([3, "auto", [1, "x"]], pl.String(), ["3", "auto", '[1,"x"]']),
        ([3, "3"], pl.String(), ["3", '"3"']),
        ([True, 1], pl.String(), ["true", "1"]),
        ([{"b": 1, "a": None}], pl.String(), ['{"b":1,"a":null}']),
    ],
)
def test_columns_have_real_types(items: list[Value], dtype: pl.DataType, expected: list[Value]) -> None:
    column = typed(items, pl.Series("x", range(len(items)), dtype=pl.UInt32))
    assert (column.name, column.dtype, column.to_list()) == ("x", dtype, expected)
    assert typed(items, pl.Series("x", [None, 0], dtype=pl.UInt32)).to_list() == [None, expected[0]]


# --- Sample


SAMPLED = """
parameters:
  lr: {loguniform: [0.0001, 0.1]}
  n: {randint: [1, 8]}
  opt: {choice: [adam, sgd]}
  width: [16, 32, 64]
sample: {n: N, seed: S}
where: n > 1
"""


def sampled(n: int, seed: int = 1, text: str = SAMPLED) -> list[tuple[Any, ...]]:
    return rows(text.replace("N,", f"{n},").replace("S}", f"{seed}}}"))


def test_a_larger_sample_begins_with_the_smaller() -> None:
    most = sampled(200)
    assert len(set(most)) == 200
    for n in (1, 7, 50, 199):
        assert sampled(n) == most[:n]
    assert sampled(5, seed=2) != most[:5]
    for lr, n, opt, width in most:
        assert 0.0001 <= lr <= 0.1
        assert 2 <= n <= 8
        assert opt in ("adam", "sgd")
        assert width in (16, 32, 64)
    assert len({(opt, width) for _, _, opt, width in most}) == 6


def test_drawn_parameters_are_plain_columns() -> None:
    found = expand(experiment(SAMPLED.replace("N,", "20,").replace("S}", "1}")))
    assert found.frame.schema == {"lr": pl.Float64, "n": pl.Int64, "opt": pl.UInt32, "width": pl.UInt32}
    assert found.typed().schema == {"lr": pl.Float64, "n": pl.Int64, "opt": pl.String, "width": pl.Int64}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(2, 6))
def test_samples_of_small_grids(few: int, more: int, seed: int, size: int) -> None:
    few, more = sorted((few, more))
    grid: dict[str, Domain] = {"a": Range(start=0, stop=size), "b": Choice(values=("x", "y")), "c": RandInt(a=1, b=2)}

    def take(n: int) -> tuple[list[tuple[Value, ...]], tuple[str, ...]]:
        sample = Sample(n=n, seed=seed)
        found = expand(swept(grid, sample=sample))
        return [tuple(found.row(i).values()) for i in range(found.height)], found.notices

    small, _ = take(few)
    large, notices = take(more)
    assert large[: len(small)] == small
    assert len(set(large)) == len(large) == min(more, size * 4)
    asked = f"({more} were asked for)"
    expected = (f"sample: only {size * 4} combinations exist, all are taken {asked}",)
    assert notices == (expected if more > size * 4 else ())


def test_a_grid_of_ten_to_the_thirty() -> None:
    grid = {f"p{i}": Range(start=0, stop=10) for i in range(30)}

    def take(n: int) -> list[tuple[Value, ...]]:
        found = expand(swept(grid, sample=Sample(n=n, seed=3)))
        return [tuple(found.row(i).values()) for i in range(found.height)]

    most = take(3000)
    assert len(set(most)) == 3000
    assert take(40) == most[:40]
    assert {row[17] for row in most} == set(range(10))
    with pytest.raises(SpecError, match=r"1\.0e\+30 are too many combinations.*takes some of them at random"):
        expand(swept(grid))


def test_a_sample_of_a_union_meets_equal_combinations_once() -> None:
    text = "parameters: [{a: {range: [0, 30]}}, {a: {range: [20, 50]}}]\nsample: {n: 60}"
    found = expand(experiment(text))
    assert sorted(row["a"] for row in every_row(found)) == list(range(50))
    assert found.notices == ("sample: only 50 combinations exist, all are taken (60 were asked for)",)


def test_a_parameter_that_is_drawn_in_one_sweep_and_listed_in_another() -> None:
    text = "parameters: [{a: {uniform: [0, 1]}, b: [1, 2]}, {a: auto}]\nsample: {n: 12}"
    found = expand(experiment(text))
    drawn = every_row(found)
    assert sum(row["a"] == "auto" for row in drawn) == 1
    assert all(0 <= row["a"] < 1 and row["b"] in (1, 2) for row in drawn if row["a"] != "auto")
    assert len(found.values["a"]) == 12


def test_a_condition_that_keeps_too_few_is_told() -> None:
    text = "parameters: {a: {range: [0, 1000]}, b: {range: [0, 1000]}}\nwhere: a = 5 and b < 3\nsample: {n: 9}"
    found = expand(experiment(text))
    assert found.height == 3
    assert found.notices == ('sample: only 3 combinations satisfy "where", all are taken (9 were asked for)',)
    never = text.replace("b < 3", "b < 0")
    assert problems(never)[0].startswith("experiment.yaml:4:8: no combination is left: sample: only 0 ")
    endless = "parameters: {a: {uniform: [0, 1]}}\nwhere: a > 2\nsample: {n: 9}"
    assert 'only 0 of 4,194,304 combinations drawn satisfy "where"' in problems(endless)[0]


def test_a_whole_range_may_be_sampled_for_a_few() -> None:
    found = expand(experiment("parameters: {a: {range: [0, 1000000]}, b: {range: [0, 1000000]}}\nsample: {n: 5}"))
    assert found.height == 5
    assert len(found.values["a"]) <= 5


# --- Values from the command line


def test_overrides_replace_domains() -> None:
    text = "defaults: {c: 1, d: 2}\nparameters: [{a: [1, 2], b: [x, y]}, {a: 3, c: 5}]"
    assert rows(text, a=[9]) == [(9, "x", 1, 2), (9, "y", 1, 2), (9, None, 5, 2)]
    assert rows(text, a=[9], b=["z"], c=[6], d=[7, 8]) == [
        (9, "z", 6, 7),
        (9, "z", 6, 8),
    ]
    assert rows(text, a=[9], c=[6], d=[7]) == [(9, None, 6, 7)]


def test_overrides_keep_to_floats_where_the_file_does() -> None:
    text = "parameters: {lr: [1, 0.5], n: [1, 2], m: {range: [0, 1, 0.5]}}"
    assert rows(text, lr=[1], n=[3], m=[2]) == [(1.0, 3, 2.0)]
    assert type(rows(text, lr=[1], n=[3], m=[2])[0][0]) is float
    assert type(rows(text, lr=[1], n=[3], m=[2])[0][1]) is int


def test_overrides_in_groups_and_cases() -> None:
    text = "zip: [[a, b]]\nparameters: {a: [1, 2], b: [3, 4]}"
    assert rows(text, a=[9]) == [(9, 3), (9, 4)]
    assert rows(text, a=[8, 9]) == [(8, 3), (9, 4)]
    assert problems(text, a=[7, 8, 9])[0].endswith('need the same number of values, but "a" has 3, "b" has 2')
    text = "parameters: {m: {cases: {s: {w: 1, h: 2}, b: {w: 3, h: 4}}}, n: [0]}"
    assert rows(text, m=["b"]) == [("b", 3, 4, 0)]
    assert rows(text, w=[8, 9]) == [("s", 8, 2, 0), ("s", 9, 2, 0), ("b", 8, 4, 0), ("b", 9, 4, 0)]
    assert problems(text, m=["bb"]) == ['m=bb: "m" has no case "bb"']


def test_values_that_the_file_lists_choose_its_combinations() -> None:
    text = "parameters: [{norm: [new, batch]}, {norm: [batch], early-stop: [true, false]}]"
    both: dict[str, list[Value]] = {"norm": ["new"], "early-stop": [True]}
    assert rows(text, norm=["new"]) == [("new", None)]
    assert rows(text, **both) == [("new", True)]  # in either order
    assert rows(text, **dict(reversed(both.items()))) == [("new", True)]
    cases = "parameters: [{x: [1, 2]}, {x: [3], opt: {cases: {a: {m: 1}}}}]"
    assert rows(cases, x=[1], opt=["a"]) == [(1, "a", 1)]
    with pytest.raises(SpecError, match='"opt" has no case "b"'):
        rows(cases, x=[1], opt=["b"])
    assert rows(text, norm=["batch"]) == [("batch", None), ("batch", True), ("batch", False)]
    assert rows(text, **{"early-stop": [True]}) == [("batch", True)]
    assert rows(text, norm=["batch", "other"]) == [
        *(("batch", None), ("other", None)),
        *(("batch", True), ("batch", False), ("other", True), ("other", False)),
    ]
    text = "defaults: {lr: 1, depth: 1}\nparameters: [{lr: [1, 2]}, {depth: [1, 2]}]"
    assert rows(text, lr=[2]) == [(2, 1)]
    assert rows(text, lr=[1]) == [(1, 1), (1, 2)]
    text = "zip: [[a, b]]\nparameters: {a: [1, 2, 3], b: [4, 5, 6], c: [0, 9]}"
    assert rows(text, a=[2]) == [(2, 5, 0), (2, 5, 9)]
    assert rows(text, a=[3, 1]) == [(1, 4, 0), (1, 4, 9), (3, 6, 0), (3, 6, 9)]
    text = "parameters: {m: {cases: {s: {w: 1, h: 2}, b: {w: 3, h: 2}}}, n: {range: [0, 2]}}"
    assert rows(text, w=[3], n=[1]) == [("b", 3, 2, 1)]
    text = "sample: {n: 9}\nparameters: [{x: {uniform: [0, 1]}}, {x: [0.5], y: {choice: [a, b]}}]"
    assert sorted(rows(text, y=["b"])) == [(0.5, "b")]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1", [1]),
        ("0.1,0.2", [0.1, 0.2]),
        ("a, b", ["a", "b"]),
        ("c d", ["c d"]),
        ("", [""]),
        ('""', [""]),
        ("'q, r'", ["q, r"]),
        ("[u, v]", [["u", "v"]]),
        ("{a: 1}", [{"a": 1}]),
        ("a: b", ["a: b"]),
        ("@home", ["@home"]),
        ("it's: $(touch x) #1", ["it's: $(touch x) #1"]),
        ("f(x)", ["f(x)"]),
        ("C:\\", ["C:\\"]),
        ("two\nlines, one text", ["two\nlines, one text"]),
        ("!!str 1", ["1"]),
        ("{range: [0, 3]}", [0, 1, 2]),
        ("{linspace: [0, 1, 3]}", [0.0, 0.5, 1.0]),
        ("{geomspace: [1, 100, 3]}", [1, 10, 100]),
    ],
)
def test_words_behind_a_name(text: str, values: list[Value]) -> None:
    assert [(type(v), v) for v in read_values("x", text)] == [(type(v), v) for v in values]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("range(0,3)", "this is not a domain; write 'x={range: [0,3]}'"),
        ("range(3)", "this is not a domain; write 'x={range: [0, 3]}'"),
        ("np.logspace(0, 3, 4)", "this is not a domain; write 'x={geomspace: [1, 1000, 4]}'"),
        ("1..5", "this is not a domain; write 'x={range: [1, 6]}'"),
        ("{9..1..4}", "this is not a domain; write 'x={range: [9, 0, -4]}'"),
        ("1,−5", "−5 is a text: it holds U+2212, MINUS SIGN; in quotes it is one text"),
        ("{x}", "YAML reads {x} as a mapping; in quotes it is one text: 'x=\"{x}\"'"),
        ("1,{a, b}", "YAML reads {a, b} as a mapping"),
        ("f(0,3)", "the comma after f(0 separates two values; in quotes it is one text: 'x=\"f(0,3)\"'"),
        ("'a", "in quotes it is one text: 'x=\"'\"'\"'a\"'"),
        ("a\\,b", "the comma after a\\ separates two values; in quotes it is one text"),
        ("a,,b", "there is an empty value"),
        ("a,", "there is an empty value"),
        (",", "there is an empty value"),
        ("&a", "YAML reads &a as something other than text"),
        ("&a 1", "YAML reads &a 1 as something other than text"),
        ("*a", "neither a list of values nor a text"),
        ("*", "YAML reads * as something other than text"),
        ("1 2 3", "this is one text; several values are given as x=1,2,3"),
        ("[1", "neither a list of values nor a text"),
        ("@a,@b", "neither a list of values nor a text"),
        ("{rang: [0, 3]}", '"rang" is not a kind of domain; did you mean "range"?'),
        ("{range: [0, 3]},5", "a domain can't stand beside other values"),
        ("{range: [0, 3, 0]}", "the step of a range can't be 0"),
        ("{uniform: [0, 3]}", '"uniform" is possible only in the file'),
    ],
)
def test_words_that_can_be_read_in_several_ways_are_refused(text: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        read_values("x", text)
    assert str(error.value).startswith(f"x={text}: ")
    assert said in str(error.value)


def test_overrides_may_replace_what_is_drawn() -> None:
    text = "parameters: {lr: {uniform: [0, 1]}, n: [1, 2]}\nsample: {n: 4}"
    assert sorted(rows(text, lr=[1])) == [(1.0, 1), (1.0, 2)]


def test_unknown_overrides() -> None:
    text = "parameters: {neurons: [1, 2]}\nderive: {hidden: 2 * neurons}"
    assert problems(text, neuron=[1], hidden=[3]) == [
        'hidden=3: "hidden" is derived from other parameters: set those',
        'neuron=1: experiment.yaml has no parameter "neuron"; did you mean "neurons"?',
    ]


# --- What goes wrong, and where


def test_all_wrong_expressions_are_told_at_their_place() -> None:
    text = """parameters:
  neurons: [1, 2]
  early-stop: [true, false]
derive:
  hidden: 2 * neuron
  more: hidden + 1
  third: "now()"
where: |
  neurons > 1
  and early-stop
"""
    assert problems(text) == [
        'experiment.yaml:7:15: unknown name "neuron"; did you mean "neurons"?',
        "experiment.yaml:9:11: now would give a different plan each time",
        'experiment.yaml:12:7: unknown name "early"; write "early-stop" in double quotes',
    ]


def test_a_condition_that_removes_all() -> None:
    text = "parameters: {a: [1, 2], b: [1, 2, 3]}\nwhere: a > b + 5"
    assert problems(text) == ['experiment.yaml:4:8: no combination is left: "where" is true for none of 6']


def test_an_empty_domain_is_named() -> None:
    mappings: tuple[dict[str, Domain]] = ({"a": Listed(values=(1,)), "b": Range(start=3, stop=3)},)
    with pytest.raises(SpecError, match='"b" has no values'):
        expand(swept(*mappings))
    found = expand(swept(*mappings, {"a": Listed(values=(2,))}))
    assert found.height == 1
    assert '"b" has no values' in found.notices[0]


@pytest.mark.parametrize("domain", [Uniform(a=0, b=1), LogUniform(a=1, b=2), RandInt(a=0, b=1), Choice(values=(1,))])
def test_drawn_parameters_need_a_sample(domain: Domain) -> None:
    with pytest.raises(SpecError, match='"a" is drawn at random, so these parameters need "sample"'):
        expand(swept({"a": domain}))


# --- A large plan


def test_a_million_combinations() -> None:
    text = """
parameters:
  a: {range: [0, 100]}
  b: {range: [0, 10, 0.1]}
  c: [red, green, blue, two words, é]
  d: {range: [0, 20]}
derive: {e: a + d}
where: e >= 0
"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = expand(experiment(text))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert found.height == 1_000_000
    assert grown < 400  # MB: a Python object per row would take more
    picked = random.Random(1).sample(range(1_000_000), 50)
    for i in picked:
        a, b, c, d = i // 10_000, i // 100 % 100, i // 20 % 5, i % 20
        colours = ["red", "green", "blue", "two words", "é"]
        assert found.row(i) == {"a": a, "b": b / 10, "c": colours[c], "d": d, "e": a + d}
    assert found.typed()["b"].max() == 9.9


def test_geometric_steps_reach_the_plan_exactly() -> None:
    mapping = {"lr": Geomspace(start=0.001, stop=1, n=4)}
    found = expand(swept(mapping))
    assert [found.row(i)["lr"] for i in range(4)] == [0.001, 0.01, 0.1, 1.0]
