"""Lines between clients and the engine: what one side writes, the other reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.store.events import submitted
from tui_lab.protocol.control import (
    COMMANDS,
    AddNode,
    AskStatus,
    CleanNodes,
    Command,
    Drain,
    DrainNode,
    Fetched,
    FetchFiles,
    ListNodes,
    NodeStatus,
    Pause,
    ProtocolError,
    ReadFile,
    ReconnectNode,
    Refusal,
    Requeue,
    Resume,
    ResumeNode,
    SetPriority,
    SetSlots,
    Status,
    Stop,
    StoppingTasks,
    Submit,
    Taken,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
)
from tui_lab.store.errors import LabError, OutdatedPlanError, StorageError

ENVIRONMENT = {"HOME": "/home/ana", "BYTES": "caf\udce9"}
EACH: list[Command[Any]] = [
    Submit(submitted([[0, 9]], [[0, 9]], joins=True), 100, ENVIRONMENT, 0o022),
    Requeue("e", [[0, 9]], ENVIRONMENT, {"timeout": 5.0}, 0o022),
    Resume("e", ENVIRONMENT),
    Pause("e"),
    Drain("e"),
    Stop("e", [[0, 0], [4, 5]]),
    Stop("e", interrupt=True),
    AskStatus(),
    ListNodes(),
    SetSlots("tower", 4),
    SetPriority("e", 3),
    DrainNode("tower"),
    ResumeNode("tower"),
    ReconnectNode("tower", ENVIRONMENT),
    AddNode({"name": "tower", "slots": 2}, ["e"], ENVIRONMENT),
    ReadFile("e", 3, 1, "stdout", 0, 100),
    FetchFiles("e", 3, ENVIRONMENT, None, ["*.pt"]),
    CleanNodes(ENVIRONMENT),
]


@pytest.mark.parametrize("command", EACH, ids=lambda command: command.kind)
def test_the_engine_reads_what_a_client_writes(command: Command[Any]) -> None:
    line = encode_command(7, command)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert json.loads(line)["command"] == command.kind
    received = decode_command(line)
    assert (received.id, received.command) == (7, command)


def test_every_command_is_among_them() -> None:
    assert {type(command) for command in EACH} == set(COMMANDS)


@pytest.mark.parametrize("command", ["dance", "stop"])
def test_a_command_of_another_version_is_told_by_its_name(command: str) -> None:
    received = decode_command(json.dumps({"command": command, "id": 3, "experiment": 5}).encode())
    assert (received.id, received.name, received.command) == (3, command, None)
    assert received.wrong


@pytest.mark.parametrize("line", [b"", b"[]", b"hello", b"\xff", b'{"id":'])
def test_what_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(line)
    with pytest.raises(ProtocolError):
        decode_answer(line, 1, Taken)


def test_a_client_reads_what_the_engine_answers() -> None:
    away = StoppingTasks("e", "far", 2, "no route", 3.5, 60.0)
    node = NodeStatus(name="far", state="away", away_for=3.5, tasks=[("e", 1, 1)])
    status = Status(1, ["e"], "", [node], {"x": "damaged"}, [], [away])
    assert decode_answer(encode_answer(4, status), 4, Status) == status
    assert decode_answer(encode_answer(3, status), 4, Status) is None
    assert decode_answer(encode_answer(5, Fetched(2, 99)), 5, Fetched) == Fetched(2, 99)
    newer = encode_answer(5, Fetched(2, 99)).replace(b"{", b'{"speed": 3, ', 1)
    assert decode_answer(newer, 5, Fetched) == Fetched(2, 99)
    with pytest.raises(ProtocolError):
        decode_answer(encode_answer(5, Fetched(2, 99)), 5, Taken)


@pytest.mark.parametrize(("flag", "kind"), [("", LabError), ("storage", StorageError), ("outdated", OutdatedPlanError)])
def test_a_refusal_is_an_error_for_the_person(flag: str, kind: type[LabError]) -> None:
    refusal = Refusal("no room", "make some", storage=flag == "storage", outdated=flag == "outdated")
    found = decode_answer(encode_answer(1, refusal), 1, Taken)
    assert found == refusal and isinstance(found, Refusal)
    error = found.exception()
    assert type(error) is kind
    assert (error.message, error.hint) == ("no room", "make some")


def test_what_a_node_says_and_makes_no_sense_is_left_out() -> None:
    assert NodeStatus.of({"name": "n", "load": "much", "cores": 4, "gpus": [3]}) == NodeStatus(name="n", cores=4)
