"""From the text of an experiment.yaml to an Experiment, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tui_lab.experiment import checks
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.keys import ADVICE, ELSEWHERE, KEYS
from tui_lab.experiment.model import LATER, Experiment, FileTemplate, Metric, Origin, Repeat
from tui_lab.experiment.names import experiment_name_error
from tui_lab.experiment.programs import calls_functions
from tui_lab.experiment.readers.function import check_function
from tui_lab.experiment.readers.needs import check_needs
from tui_lab.experiment.record import Fields
from tui_lab.experiment.signature import Signature
from tui_lab.experiment.stage_checks import (
    Stages,
    check_exclusive,
    check_executed_metrics,
    check_returned,
    check_stages_of_metrics,
)
from tui_lab.experiment.uses import Uses
from tui_lab.experiment.yaml.parser import parse, read_text
from tui_lab.experiment.yaml.problem import SpecError, Suggestion, closest
from tui_lab.experiment.yaml.reader import Keypath, Reader, described

OWN: Final = "x-"  # with which a key begins that is not ours: a place for anchors


def load(
    path: Path,
    text: str | None = None,
    *,
    folder: Path | None = None,
    stem: str | None = None,
    templates: Mapping[str, str] | None = None,
    signatures: Mapping[str, Signature] | None = None,
) -> Experiment:
    """The experiment in a file. Raises SpecError with everything that is wrong with it.

    `text` stands for what the file holds, for instance while it is being edited. Relative paths start at
    `folder`, by default the file's; `stem` is the name where the file gives none, by default the file's stem;
    `templates` gives the texts of `files` by target, `signatures` what the functions of stages took. With these, a copy
    in a lab means what its original meant.
    """
    document = parse(read_text(path) if text is None else text, str(path))
    r = Reader(document, folder or path.absolute().parent)
    if document.root is None or r.empty(()):
        r.add((), "the file is empty", "it needs at least a command, as in: command: ./main.py {x}")
        raise SpecError(r.problems)
    if document.root.kind != "mapping":
        message = f'the file must be a mapping, such as "command: ./main.py {{x}}", not {described(document.root)}'
        r.add((), message)
        raise SpecError(r.problems)
    meant = _check_keys(r)
    given = {key: KEYS[key].read(r, (key,)) for key in r.keys(()) if key in KEYS}
    programs = [key for key in ("command", "function", "stages") if key in given]
    if len(programs) > 1 and "stages" not in programs:
        r.add(("function",), 'there are both "command" and "function"', "a task does one of them", at_key=True)
    elif not {"command", "function", "stages"} & {*given, *meant}:
        r.add((), 'there is no "command"', "add one, as in: command: ./main.py {x}")
    _name(r, given, stem or path.stem)
    if given.get("stages"):
        return _with_stages(r, path, given, templates, signatures)
    texts = _templates(r, given.get("files") or {}, templates)
    signature = check_function(r, given, checks.mentioned_names(r), templates is not None)
    notices = _check_together(r, given, texts, signature)
    if r.problems:
        raise SpecError(r.problems)
    origin = Origin(path, r.folder, document, texts, notices, signature)
    fields = {key: value for key, value in given.items() if value is not None}
    return Experiment(**fields, origin=origin)


def _with_stages(
    r: Reader,
    path: Path,
    given: Fields,
    templates: Mapping[str, str] | None,
    signatures: Mapping[str, Signature] | None,
) -> Experiment:
    """Return an experiment that has stages: with the keys of the last one."""
    check_exclusive(r)
    texts: dict[str, dict[str, str]] = {}
    for name, own in given["stages"].items():
        start = f"stages.{name}."
        known = None if templates is None else {k[len(start) :]: v for k, v in templates.items() if k.startswith(start)}
        texts[name] = _templates(r, own.get("files") or {}, known, ("stages", name))
    stages = Stages(r, given, texts, None if templates is None else signatures or {})
    found = stages.resolved()
    notices = (*stages.notices, *_check_together(r, given, {}, stages=stages))
    if found:
        check_returned(r, given, found)
        check_executed_metrics(r, given, found)
    if r.problems:
        raise SpecError(r.problems)
    last = list(found)[-1]
    origin = Origin(
        path,
        r.folder,
        r.document,
        {},
        tuple(dict.fromkeys(notices)),
        stage_templates=texts,
        stage_signatures=stages.functions.signatures,
    )
    fields = {key: value for key, value in given.items() if value is not None}
    fields |= {"command": "", "stages": found}
    return Experiment(**fields, origin=origin).of_stage(last)


def name_in(file: Path) -> str:
    """Return the name of the experiment of a file, which may have mistakes, or be gone."""
    try:
        given = parse(read_text(file), str(file)).node(("name",))
    except SpecError:
        given = None
    named = given is not None and isinstance(given.value, str) and given.value
    return str(named or file.stem)


def load_text(text: str, name: str = "experiment.yaml") -> Experiment:
    """The experiment in a text; problems call its file `name`. Raises SpecError."""
    return load(Path(name), text)


def _check_keys(r: Reader) -> list[str]:
    """Notes the keys that are none; returns those that were probably meant."""
    meant = []
    for key in r.keys(()):
        if key.startswith(OWN):
            continue
        if key in LATER:
            r.add((key,), f'"{key}" is not supported yet', at_key=True)
        elif key not in KEYS:
            advice = ADVICE.get(key, "")
            other = "" if advice else ELSEWHERE.get(key) or closest(key, (*KEYS, *LATER))
            hint = Suggestion(key, other) if other else advice
            r.add((key,), f'there is no key "{key}"', hint, at_key=True)
            meant += [other] if other else []
    return meant


def _name(r: Reader, given: Fields, stem: str) -> None:
    """The name in the file, else the file's stem."""
    if given.get("name") is not None:
        if error := experiment_name_error(given["name"]):
            r.add(("name",), *error)
    elif r.empty(("name",)):
        given["name"] = stem
        if error := experiment_name_error(stem):
            r.add((), f"{error[0]}, and this is the name of the file", "give the experiment a name, as in: name: grid")


