"""What a cluster is: named machines, and how each is reached and used."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Final, Literal, cast

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.transports import NodeKey
from tui_lab.experiment.record import Fields, Model, documented, plain

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@%+-]*", re.ASCII)
NOT_IN_NODE_NAMES: Final = re.compile(r"[^A-Za-z0-9_.@%+-]", re.ASCII)
MAX_NODE_NAME: Final = 50  # it is part of the path of a Unix socket, which has 107 bytes
MOST_SLOTS: Final = 1_000_000
"""As many as an agent takes."""
THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")

Gpus = tuple[int | str, ...] | Literal["all", "free"]


class Ahead(Model):
    """A backlog handed to a node: a number of tasks, or what it works at for some seconds."""

    count: int | None = None
    seconds: float | None = None


class ClusterNode(Model):
    """A machine that tasks run on."""

    name: str = documented(
        default="",
        description="Name of the node, in tables and for `--node`; by default its `host`, and `localhost` for "
        "this machine.",
        examples=["tower"],
    )
    host: str | None = documented(
        default=None,
        description="Host name, address, or alias of `~/.ssh/config`. Without one, the node is this machine.",
        examples=["192.0.2.9", "gpu1.example.org"],
    )
    port: int | None = documented(
        default=None, description="Port of its sshd; by default as in `~/.ssh/config`, else 22.", examples=[2222]
    )
    user: str | None = documented(
        default=None, description="User to log in as; by default as in `~/.ssh/config`, else you.", examples=["ana"]
    )
    key: str | None = documented(
        default=None,
        description="File of the private key, on this machine; by default as in `~/.ssh/config`, else the SSH agent's "
        "and the usual ones in `~/.ssh`.",
        examples=["~/.ssh/id_lab"],
    )
    known_hosts: str | None = documented(
        default=None,
        description="File of host keys, on this machine, instead of `~/.ssh/known_hosts`.",
        examples=["lab_hosts"],
    )
    slots: int | None = documented(
        default=None, description="How many tasks run there at once; by default its cores.", examples=[16]
    )
    tags: tuple[str, ...] = documented(
        default=(),
        description="Words that describe the node; `run_on` of an experiment selects by them.",
        examples=[["gpu"]],
    )
    gpus: Gpus | None = documented(
        default=None,
        description="GPUs for tasks: their indices or names (`MIG-...`, `GPU-...`), `all`, or `free` for those "
        "that no other user uses at the start. Default: all. Never one that "
        "`CUDA_VISIBLE_DEVICES` or a similar variable there excludes.",
        examples=[[0, 1], "free"],
    )
    memory: int | None = documented(
        default=None, description="Memory for tasks, if it is less than the node has.", examples=["48G"]
    )
    resources: dict[str, int] = documented(
        default_factory=dict,
        description="What else the node has for tasks, by name; the `needs` of an experiment take of it.",
        examples=[{"scope": 1}],
    )
    workdir: str | None = documented(
        default=None,
        description="Folder on the node where tasks start, instead of the experiment's `workdir`.",
        examples=["~/exp"],
    )
    python: str | None = documented(
        default=None,
        description="Python 3.6 or newer on the node, for the agent, and for functions of experiments that name none: "
        "a name, or a path. Default: `python3`.",
        examples=["~/venv/bin/python"],
    )
    setup: str | None = documented(
        default=None,
        description="Shell lines that run once on the node before those of the experiment; tasks inherit the "
        "variables that they set.",
        examples=["module load cuda"],
    )
    env: dict[str, str] = documented(
        default_factory=dict,
        description="Environment variables of all tasks there.",
        examples=[{"OMP_PROC_BIND": "true"}],
    )
    ahead: Ahead | None = documented(
        default=None,
        description="Work that the node gets in advance, for the time that this machine sleeps: a number of tasks, or "
        "a time.",
        examples=["8h", 500],
    )
    lost_after: float | None = documented(
        default=None,
        description="How long the node may be out of reach before its tasks run elsewhere; by default the cluster's.",
        examples=["1h"],
    )
    spool: str | None = documented(
        default=None,
        description="Folder on the node for the agent's own files, if `/tmp` is unsuitable; it must be on a local "
        "disk, not on one that nodes share.",
        examples=["/scratch/ana"],
    )

    transport: NodeKey | None = dataclasses.field(default=None)
    """How it is reached, where that does not follow from `host`; in a file its key is the transport's name."""

    def entry(self) -> NodeEntry:
        """The node as a submission records it: what is not said is left out."""
        slots = self.transport.usual_slots() if self.transport is not None else 0
        found: Fields = {"slots": slots, **plain(self, without_none=True, leave_out={"ahead", "transport"})}
        if self.transport is not None:
            found |= {"transport": self.transport.kind, self.transport.kind: self.transport.as_entry()}
        found = {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}
        for key in ("env", "resources"):
            if not found[key]:
                del found[key]
        if self.ahead is not None:
            found["ahead"] = self.ahead.count if self.ahead.count is not None else {"seconds": self.ahead.seconds}
        return cast(NodeEntry, found)


class Cluster(Model):
    """A named set of nodes."""

    name: str | None = documented(default=None, description="Name of the cluster.", examples=["wespa"])
    nodes: tuple[ClusterNode, ...] = documented(
        description="The machines; the keys of one are below.",
        examples=[[{"slots": 2}, {"name": "tower", "host": "192.0.2.9", "slots": 16}]],
    )
    lost_after: float | None = documented(
        default=None,
        description="How long a node may be out of reach before its tasks run elsewhere. Default: 10m.",
        examples=["30m"],
    )

    def entries(self) -> list[NodeEntry]:
        """All nodes as a submission records them."""
        common: NodeEntry = {} if self.lost_after is None else {"lost_after": self.lost_after}
        return [{**common, **node.entry()} for node in self.nodes]


def node_name_error(name: str) -> tuple[str, str] | None:
    """Message and hint if `name` can't be a node's, else None."""
    if not NODE_NAME.fullmatch(name):
        return f'"{name}" can\'t be the name of a node', "a name has letters, digits and _ . @ % + -, as in: tower"
    if len(name) > MAX_NODE_NAME:
        return f'the name "{name[:20]}..." is too long for a node', f"{MAX_NODE_NAME} characters are allowed"
    return None


def relative_to(folder: Path, text: str) -> str:
    """A file on this machine, from a path in a file of `folder`."""
    return str(folder / Path(text).expanduser())
