"""JSON Schema and reference of cluster.yaml, from the texts of the models."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.cluster.model import MAX_NODE_NAME, NODE_NAME, Cluster, ClusterNode
from tui_lab.experiment.cluster.transports import KEYS
from tui_lab.experiment.schema import DIALECT, key_table
from tui_lab.experiment.schema_parts import ANY_TEXT, TEXT, Schema, closed_object, named, one_or_many, or_null

_GPU: Final[Schema] = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(MIG|GPU)-."}]}
_PATH_THERE: Final[Schema] = {"type": "string", "pattern": "^(/|~/|~$)"}
_TIME: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}
_WHOLE: Final[Schema] = {"type": "integer", "minimum": 1}

_NODE_KEYS: Final[dict[str, Schema]] = {
    "name": or_null({"type": "string", "pattern": f"^{NODE_NAME.pattern}$", "maxLength": MAX_NODE_NAME}),
    "host": or_null({"type": "string", "pattern": "^[^@\\s/-][^@\\s/]*$"}),
    "port": or_null({**_WHOLE, "maximum": 65535}),
    "user": or_null(ANY_TEXT),
    "key": or_null(TEXT),
    "known_hosts": or_null(TEXT),
    "slots": or_null(_WHOLE),
    "tags": or_null(one_or_many(ANY_TEXT)),
    "gpus": or_null({"anyOf": [{"enum": ["all", "free"]}, {"type": "array", "items": _GPU}]}),
    "memory": or_null({"anyOf": [TEXT, {"enum": [0]}]}),
    "workdir": or_null(_PATH_THERE),
    "python": or_null({"type": "string", "pattern": "^([^/]+$|/|~/)"}),
    "resources": or_null(named({"type": "integer", "minimum": 1})),
    "setup": or_null(one_or_many(TEXT)),
    "env": or_null(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": or_null(ANY_TEXT),
        }
    ),
    "ahead": or_null({"anyOf": [{"type": "integer", "minimum": 0}, TEXT]}),
    "lost_after": or_null(_TIME),
    "spool": or_null(_PATH_THERE),
}


def cluster_json_schema() -> Schema:
    """The schema of cluster.yaml, for editors: a file that loads always fits it."""
    node = closed_object(ClusterNode, _NODE_KEYS)
    for kind, member in KEYS.members().items():
        node["properties"][kind] = {"title": kind, "description": member.meaning(), **member.schema}
    nodes = {"type": "array", "items": node, "minItems": 1}
    keys = {"name": or_null(ANY_TEXT), "nodes": nodes, "lost_after": or_null(_TIME)}
    return {
        "$schema": DIALECT,
        "title": "cluster.yaml",
        "description": "Machines that TUI Lab runs tasks on, and how it reaches them.",
        **closed_object(Cluster, keys, required=("nodes",)),
    }


def cluster_reference() -> str:
    """Markdown tables of every key of a cluster, of each of its nodes, and of each transport that has some."""
    parts = [key_table(Cluster), "### Keys of a node", key_table(ClusterNode)]
    for kind, member in KEYS.own.items():
        parts += [f"### Keys of `{kind}`", member.meaning(), key_table(member)]
    return "\n\n".join(parts) + "\n"