def _templates(
    r: Reader, files: Mapping[str, FileTemplate], known: Mapping[str, str] | None, at: Keypath = ()
) -> dict[str, str]:
    """The text of each template; what can't be read is noted. at: of the stage that has the files, if one does."""
    texts: dict[str, str] = {}
    for target, template in files.items():
        if known is not None and target in known:
            texts[target] = known[target]
            continue
        try:
            texts[target] = read_text(r.folder / template.source)
        except SpecError as error:
            problem = error.problems[0]
            path: Keypath = (*at, "files", target)
            path = (*path, "from") if r.has((*path, "from")) else path
            where = f" in line {problem.line}" if problem.line else ""
            r.add(
                path,
                f'the template "{template.source}": {problem.message}{where}',
                f"looked for in {r.folder}",
            )
    return texts


def _check_together(
    r: Reader,
    given: Fields,
    texts: Mapping[str, str],
    signature: Signature | None = None,
    stages: Stages | None = None,
) -> tuple[str, ...]:
    """All checks that need several keys; returns the notices."""
    sweeps = given.get("parameters") or ()
    checks.check_names(r)
    checks.check_zip(r, given.get("zip") or (), sweeps)
    checks.check_drawn(r, sweeps, r.has(("sample",)))
    checks.check_unhashed(r, given.get("unhashed") or ())
    uses = Uses(r, checks.mentioned_names(r))
    if stages is None:
        uses.read(given, texts)
    else:
        uses.read({"metrics": given.get("metrics")}, {})
        uses.names |= stages.names
        uses.takes_all = uses.takes_all or stages.takes_all
    notices = (
        *checks.texts_like_lists(r),
        *checks.altered_numbers(r),
        *(check_needs(r, given, uses.known) if stages is None else ()),
        *uses.notices,
        *uses.literal_values(),
        *_hopeless(r, given.get("repeat")),
    )
    check_stages_of_metrics(r, given)
    if given.get("function") is None:
        checks.check_defaults(r, uses.names)
    expressions = _check_expressions(r, given)
    if uses.takes_all or given.get("function") is not None:
        return notices
    unused = checks.unused(r, uses.names, sweeps, expressions)
    if unused and stages is None and uses.program_takes_all(given):
        return notices
    what = "no command, file or variable uses the parameter"
    if stages is not None:
        what = "no stage uses the parameter, so its values make no further tasks:"
    return (*notices, *(str(r.problem(path, f'{what} "{name}"', at_key=True)) for name, path in unused))


def _hopeless(r: Reader, repeat: object) -> Iterator[str]:
    """A condition of `until` that no values can make true."""
    if isinstance(repeat, Repeat):
        from tui_lab.experiment.expressions import until

        if why := until.impossible(repeat.until, repeat.max):
            said = f"this can't become true: {why}; every setting runs {repeat.max} times"
            yield str(r.problem(("repeat", "until"), said))


def _check_expressions(r: Reader, given: Fields) -> list[str]:
    """Checks all SQL expressions as far as that goes without values, and returns them."""
    names = list(checks.mentioned_names(r))
    derived: Mapping[str, str] = given.get("derive") or {}
    metrics: Mapping[str, Metric] = given.get("metrics") or {}
    found: list[tuple[Keypath, str, list[str]]] = []
    for i, (name, text) in enumerate(derived.items()):
        later = list(derived)[i:]
        found.append((("derive", name), text, [n for n in names if n not in later]))
    if given.get("where"):
        found.append((("where",), given["where"], names))
    for name, metric in metrics.items():
        if expression := metric.source.expression:
            at = ("metrics", name, metric.source.kind)
            found.append((at, expression, _metric_columns(names, metrics, name)))
    repeat = given.get("repeat")
    if isinstance(repeat, Repeat):
        from tui_lab.experiment.expressions import until
        from tui_lab.experiment.expressions.expression import ExpressionError

        try:
            until.check(repeat.until, metrics)
        except ExpressionError as error:
            hint = error.hint
            if calls_functions(r) and not hint.startswith("did you mean"):
                hint = "name here what the function returns, as in metrics: {acc: {goal: max}}"
            r.add(("repeat", "until"), error.message, hint, offset=error.offset)
    if found:
        # Imported here because it brings a database along, which most files don't need.
        from tui_lab.experiment.expressions.expression import ExpressionError, check

        for path, text, columns in found:
            try:
                check(text, columns)
            except ExpressionError as error:
                r.add(path, error.message, error.hint, offset=error.offset)
    return [text for _, text, _ in found]


def _metric_columns(names: list[str], metrics: Mapping[str, Metric], own: str) -> list[str]:
    """What a metric's expression may use: other metrics, parameters, facts; prefixed where names collide."""
    facts = [fact.name for fact in FACTS.values() if fact.in_metrics]
    columns = dict.fromkeys((*names, *metrics, *facts))
    shared = {n for n in columns if (n in names) + (n in metrics) + (n in facts) > 1}
    prefixed = [f"in_{n}" for n in names if n in shared] + [f"out_{n}" for n in metrics if n in shared]
    return [n for n in (*columns, *prefixed) if n not in (own, f"out_{own}") or n in names]
