"""Messages between engine and agent: the types of the engine, and the names that the agent uses, are the same."""

from __future__ import annotations

import ast
import json
from importlib import resources
from typing import Any

import msgspec
import pytest

from tui_lab.engine.agent.messages import MEMBERS
from tui_lab.protocol.agent import (
    FROM_AGENT,
    TO_AGENT,
    Ack,
    BadMessage,
    Context,
    Finished,
    Output,
    Pong,
    Start,
    decode,
    encode,
    received,
)

CHECKED: Any = MEMBERS  # the agent has no types

# What the agent looks at without asking `messages` about it: the key of an attempt, and names.
ELSEWHERE = {"context": {"id", "ok_exit_codes"}, "start": {"experiment", "task", "attempt"}}


def kinds(messages: tuple[type[Any], ...]) -> dict[str, dict[str, bool]]:
    """Members by the type of the message, and whether they must be there."""
    return {
        str(kind.__struct_config__.tag): {one.name: one.required for one in msgspec.structs.fields(kind)}
        for kind in messages
    }


@pytest.mark.parametrize("kind", sorted(CHECKED))
def test_the_agent_checks_the_members_that_the_engine_sends(kind: str) -> None:
    needed, optional = CHECKED[kind]
    members = kinds(TO_AGENT)[kind]
    assert set(needed) | set(optional) | ELSEWHERE.get(kind, set()) == set(members)
    assert all(members[name] for name in needed)


def said() -> list[tuple[str, set[str]]]:
    """The messages that stand in the agent's source as dictionaries: their types, and names of their members."""
    found = []
    for file in resources.files("tui_lab.engine.agent").iterdir():
        if not file.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Dict):
                literal = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                kind = literal.get("type")
                if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                    found.append((kind.value, {str(name) for name in literal}))
    return found


@pytest.mark.parametrize(("kind", "names"), said())
def test_the_agent_says_the_members_that_the_engine_reads(kind: str, names: set[str]) -> None:
    """tests/engine/agent/talk.py holds all that agents say in other tests to the same."""
    members = kinds(FROM_AGENT)[kind]
    assert names - {"type"} <= set(members)
    # `ago` is added when it is told.
    assert {name for name, required in members.items() if required} - {"ago"} <= names


def test_most_of_what_agents_say_was_found() -> None:
    assert {kind for kind, _ in said()} >= set(kinds(FROM_AGENT)) - {"finished"}


def test_what_is_not_there_is_not_sent() -> None:
    start = Start("e@1", 3, 1, "c", "/out", 1, {}, 10.0, None, [0])
    assert set(json.loads(encode(start))) == {
        *("type", "experiment", "task", "attempt", "context", "folder", "steps", "env", "grace", "timeout", "ok")
    }
    assert json.loads(encode(Ack([("e@1", 3, 1)]))) == {"type": "ack", "keys": [["e@1", 3, 1]]}


def test_bytes_that_are_no_utf_8_travel_both_ways() -> None:
    context = Context("c", {"NAME": "a\udcff"}, {}, None, "/", None, None, [0], [])
    assert json.loads(encode(context))["environment"] == {"NAME": "a\udcff"}
    message = decode(b'{"type": "output", "key": ["e@1", 3, 1], "name": "a\\udcff", "offset": 0}')
    assert isinstance(message, Output) and message.name == "a\udcff"


def test_messages_arrive_in_pieces() -> None:
    stream = (
        b'{"type": "finished", "key": ["e@1", 3, 1], "state": "done", "size": 3}\n{}\n'
        b'{"type": "pong", "id": 1, "time": 2, "of a newer agent": []}\n'
    )
    found, rest = [], b""
    for place in range(len(stream)):
        messages, rest = received(rest + stream[place : place + 1])
        found += messages
    assert rest == b""
    assert found == [Finished(("e@1", 3, 1), "done", size=3, data=b"{}\n"), Pong(1, 2.0)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type": "hello"}',
        b'{"type": "started", "key": ["e@1", 3], "ago": 0.0}',
        b'{"type": "started", "key": ["e@1", "3", 1], "ago": 0.0}',
        b'{"type": "started", "key": ["e@1", 3, 1], "ago": null}',
        b'{"type": "started", "key": ["\\udcff", 3, 1], "ago": "no"}',
        b'{"type": "finished", "key": ["e@1", 3, 1], "state": "fine"}',
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(line)
