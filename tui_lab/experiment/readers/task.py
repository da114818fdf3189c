"""Reads what a task does and how: command, files, environment, times, failures, labels."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

from tui_lab.experiment.model import FileTemplate, RetryReason
from tui_lab.experiment.names import name_error
from tui_lab.experiment.shell.lines import flag_lines
from tui_lab.experiment.times import read_time
from tui_lab.experiment.units import TIME_HINT
from tui_lab.experiment.yaml.reader import Keypath, Reader, described, shortened

RETRY_REASONS: Final[tuple[str, ...]] = get_args(RetryReason)
_TAG: Final = re.compile(r"(?:not\s+)?[A-Za-z0-9_][A-Za-z0-9_.-]*")
_REFERENCE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)[^}]*\})", re.ASCII)
_OF_THE_LINKER: Final = ("ORIGIN", "LIB", "PLATFORM")  # ld.so reads these itself
ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# Reasons that are never a matter of retries.
_NOT_RETRIED: Final = {
    "node-lost": "a task whose node was lost runs again automatically",
    "walltime": "a task whose allocation ended runs again automatically",
    "preempted": "a task whose allocation was taken away runs again automatically",
    "cancelled": "a task whose allocation was cancelled runs again automatically",
    "dependency": "it runs when what it depends on is done",
    "stopped": "stopped tasks wait for `tui-lab retry`",
}


# --- Command


def read_command(r: Reader, path: Keypath) -> str | tuple[str, ...] | dict[str, str] | None:
    """A string, a list of strings, or a mapping of named steps."""
    node = r.node(path)
    if node.kind == "scalar":
        return _script(r, path)
    if node.kind == "list":
        return _listed_commands(r, path)
    if r.misread(path):
        return None
    steps: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name in r.keys(path):
        if error := name_error(name):
            r.add((*path, name), *error, at_key=True)
        elif name.lower() in folded:
            message = f'the steps "{folded[name.lower()]}" and "{name}" differ only in case'
            r.add((*path, name), message, at_key=True)
        folded.setdefault(name.lower(), name)
        script = _script(r, (*path, name))
        if script is not None:
            steps[name] = script
    return steps if len(steps) == len(node.entries) else None


def _script(r: Reader, path: Keypath) -> str | None:
    node = r.node(path)
    if node.kind == "scalar" and not node.text.strip():
        r.add(path, "the command is empty")
        return None
    text = r.text(path, blank=True)
    if text is None:
        return None
    fine = True
    for offset in flag_lines(text):
        fine = False
        line = text[offset:].splitlines()[0]
        hint = 'fold the command with ">-", or end the line before it with a backslash'
        r.add(path, f'a command can\'t begin with "-": {shortened(line)}', hint, offset=offset)
    return text if fine else None


def _listed_commands(r: Reader, path: Keypath) -> tuple[str, ...] | None:
    items = r.items(path)
    if not items:
        r.add(path, "the command is an empty list", "give at least one command")
        return None
    nodes = r.node(path).items
    if len(items) == 1 and nodes[0].style is None and _is_parameter(r, nodes[0].text) and r.misread(path):
        return None
    words = [n.text for n in nodes if n.kind == "scalar"]
    if len(words) == len(nodes) > 1 and not any(re.search(r"\s", word.strip()) for word in words):
        hint = f"write them as one text: {shortened(' '.join(words), 60)}"
        r.add(path, "a list of commands, but these look like the words of one", hint)
        return None
    scripts = [_script(r, item) for item in items]
    found = tuple(script for script in scripts if script is not None)
    return found if len(found) == len(items) else None


def _is_parameter(r: Reader, word: str) -> bool:
    node = r.document.node(("parameters",))
    sweeps = [] if node is None else node.items if node.kind == "list" else [node]
    return any(word in sweep.entries for sweep in sweeps)


# --- Files, folder, environment


def read_files(r: Reader, path: Keypath) -> dict[str, FileTemplate]:
    """Templates by the file that they become; their texts are read later."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of files and templates"):
        return {}
    files: dict[str, FileTemplate] = {}
    for target in r.keys(path):
        at = (*path, target)
        if not target or Path(target).is_absolute() or ".." in Path(target).parts:
            r.add(
                at,
                f'"{target}" is not inside {{output}}',
                "files are written into the task's folder",
                at_key=True,
            )
            continue
        template = _template(r, at)
        if template is not None:
            files[target] = template
    return files


def _template(r: Reader, path: Keypath) -> FileTemplate | None:
    if r.node(path).kind != "mapping" or r.misread(path):
        source = None if r.node(path).kind == "mapping" else r.text(path)
        return None if source is None else FileTemplate(source=source)
    keys = r.fields(path, ("from", "marks"), "a file")
    if "from" not in keys:
        r.add(path, f'"{path[-1]}" needs "from", the template', at_key=True)
        return None
    source = r.text((*path, "from"))
    marks: tuple[str, str] | None = None
    if "marks" in keys:
        marks = _marks(r, (*path, "marks"))
        if marks is None:
            return None
    return None if source is None else FileTemplate(source=source, marks=marks)


def _marks(r: Reader, path: Keypath) -> tuple[str, str] | None:
    node = r.node(path)
    if node.kind != "list" or len(node.items) != 2:
        r.add(path, f'"marks" takes two texts, not {described(node)}', 'such as ["#", "#"] or ["<<", ">>"]')
        return None
    first, second = (r.text(item) for item in r.items(path))
    return None if first is None or second is None else (first, second)


