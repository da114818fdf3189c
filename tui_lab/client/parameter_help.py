"""The parameters of an experiment as a table: their values, and what the function says of them."""

from __future__ import annotations

from collections.abc import Sequence

from tui_lab.experiment.model import Experiment
from tui_lab.experiment.schema import flow
from tui_lab.experiment.signature import Argument
from tui_lab.experiment.yaml.reader import shortened

_LONGEST = 50  # characters of a cell


def parameter_help(experiment: Experiment) -> list[str]:
    """Return lines: each parameter with its values, type, default and help; then arguments that no parameter gives."""
    signature = experiment.signature
    program = experiment.name if experiment.function is None else experiment.function.text
    lines = [f"{experiment.file}: {program}"]
    if signature is not None and signature.help:
        lines.append(f"  {signature.help}")
    known = {} if signature is None else {argument.name: argument for argument in signature.arguments}
    values = _values(experiment)
    given: set[str] = set()
    rows = []
    for name in experiment.parameter_names:
        first, *rest = experiment.args.get(name, name).split(".")
        given.add(first)
        argument = known.get(first)
        rows.append(
            [name, values.get(name, ""), "" if rest else _type(argument), "" if argument is None else argument.help]
        )
    if rows:
        lines += ["", "parameters, which name=value replaces:", *_table(["name", "values", "type", "help"], rows)]
    passed = {experiment.seed_argument, *(experiment.args.values())}
    others = [one for one in known.values() if one.name not in given | passed]
    if others:
        rows = [[one.name, _type(one), one.help] for one in others]
        lines += ["", "arguments that the file does not give:", *_table(["name", "type", "help"], rows)]
    return lines


def _values(experiment: Experiment) -> dict[str, str]:
    found = {name: flow(value) for name, value in experiment.defaults.items()}
    found |= {name: f"SQL: {text}" for name, text in experiment.derive.items()}
    swept: dict[str, list[str]] = {}
    for sweep in experiment.parameters:
        for name, domain in sweep.items():
            text = flow(domain.in_file())
            if text not in swept.setdefault(name, []):
                swept[name].append(text)
            for inner in domain.inner_names:
                swept.setdefault(inner, [f"by {name}"])
    return found | {name: "; ".join(texts) for name, texts in swept.items()}


def _type(argument: Argument | None) -> str:
    if argument is None:
        return ""
    default = "" if argument.default is None else f"= {argument.default}"
    return " ".join(part for part in (argument.annotation, default) if part)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows below a heading, without columns that are empty."""
    cells = [
        [shortened(cell, _LONGEST) if place < len(row) - 1 else cell for place, cell in enumerate(row)] for row in rows
    ]
    columns = [column for column in zip(head, *cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
