"""The JSON Schema agrees with the loader, and the reference names every key."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.keys import KEYS
from tui_lab.experiment.load import load_text
from tui_lab.experiment.metric import Metric, Rows
from tui_lab.experiment.model import LATER, Experiment
from tui_lab.experiment.readers.metrics import COMMON_KEYS, MARKS
from tui_lab.experiment.record import keys_of
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_SOURCES
from tui_lab.experiment.schema import flow, json_schema, reference
from tui_lab.experiment.source import keys
from tui_lab.experiment.sources.kinds import KINDS as SOURCES
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError

SCHEMA = json_schema()
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def fits(value: Any, schema: Any) -> bool:
    """JSON Schema, as much of it as is used here; a keyword that is not known fails the test."""
    if isinstance(schema, bool):
        return schema
    return all(KEYWORDS[keyword](value, wanted, schema) for keyword, wanted in schema.items())


def is_type(value: Any, wanted: Any, _: Any) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(
        isinstance(value, TYPES[name]) and not (isinstance(value, bool) and name in ("integer", "number"))
        for name in names
    )


def unless(kind: type | tuple[type, ...], test: Any) -> Any:
    """Keywords say nothing about values of other types."""
    return lambda value, wanted, schema: not isinstance(value, kind) or test(value, wanted, schema)


def always(*_: Any) -> bool:
    return True


def additional(value: dict[str, Any], wanted: Any, schema: Any) -> bool:
    patterns = schema.get("patternProperties", {})
    rest = {k: v for k, v in value.items() if not any(re.search(pattern, k) for pattern in patterns)}
    return all(fits(v, wanted) for k, v in rest.items() if k not in schema.get("properties", {}))


def by_pattern(value: dict[str, Any], wanted: Any, _: Any) -> bool:
    return all(fits(v, s) for pattern, s in wanted.items() for k, v in value.items() if re.search(pattern, k))


KEYWORDS: dict[str, Any] = {
    "$schema": always,
    "$defs": always,
    "title": always,
    "description": always,
    "examples": always,
    "default": always,
    "$ref": lambda v, ref, _: fits(v, SCHEMA["$defs"][ref.removeprefix("#/$defs/")]),
    "type": is_type,
    "enum": lambda v, words, _: v in words,
    "oneOf": lambda value, wanted, _: sum(fits(value, one) for one in wanted) == 1,
    "anyOf": lambda v, options, _: any(fits(v, option) for option in options),
    "not": lambda v, wanted, _: not fits(v, wanted),
    "minimum": unless((int, float), lambda v, n, _: v >= n),
    "maximum": unless((int, float), lambda v, n, _: v <= n),
    "minLength": unless(str, lambda v, n, _: len(v) >= n),
    "maxLength": unless(str, lambda v, n, _: len(v) <= n),
    "pattern": unless(str, lambda v, p, _: re.search(p, v) is not None),
    "minItems": unless(list, lambda v, n, _: len(v) >= n),
    "prefixItems": unless(list, lambda v, s, _: all(map(fits, v, s))),
    "items": unless(list, lambda v, s, schema: all(fits(x, s) for x in v[len(schema.get("prefixItems", ())) :])),
    "minProperties": unless(dict, lambda v, n, _: len(v) >= n),
    "maxProperties": unless(dict, lambda v, n, _: len(v) <= n),
    "required": unless(dict, lambda v, names, _: all(name in v for name in names)),
    "propertyNames": unless(dict, lambda v, s, _: all(fits(name, s) for name in v)),
    "properties": unless(dict, lambda v, s, _: all(fits(v[k], s[k]) for k in v if k in s)),
    "patternProperties": unless(dict, by_pattern),
    "additionalProperties": unless(dict, additional),
}


def accepted(text: str) -> bool:
    return fits(parse(text, "f.yaml").value, SCHEMA)


def loads(text: str) -> bool:
    try:
        load_text(text)
    except SpecError:
        return False
    return True


def test_the_full_file_fits() -> None:
    assert accepted((Path(__file__).parent / "files" / "full.yaml").read_text())


OTHERS = ("command", "stages", "files", "zip", "unhashed", "function", "python", "args", "per_repeat")
"""Keys whose examples need something else in the file."""


@pytest.mark.parametrize("key", [k for k in KEYS if k not in OTHERS])
def test_examples_load_and_fit(key: str) -> None:
    """What the reference shows can be pasted."""
    around = "command: ./x {lr} {n} {neurons} {a} {b} {minutes}\n"
    if key != "parameters":
        around += "parameters: {lr: 1, n: 2, neurons: 1, a: 1, b: 2, minutes: 3}\n"
    if key != "metrics":
        around += "metrics: {in_size: (x), out_size: (y)}\n"
    for example in KEYS[key].examples:
        text = f"{around}{key}: {flow(example)}\n"
        assert accepted(text), text
        load_text(text)


def test_other_examples_fit() -> None:
    for key in OTHERS:
        for example in KEYS[key].examples:
            assert fits(example, SCHEMA["properties"][key]), (key, example)


@pytest.mark.parametrize(
    "line",
    [
        *("parameters: {a: 1, b: on, c: [1, x], d: {range: [0, 1, 0.1]}}", "parameters: [{a: 1}, {}]"),
        *(
            "seed: 3",
            "seed: {per: task}",
            "sample: {n: 1}",
            "timeout: 1h",
            "timeout: 3",
            "timeout:",
            "tags: a",
        ),
        *("retry_on: oom", "ok_exit_codes: 0", "order: listed", "env: {A: 1, B: , C: x}", "metrics:"),
        *(
            "metrics: {a: (x)}",
            "metrics: {a: {pattern: x, take: count}}",
            "metrics: {a: {json: f, path: $.a}}",
        ),
        *("needs:", "needs: {gpus: [1, 0.5], memory: 4G, cpus: '2', exclusive: true}", "limits: {a: 1}"),
        *("needs: {a: [0, 1]}\nlimits: {a: 1}", "keep: '*.csv'", "keep: []", "keep: {most: 1G}", "keep: {most: 0}"),
        *("setup: [a, b]", "code: [a]", "workdir: ~", "grace: 0", "description: 3", "rows: {csv: x}"),
    ],
)
def test_what_loads_fits(line: str) -> None:
    text = f"command: ./x\n{line}\n"
    assert loads(text)
    assert accepted(text)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "repat: 3",
            "repeat: 0",
            "repeat: x",
            "stages: {}",
            "parameters: 3",
            "parameters: {a: {rang: [1, 2]}}",
        ),
        *("parameters: {a: {range: [1]}}", "parameters: {a: []}", "parameters: {2a: 1}", "parameters: {a: }"),
        *(
            "parameters: {a: {linspace: [0, 1, 0]}}",
            "parameters: {a: {range: [0, 3], choice: [1]}}",
            "order: list",
        ),
        *(
            "retry_on: never",
            "sample: 0",
            "sample: {seed: 1}",
            "seed: {par: task}",
            "metrics: {a: {tak: last}}",
        ),
        *(
            "metrics: {a: {take: frist}}",
            "metrics: {a: {json: x, path: a}}",
            "ok_exit_codes: 300",
            "name: a b",
        ),
        *("needs: 3", "needs: {gpus: }", "needs: {cpus: -1}", "limits: {a: 0}", "limits: {a b: 1}", "keep: {glob: x}"),
        *("files: {a: {marks: ['#', '#']}}", "zip: [a]", "env: {A B: 1}", "version: 0", "rows: {pattrn: x}"),
    ],
)
def test_editors_see_these_mistakes(line: str) -> None:
    text = f"command: ./x\n{line}\n"
    assert not loads(text)
    assert not accepted(text)


def test_schema_is_whole() -> None:
    properties = SCHEMA["properties"]
    fields = [field.name for field in dataclasses.fields(Experiment) if field.name != "origin"]
    assert list(properties) == list(KEYS) == fields
    assert not set(properties) & set(LATER)
    assert SCHEMA["oneOf"] == [{"required": [key]} for key in ("command", "function", "stages")]
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$id" not in SCHEMA
    json.dumps(SCHEMA)
    for key, schema in properties.items():
        assert schema["title"] == key
        assert schema["description"]
        if "default" in schema:
            assert fits(schema["default"], schema), key
    kinds = SCHEMA["$defs"]["domain"]["anyOf"][2]["properties"]
    assert set(kinds) == set(KINDS)
    metric = SCHEMA["$defs"]["metric"]["anyOf"][1]["properties"]
    assert list(metric) == [*keys(SOURCES.own.values()), *COMMON_KEYS]
    rows = SCHEMA["$defs"]["rows"]["properties"]
    assert list(rows) == [*keys(ROW_SOURCES.own.values()), *MARKS]


def test_keys_of_the_file_and_attributes_agree() -> None:
    assert list(COMMON_KEYS) == list(keys_of(Metric))
    assert list(MARKS) == list(keys_of(Rows))
    for source in (*SOURCES.own.values(), *ROW_SOURCES.own.values()):
        fields = {source.renamed.get(field.name, field.name) for field in dataclasses.fields(source)}
        assert set(source.schemas) == fields >= set(source.documented())


def test_reference_names_every_key() -> None:
    lines = reference().splitlines()
    for key in KEYS:
        assert sum(line.startswith(f"| `{key}` |") for line in lines) >= 1
    for kind in KINDS:
        assert any(line.startswith(f"| `{{{kind}: ") for line in lines)
    assert any(line.startswith("| `repeat` | `10`<br>`{min: 3, max: 30, until: ") for line in lines)
    for line in lines:  # a bar inside a cell would break the table
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5)


@pytest.mark.parametrize(
    "value",
    [
        1,
        0.5,
        "a",
        "a b",
        "",
        "{x}",
        "it's: #",
        "1h",
        "10",
        "true",
        [1, "a"],
        {"a": {"b": ["{c}"]}},
        None,
        True,
    ],
)
def test_flow_is_yaml(value: Any) -> None:
    assert parse(f"k: {flow(value)}", "f.yaml").value == {"k": value}