def read_workdir(r: Reader, path: Keypath) -> str | None:
    """The folder as a path: `~` and `$NAME` filled in. One in the file's folder stays relative: it stands for that of
    the program's copy, too."""
    text = None if r.empty(path) else r.text(path)
    if text is None:
        return None
    expanded = os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111  (a placeholder may follow)
    if expanded.startswith("{"):  # {output}, or a parameter
        return expanded
    inside = os.path.normpath(expanded)
    return inside if not inside.startswith(("/", "..")) else os.path.normpath(r.folder / expanded)


def read_env(r: Reader, path: Keypath) -> dict[str, str]:
    """Return the variables of the tasks."""
    if r.empty(path) or not r.is_mapping(path, "a mapping of variables"):
        return {}
    env: dict[str, str] = {}
    for name in r.keys(path):
        if not ENV_NAME.fullmatch(name):
            r.add(
                (*path, name),
                f'"{name}" can\'t be the name of a variable',
                "letters, digits and _",
                at_key=True,
            )
        elif name.startswith("TUI_LAB_"):
            r.add((*path, name), f'"{name}" is set for every task already', at_key=True)
        value = r.text((*path, name), blank=True)
        if value is not None:
            env[name] = value
            _no_reference(r, (*path, name), name, value)
    return env


def _no_reference(r: Reader, path: Keypath, name: str, value: str) -> None:
    """A variable that builds on itself, or a list of folders: no shell reads these, so `$NAME` would stay as it is."""
    for found in _REFERENCE.finditer(value):
        if name.startswith("LD_") and found[0].strip("${}") in _OF_THE_LINKER:
            continue
        if name.endswith("PATH") or name in found.groups():
            hint = f"setup may do that: `export {name}={shortened(json.dumps(value, ensure_ascii=False), 80)}`"
            r.add(path, f'{found[0]} is not replaced here: values of "env" are plain texts', hint, offset=found.start())
            return


def read_setup(r: Reader, path: Keypath) -> str | None:
    """Lines, as one text or a list."""
    if r.empty(path):
        return None
    lines = r.texts(path)
    return "\n".join(line.rstrip("\n") for line in lines) or None


# --- Times and failures


def read_timeout(r: Reader, path: Keypath) -> float | str | tuple[float | str, ...] | None:
    """Seconds, or a text with a placeholder; of several, one for each attempt."""
    if r.empty(path):
        return None
    if r.node(path).kind != "list":
        return _limit(r, path)
    items = r.items(path)
    if not items or (len(items) == 1 and r.misread(path)):
        if not items:
            r.add(path, '"timeout" is an empty list', TIME_HINT)
        return None
    found = [_limit(r, item) for item in items]
    return tuple(limit for limit in found if limit is not None) if None not in found else None


def _limit(r: Reader, path: Keypath) -> float | str | None:
    node = r.node(path)
    if node.kind == "scalar" and "{" in node.text:
        return node.text
    return read_time(r, path)


def read_grace(r: Reader, path: Keypath) -> float | None:
    """Return the seconds between TERM and KILL, or None after noting what is wrong."""
    return read_time(r, path, zero=True)


def read_retry_on(r: Reader, path: Keypath) -> tuple[str | int, ...] | None:
    """Return the reasons and exit statuses that are retried, or None after noting what is wrong."""
    if r.empty(path):
        r.wrong(path, f"some of {', '.join(RETRY_REASONS)}")
        return None
    found: list[str | int] = []
    for item in r.items(path):
        word = r.node(item).text
        status = r.node(item).value
        if isinstance(status, int) and not isinstance(status, bool):
            if not 1 <= status <= 255:
                r.add(item, f"the exit status of a failure lies between 1 and 255, and this is {status}")
            found.append(status)
            continue
        if word in _NOT_RETRIED:
            r.add(item, f'"{word}" can\'t be retried', _NOT_RETRIED[word])
        else:
            found.append(r.one_of(item, RETRY_REASONS, "or an exit status, as in 75"))
    return None if None in found else tuple(dict.fromkeys(found))


def read_ok_exit_codes(r: Reader, path: Keypath) -> tuple[int, ...] | None:
    """Return the exit statuses that count as success, or None after noting what is wrong."""
    if r.node(path).kind == "list" and not r.node(path).items:
        r.add(path, '"ok_exit_codes" is empty', "no task could succeed; the default is [0]")
        return None
    codes = []
    for item in r.items(path):
        code = r.whole(item, most=None)
        if code is not None and not 0 <= code <= 255:
            r.add(item, f"an exit status lies between 0 and 255, and this is {code}")
        codes.append(code)
    found = tuple(dict.fromkeys(code for code in codes if code is not None))
    return found if None not in codes else None


def read_description(r: Reader, path: Keypath) -> str | None:
    """Return the description, empty where there is none."""
    return "" if r.empty(path) else r.text(path, blank=True)


def at_least(least: int) -> Callable[[Reader, Keypath], Any]:
    """A reader of whole numbers."""
    return lambda r, path: r.whole(path, least)


def read_run_on(r: Reader, path: Keypath) -> tuple[str, ...]:
    """Tags of nodes, each with or without `not` in front."""
    found = r.texts(path)
    single = r.has(path) and r.node(path).kind == "scalar"
    for i, text in enumerate(found):
        if not _TAG.fullmatch(text):
            place = path if single else (*path, i)
            r.add(place, f'"{text}" is no tag', "it is one word, or `not` and one word, as in: [gpu, not slow]")
    return found
