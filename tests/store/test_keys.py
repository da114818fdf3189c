"""Task keys: what tells tasks apart, and what does not."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.store.keys import keys, member

COMMAND: dict[str, Value] = {"command": [[None, "./main.py {x}"]], "files": {}, "inputs": {}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def key(value: object, repeat: int = 0, **options: object) -> bytes:
    found = keys(COMMAND, [iter([member("x", value)])], 1, repeat + 1, **options)  # type: ignore[arg-type]
    return list(found)[repeat]


def test_a_key_is_the_hash_of_the_documented_json() -> None:
    written = {
        "command": [[None, "./main.py {x}"]],
        "parameters": {"x": 0.5},
        "repeat": 1,
        "seed": 7,
        "version": 2,
    }
    text = json.dumps(written, sort_keys=True, separators=(",", ":")).encode()
    assert key(0.5, repeat=1, seeds=[3, 7], version=2) == hashlib.sha256(text).digest()


def test_empty_parts_are_left_out() -> None:
    text = json.dumps({"command": [[None, "./main.py {x}"]], "repeat": 0}, sort_keys=True, separators=(",", ":"))
    assert key(None) == hashlib.sha256(text.encode()).digest()
    assert list(keys(COMMAND, [], 1, 1)) == [key(None)]


def test_values_of_another_type_are_other_values() -> None:
    values: list[object] = [
        True,
        1,
        1.0,
        "1",
        "true",
        None,
        "null",
        [1],
        "[1]",
        10**30,
        float("nan"),
        float("inf"),
    ]
    assert len({key(value) for value in values}) == len(values)


def test_minus_zero_is_zero() -> None:
    assert key(-0.0) == key(0.0) != key(0)
    assert key([-0.0]) == key([0.0])


@given(VALUES, VALUES)
def test_equal_keys_mean_equal_values(one: object, other: object) -> None:
    assert (key(one) == key(other)) == (canonical(one) == canonical(other))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a", 'with "quotes"', "ünïcode", "new\nline", "da-sh.dot"])
def test_names_are_part_of_the_key(name: str) -> None:
    text = json.dumps({"parameters": {name: 1}, "repeat": 0}, sort_keys=True, separators=(",", ":"))
    assert list(keys({}, [iter([member(name, 1)])], 1, 1)) == [hashlib.sha256(text.encode()).digest()]
