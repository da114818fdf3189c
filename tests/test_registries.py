"""Each kind has one owner: nothing else in the package knows the members of a registry by name, or imports them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import get_args

import pytest

import tui_lab
from tui_lab.cli.commands import COMMANDS
from tui_lab.engine.transports import TRANSPORTS
from tui_lab.experiment.cluster.transports import KEYS as NODE_KEYS
from tui_lab.experiment.domains.kinds import KINDS as DOMAINS
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.keys import KEYS
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_SOURCES
from tui_lab.experiment.sources.kinds import KINDS as SOURCES
from tui_lab.results.charts.registry import OWN as CHARTS
from tui_lab.store.events import KnownEvent
from tui_lab.tui.base.panes import NAMES as PANES

PACKAGE = Path(tui_lab.__file__).parent
GENERATED = {"api/domains.py", "api/keys.py"}  # from the registries, by docs/generate.py
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {file: ast.parse(path.read_bytes()) for file, path in FILES.items() if file not in GENERATED}


def test_each_registry_is_held_here() -> None:
    groups = {
        call.args[0].value
        for tree in TREES.values()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split("[")[0] == "Registry"
        and isinstance(call.args[0], ast.Constant)
    }
    assert groups == {
        "tui_lab.chart_kinds",
        "tui_lab.commands",
        "tui_lab.domains",
        "tui_lab.metric_extractors",
        "tui_lab.metric_sources",
        "tui_lab.node_keys",
        "tui_lab.panes",
        "tui_lab.row_readers",
        "tui_lab.row_sources",
        "tui_lab.transports",
    }, "a new registry needs a test below: nothing else knows its members"


# --- Texts


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the text of each text in a module, but for the examples of the reference."""
    examples = {
        id(node)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "examples"
        for node in ast.walk(keyword.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in examples:
            yield node.lineno, node.value


def named(names: Collection[str], own: Callable[[str, str], bool]) -> set[str]:
    """Where a text is one of these names, as `FILE NAME`. own: whether a file may say a name."""
    return {
        f"{file} {text}"
        for file, tree in TREES.items()
        for _, text in literals(tree)
        if text in names and not own(file, text)
    }


def test_nothing_else_knows_the_kinds_of_domain() -> None:
    assert named(DOMAINS.own, lambda file, name: file == f"experiment/domains/{name}.py") == {
        "experiment/expressions/expression.py range",  # the function of SQL
    }


def test_nothing_else_knows_the_kinds_of_chart() -> None:
    def own(file: str, name: str) -> bool:
        return file in (f"results/charts/kinds/{name}.py", "results/charts/registry.py")

    tables = named({"steps"}, own)  # also the name of a table, and a member of messages
    assert not [one for one in tables if one.startswith("results/charts/")]
    assert named(CHARTS.keys() - {"steps"}, own) == {
        "cli/commands/stats.py pareto",  # the option --pareto
        "experiment/keys/__init__.py parallel",  # what other programs call `slots`
        "results/statistics/document.py pareto",  # a member of its JSON
    }


KEYS_HOME = "experiment/cluster/transports.py"
POOLS = "experiment/cluster/pools"
BATCH_SYSTEMS = {  # those of dask-jobqueue, one of which has a transport of its own
    "engine/transports/dask/jobs.py slurm",
    "experiment/cluster/pools/dask.py slurm",
}


def test_nothing_else_knows_the_transports() -> None:
    def at_home(file: str, name: str) -> bool:
        return file == "engine/transports/__init__.py" or file.startswith(f"engine/transports/{name}/")

    own = named(TRANSPORTS.own, lambda file, name: at_home(file, name) or file in (KEYS_HOME, f"{POOLS}/{name}.py"))
    assert own == BATCH_SYSTEMS


def test_nothing_else_knows_the_keys_of_nodes_that_choose_a_transport() -> None:
    def at_home(file: str, name: str) -> bool:
        return file in (KEYS_HOME, f"{POOLS}/{name}.py") or file.startswith(f"engine/transports/{name}/")

    own = named(NODE_KEYS.own, lambda file, name: at_home(file, name) or file == "engine/transports/__init__.py")
    assert own == BATCH_SYSTEMS
    imported = {
        alias.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "tui_lab.experiment.cluster.transports"
        for alias in node.names
    }
    assert imported == {"KEYS", "NodeKey"}, "the registry and the base class, but no member"


SCHEMA = "a word of JSON Schema"
SHELL = "a part of a shell's command"
FORMAT = "a format of files"
TYPE = "a type of columns"
OTHER_MEANINGS = {
    ("experiment/shell/", "pattern"): SHELL,
    ("experiment/cluster/pools/", "pattern"): SCHEMA,
    ("experiment/cluster/schema.py", "pattern"): SCHEMA,
    ("experiment/keys/", "pattern"): SCHEMA,
    ("experiment/schema_parts.py", "pattern"): SCHEMA,
    ("experiment/sources/json.py", "pattern"): SCHEMA,
    ("results/export/", "csv"): FORMAT,
    ("results/export/", "json"): FORMAT,
    ("results/sql/", "csv"): FORMAT,
    ("results/sql/", "json"): FORMAT,
    ("tui/base/exporting.py", "csv"): FORMAT,
    ("tui/base/exporting.py", "json"): FORMAT,
    ("cli/options.py", "csv"): FORMAT,
    ("cli/options.py", "json"): FORMAT,
    ("cli/commands/explore.py", "json"): FORMAT,
    ("cli/commands/parse.py", "csv"): FORMAT,
    ("results/node_samples.py", "json"): FORMAT,
    ("experiment/column_type.py", "json"): TYPE,
    ("experiment/sources/source.py", "json"): TYPE,
    ("experiment/sources/returned.py", "json"): TYPE,
    ("results/extraction/", "json"): TYPE,
    ("cli/commands/draw.py", "sql"): "the option --sql",
    ("cli/commands/parse.py", "pattern"): "what its option -p writes",
    ("cli/commands/parse.py", "each"): "what its option -n writes",
    ("client/formatting.py", "run"): "a word of a sentence",
    ("client/node_formatting.py", "run"): "a word of a sentence",
    ("experiment/keys/", "run"): "what other tools call the command",
    ("tui/panes/query/", "sql"): "the language of an editor, and a member of its history",
    ("tui/panes/tasks/commands.py", "run"): "a word of a sentence",
    ("store/events.py", "returned"): "an event of the journal",
    ("experiment/", "function"): "what a task calls",
    ("store/", "function"): "what a task calls",
    ("api/", "function"): "what a task calls",
    ("tui/panes/query/", "function"): "a function of SQL",
    ("tui/widgets/completion/", "function"): "a function of SQL",
    ("experiment/sources/function.py", "json"): TYPE,
    ("engine/agent/", "returned"): "a message of the agent",
}
"""What texts mean that are no kind of metric source or source of rows, by folder or file and text."""


@pytest.mark.parametrize(("kinds", "folder"), [(SOURCES.own, "sources"), (ROW_SOURCES.own, "row_sources")])
def test_nothing_else_knows_where_metrics_and_rows_are(kinds: Collection[str], folder: str) -> None:
    def own(file: str, name: str) -> bool:
        return file.endswith(f"sources/{name}.py") and file.startswith(("experiment/", "results/extraction/"))

    found = {tuple(one.split(" ")) for one in named(kinds, own)}
    meant = {
        (file, text) for file, text in found for at, word in OTHER_MEANINGS if file.startswith(at) and text == word
    }
    assert found == meant


# --- Lists of several names


def listed(names: Collection[str]) -> set[str]:
    """The files in which a list, set or mapping, or a text with commas, has three or more of these names."""
    found = set()
    for file, tree in TREES.items():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            parts: list[ast.expr | None] = []
            if isinstance(node, ast.List | ast.Tuple | ast.Set):
                parts = [*node.elts]
            elif isinstance(node, ast.Dict):
                parts = [*node.keys]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                parts = [ast.Constant(word.strip()) for word in node.value.split(",")]
            if len({part.value for part in parts if isinstance(part, ast.Constant)} & {*names}) >= 3:
                found.add(file)
    return found


def test_nothing_else_lists_the_subcommands() -> None:
    assert listed(COMMANDS.own) == {
        "cli/commands/__init__.py",
        "tui/base/panes.py",  # panes of the same names
    }


def test_nothing_else_lists_the_panes() -> None:
    assert listed(PANES) == {
        "tui/base/panes.py",
        "cli/commands/__init__.py",  # subcommands of the same names
    }


def test_nothing_else_lists_the_keys_of_the_file() -> None:
    assert listed(KEYS) == {
        "experiment/load.py",  # those that say what runs
        "experiment/stage_checks.py",  # those that can't stand beside stages
        "experiment/schema.py",  # those that are mappings, in the order of the reference
        "experiment/cluster/reader.py",  # keys of a node
        "experiment/cluster/schema.py",
        "store/matching.py",  # what makes a task's key
        "store/program_files.py",  # what tasks run under, though no key holds it
        "store/planning.py",
        "store/experiment.py",  # columns of plans
        "store/stage_run_rows.py",
        "experiment/readers/function.py",  # those that go with `function`
        "experiment/stage_functions.py",
        "engine/tasks/function_call.py",  # members of a call
        "engine/node_commands.py",  # members of messages
        "engine/agent/messages.py",
        "engine/agent/contexts.py",  # members of a context on which its setup depends
        "cli/patas_files.py",  # the options that patas has
        "results/statistics/against.py",  # members of its JSON
    }


def test_nothing_else_lists_the_facts() -> None:
    assert listed(FACTS) == {
        "store/facts.py",  # how each is computed
        "store/fold.py",  # columns of the fold, some of which are facts
        "engine/core/times.py",  # columns of the fold, read as arrays
        "store/step_facts.py",  # columns of the fold by step, and the message that has them
        "engine/agent/done_steps.py",
        "store/planning.py",  # columns of plans
        "store/experiment.py",
        "store/stage_run_rows.py",
        "experiment/model.py",  # placeholders
        "engine/tasks/builder.py",
        "results/extraction/sources/run.py",
        "portable/function/main.py",
        "results/patas_names.py",  # columns that patas has
        "tui/panes/dashboard/data.py",  # what it says of tasks
        "tui/panes/tasks/view.py",  # the columns that it shows by itself
    }


def test_nothing_else_lists_the_events_of_the_journal() -> None:
    assert listed({str(kind.__struct_config__.tag) for kind in get_args(KnownEvent)}) == {
        "store/checkpoint.py",  # fields of the state
        "store/fold.py",  # columns of the state
    }


# --- Imports

OFFERS = "what programs write is offered as such a metric"
REGISTRIES = {
    "cli/commands": {
        "cli/commands/run.py plan": "--run --dry-run shows the plan",
        "cli/commands/explore.py plan": "its --dry-run does",
        "cli/commands/explore.py run": "it runs what it has read",
    },
    "tui/panes": {},
    "experiment/domains": {"cli/exploring.py range": "patas' option for it"},
    "experiment/sources": {
        "results/offers/lines.py pattern": OFFERS,
        "results/offers/offer.py pattern": OFFERS,
        "results/offers/places.py json": OFFERS,
        "results/offers/places.py pattern": OFFERS,
        "results/offers/structured.py csv": OFFERS,
        "results/offers/structured.py json": OFFERS,
        "experiment/readers/metrics.py pattern": "a text alone is a pattern",
        "experiment/readers/metrics.py function": "its short form",
        "experiment/sources/run.py pattern": "a pattern is searched in what it prints",
        "experiment/row_sources/pattern.py pattern": "patterns are read alike",
        "experiment/row_sources/each.py pattern": "patterns are read alike",
        "experiment/row_sources/csv.py csv": "CSV files are laid out alike",
    },
    "experiment/row_sources": {
        "results/extraction/sources/csv.py csv": "CSV files are laid out alike",
    },
    "results/extraction/sources": {"results/extraction/row_sources/csv.py csv": "CSV files are laid out alike"},
    "results/extraction/row_sources": {},
    "results/charts/kinds": {"results/charts/kinds/steps.py lines": "steps are lines over another x"},
    "engine/transports": {
        "client/engine.py ssh": "an engine that waits loads it in advance",
        "client/remote/connection.py ssh": "a lab on another machine is reached as its nodes are",
        "engine/transports/bridge/client.py local": "how long a line may be",
        "engine/transports/dask/jobs.py slurm": "its commands must not take options from the environment",
        "engine/transports/slurm/commands.py local": "how long a line may be",
        "engine/transports/slurm/commands.py ssh": "a login node is reached as nodes are",
    },
}
"""The folders that have a module or folder for each member, and who may import one besides the registry, and why."""


def members(folder: str) -> set[str]:
    """The names of the members in a folder."""
    names = {
        "cli/commands": [*COMMANDS.own, "run"],
        "tui/panes": [*PANES, "welcome"],
        "experiment/domains": DOMAINS.own,
        "experiment/row_sources": ROW_SOURCES.own,
        "results/extraction/row_sources": ROW_SOURCES.own,
        "results/charts/kinds": CHARTS,
        "engine/transports": TRANSPORTS.own,
    }
    return set(names.get(folder, SOURCES.own))


@pytest.mark.parametrize("folder", REGISTRIES)
def test_nothing_imports_a_member_of_a_registry(folder: str) -> None:
    package = f"tui_lab.{folder.replace('/', '.')}."
    found = set()
    for file, tree in TREES.items():
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for name in names:
            member = name.removeprefix(package).split(".")[0]
            inside = file.startswith(f"{folder}/{member}") or file in (f"{folder}/kinds.py", f"{folder}/__init__.py")
            other_layer = "sources" in folder and file == f"results/extraction/{Path(folder).name}/{member}.py"
            registry = file == f"results/extraction/{Path(folder).name}/kinds.py"
            if name.startswith(package) and member in members(folder) and not (inside or other_layer or registry):
                found.add(f"{file} {member}")
    assert found == set(REGISTRIES[folder])
