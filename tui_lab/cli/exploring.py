"""From the options of `explore` to an experiment.yaml that says the same.

What patas does otherwise than `--run`: values are those of its command line, MAX of a progression is
excluded, a task has three attempts by default, and tasks start in the folder where the command was
typed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from tui_lab.client.errors import UsageError
from tui_lab.experiment.data_types import Json
from tui_lab.experiment.yaml.parser import parse
from tui_lab.experiment.yaml.problem import SpecError

MAX_TRIES: Final = 3
MOST_VALUES: Final = 100_000
_PLAIN: Final = re.compile(r"[A-Za-z_./$][A-Za-z0-9_./$ +=@%~^-]*")

Domain = tuple[str, Any]
"""A name, and what stands behind it in `parameters`."""


@dataclass(frozen=True)
class Sweep:
    """What patas calls an experiment."""

    name: str
    commands: tuple[str, ...]
    domains: tuple[Domain, ...] = ()
    repeat: int = 1
    max_tries: int = MAX_TRIES
    workdir: str | None = None
    redo: bool = False
    patas_env: bool = False
    kept: Mapping[str, Json] = field(default_factory=dict)
    """Keys that stay as they are: the metrics of an earlier call."""


# --- Values


def scalar(text: str) -> Any:
    """A value typed as YAML would type it where it stands alone; a text where YAML sees anything else."""
    try:
        document = parse(f"[{text}]", "")
    except SpecError:
        return text
    root = document.root
    if document.problems or root is None or root.kind != "list" or len(root.items) != 1:
        return text
    item = root.items[0]
    return item.value if item.kind == "scalar" and item.style is None else text


def listed(words: Sequence[str]) -> Domain:
    """`--vl NAME V...`. Raises UsageError."""
    if len(words) < 2:
        raise UsageError(f"explore --vl {' '.join(words)}: a name and its values are needed, as in --vl lr 0.1 0.01")
    return words[0], [scalar(word) for word in words[1:]]


def arithmetic(name: str, low: str, high: str, step: str, option: str = "--va") -> Domain:
    """`--va NAME MIN MAX STEP`: MIN, MIN + STEP, ... up to MAX, MAX excluded. Raises UsageError."""
    from tui_lab.experiment.domains.range import Range

    start, stop, by = (_decimal(name, word, option) for word in (low, high, step))
    if by == 0 or (stop - start) / by <= 0:
        raise UsageError(f"explore {option} {name} {low} {high} {step}: there is no value from {low} to below {high}")
    return name, {Range.kind: [_number(low), _number(high), _number(step)]}


def geometric(name: str, low: str, high: str, factor: str, option: str = "--vg") -> Domain:
    """`--vg NAME MIN MAX FACTOR`: MIN, MIN * FACTOR, ... up to MAX, MAX excluded; exact. Raises
    UsageError."""
    start, stop, by = (_decimal(name, word, option) for word in (low, high, factor))
    growing = abs(by) > 1
    said = f"explore {option} {name} {low} {high} {factor}"
    if by <= 0 or by == 1 or start == 0:
        raise UsageError(f"{said}: the values would never reach {high}; FACTOR must be above 0 and not 1, MIN not 0")
    if (growing == (start > 0)) != (stop > start) or (stop != 0 and (stop > 0) != (start > 0)):
        raise UsageError(f"{said}: the values would never reach {high}")
    if stop == 0:
        raise UsageError(f"{said}: the values approach 0 and never reach it; give another MAX")
    values, value = [], start
    while (value < stop) if stop > start else (value > stop):
        values.append(value)
        if len(values) > MOST_VALUES:
            raise UsageError(f"{said}: that is more than {MOST_VALUES:,} values")
        value *= by
    whole = all(isinstance(_number(word), int) for word in (low, factor))
    return name, [int(value) if whole else float(value) for value in values]


def _number(text: str) -> int | float:
    value = scalar(text)
    return value if type(value) in (int, float) else float(text)


def _decimal(name: str, text: str, option: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise UsageError(f'explore {option} {name}: "{text}" is no number') from None
    if not number.is_finite():
        raise UsageError(f'explore {option} {name}: "{text}" is not finite')
    return number


# --- The file


def write_sweep(sweep: Sweep, folder: Path) -> str:
    """The text of the experiment.yaml, to be kept in `folder`."""
    lines = ["# Made by tui-lab explore. Keep it, edit it, run it again: tui-lab --run FILE"]
    lines.append(f"name: {_scalar(sweep.name)}")
    lines += _command(sweep.commands)
    if sweep.domains:
        lines.append("parameters:")
        lines += [f"  {_scalar(name)}: {_flow(domain)}" for name, domain in sweep.domains]
    lines.append(f"repeat: {sweep.repeat}")
    lines.append(f"retries: {sweep.max_tries - 1}")
    lines.append(f"workdir: {_scalar(sweep.workdir or _here(folder))}")
    if sweep.patas_env:
        lines.append("env:")
        lines += [f"  {name}: {_flow(value)}" for name, value in patas_variables(sweep).items()]
    for key, value in sweep.kept.items():
        lines += _block(key, value)
    return "\n".join(lines) + "\n"


def _here(folder: Path) -> str:
    """The folder where the command was typed, as the file says it: `..` where the lab is in it."""
    here, lab = Path.cwd(), folder.absolute()
    return os.path.relpath(here, lab) if lab.is_relative_to(here) else str(here)


def _command(commands: Sequence[str]) -> list[str]:
    if len(commands) == 1:
        return [f"command: {_scalar(commands[0])}"]
    if all(len(command.split()) == 1 for command in commands):
        return [f"command: {_scalar(chr(10).join(commands))}"]  # a list of words would look like one command
    return ["command:", *(f"  - {_scalar(command)}" for command in commands)]


def patas_variables(sweep: Sweep) -> dict[str, str]:
    """The variables that tasks of patas see."""
    values = {f"PATAS_VAR_{name}": f"{{{name}}}" for name, _ in sweep.domains if re.fullmatch(r"\w+", name, re.ASCII)}
    return {
        "PATAS_CLUSTER_NAME": "cluster",
        "PATAS_NODE_NAME": "{node}",
        "PATAS_CLUSTER_IN_LAB": "0",
        "PATAS_NODE_IN_LAB": "0",
        "PATAS_NODE_IN_CLUSTER": "0",
        "PATAS_WORKER_IN_LAB": "{slot}",
        "PATAS_WORKER_IN_CLUSTER": "{slot}",
        "PATAS_WORKER_IN_NODE": "{slot}",
        "PATAS_WORK_DIR": os.path.abspath(os.path.expandvars(os.path.expanduser(sweep.workdir or ""))),  # noqa: PTH100, PTH111
        "PATAS_ATTEMPT": "{attempt}",
        **values,
    }


def _scalar(value: Any) -> str:
    """A value as YAML reads it back."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value == value.strip() and scalar(value) == value:
            return value
        if value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value)
    if isinstance(value, float) and value != value:
        return ".nan"
    if value in (float("inf"), -float("inf")):
        return ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    return _scalar(value)


def _block(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [f"{key}: {_flow(value)}"]
    return [f"{key}:", *(f"  {_scalar(name)}: {_flow(item)}" for name, item in value.items())]
