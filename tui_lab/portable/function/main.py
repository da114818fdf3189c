"""Calls the function of a task in this process, and keeps what it returns.

A call has two parts. What all tasks of an experiment share is JSON: `folder` (that stands for the experiment's), `file`
or `module`, `name`, `args` (arguments by parameter), `parameters` (those that it is passed, if not all), `before` (the
stages whose values it takes), `paths` (folders of the functions of stages), `keeps` (its own value: for another stage
that `takes` it, or that may), `task` (whether it is the stage of the tasks) and `text` (the function for messages).
What differs from task to task is in the environment, as for a command; of a stage, less is there."""

import json
import os
import sys
import time

from . import returned
from .arguments import arguments, kinds_of, nested, taken_by
from .kinds import Misfit
from .seeding import prepare, seed_all
from .target import function_of, import_module, provide_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

BUILT_IN = ("output", "task_id", "repeat", "seed", "attempt", "experiment", "node", "slot")
SEED = "seed"
# What an `async def` and a function with `yield` return, and what to do about it.
NOT_RUN = {
    "coroutine": "let a plain function call it by asyncio.run",
    "generator": "return a list",
    "async_generator": "return a list",
}
TAKES, MAY_TAKE = "takes", "may"  # of `keeps`
_decode = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # `json.loads` does more, which takes its time


class Loaded:
    """A function whose module is imported. function: None for a module that has `fit`."""

    def __init__(self, module: "Any", function: "Any") -> None:
        self.module = module
        self.function = function
        self.taken = None  # type: Any
        self.kinds = None  # type: Any

    def prepare(self) -> None:
        """Work out what is the same for each call."""
        prepare()
        try:
            self.taken = taken_by(self.function)
            self.kinds = kinds_of(self.function, list(self.taken.arguments) if self.taken else [])
        except Exception:  # noqa: BLE001 (annotations may do anything: each call finds out)
            self.taken = self.kinds = None


def load_module(call: "dict[str, Any]") -> "Any":
    """Import the module of a function. Raises what that raises."""
    sys.argv[:] = [call["file"] or call["module"]]
    provide_log()
    return import_module(call["folder"], call["file"], call["module"])


def find(call: "dict[str, Any]", module: "Any") -> Loaded:
    """Find the function in its module. Raises NoFunctionError."""
    return Loaded(module, function_of(module, call["name"], call["text"]))


def load(call: "dict[str, Any]") -> Loaded:
    """Import the module of a function. Raises what that raises, and NoFunctionError."""
    return find(call, load_module(call))


def main(text: str) -> None:
    """Call the function that the JSON describes, for the task that the environment describes; end the process."""
    sys.exit(run(json.loads(text), os.environ))


def run(
    call: "dict[str, Any]", environment: "Mapping[str, str]", load: "Callable[[dict[str, Any]], Loaded]" = load
) -> int:
    """Call the function; return the exit status. load: gets it. Raises SystemExit where the function does."""
    names = [name for name in BUILT_IN if "TUI_LAB_" + name.upper() in environment]
    task = {name: environment["TUI_LAB_" + name.upper()] for name in names}  # type: dict[str, Any]
    for name in ("task_id", "repeat", "seed", "attempt", "slot"):
        if name in task:
            task[name] = int(task[name])
    output = task["output"]
    try:
        if os.access(os.path.join(output, returned.FILE), os.F_OK):
            os.unlink(os.path.join(output, returned.FILE))  # of an earlier attempt
        if call.get("keeps") and task["attempt"] > 1:
            from . import values  # late, as few calls need it

            values.forget(output)
        loaded = load(call)
        parameters = _decode(environment["TUI_LAB_PARAMS"], 0)[0]
        passed = call.get("parameters")
        if passed is not None:
            parameters = {name: value for name, value in parameters.items() if name in passed}
        seed_all(task[SEED])
        if loaded.function is None:
            value, seconds = chain(loaded.module, parameters, task)
            found = with_fit_time(value, seconds)
        else:
            before = values_before(loaded.function, call, environment) if call.get("before") else {}
            found = value = call_function(loaded, parameters, task, call["args"], call["text"], before)
        if call.get("task", True):
            returned.write(found, output, tell)
        else:
            returned.write_metrics(found, output)
        if call.get("keeps"):
            keep(value, output, call["keeps"] == TAKES, call["task"])
    except Exception as error:  # noqa: BLE001 (whatever the user's code raises)
        from . import failure  # late, as `traceback` takes long to import

        failure.report(error, call["folder"], output, task["attempt"])
        return 1
    return 0


def tell(what: str) -> None:
    """Say something in the task's standard error."""
    print(what, file=sys.stderr)


def keep(value: "Any", output: str, needed: bool, quiet: bool) -> None:
    """Keep the value of a stage. needed: another stage takes it. quiet: say nothing where it can't be kept. Raises
    ValueError where it can't, and is needed."""
    from . import values

    try:
        values.keep(value, output)
    except values.ValueProblem as error:
        if needed:
            raise ValueError("what it returned can't be passed to a later stage: %s" % error) from None
        if not quiet:
            tell("what it returned can't be kept for a later stage: %s" % error)


def values_before(function: "Any", call: "dict[str, Any]", environment: "Mapping[str, str]") -> "dict[str, Any]":
    """Return the values of stages before by the arguments that take them. Raises ValueError for one that can't be
    read."""
    from . import values

    found = {}  # type: dict[str, Any]
    for one in call["before"]:
        if one["may"]:
            taken = taken_by(function)
            if taken is None or one["argument"] not in taken.arguments:
                continue
        folders = values.folders(environment[one["variable"]]) if one["several"] else [environment[one["variable"]]]
        for path in call["paths"]:  # for the classes of what was pickled
            if os.path.join(call["folder"], path) not in sys.path:
                sys.path.append(os.path.join(call["folder"], path))
        try:
            each = [values.read(folder) if one["returns"] else as_path(folder) for folder in folders]
            found[one["argument"]] = each if one["several"] else each[0]
        except Exception as error:  # noqa: BLE001 (whatever classes raise)
            why = str(error) if isinstance(error, values.ValueProblem) else "%s: %s" % (type(error).__name__, error)
            raise ValueError("the value of the stage %s can't be read: %s" % (one["stage"], why)) from error
    return found


def as_path(folder: str) -> "Any":
    """Return the value of a stage that runs a command."""
    import pathlib

    return pathlib.Path(folder)


def call_function(
    loaded: Loaded,
    parameters: "dict[str, Any]",
    task: "dict[str, Any]",
    args: "dict[str, str]",
    text: str,
    before: "dict[str, Any]",
) -> "Any":
    """Call a function with the parameters of a task. text: the function for messages. before: arguments as they stand.
    Raises TypeError where they don't fit."""
    given = {args.get(name, name): value for name, value in parameters.items()}
    for name, argument in args.items():
        if name in task and name not in parameters and name != SEED:
            given[argument] = task[name]
    try:
        positional, named = arguments(
            loaded.function, given, (args.get(SEED, SEED), task[SEED]), loaded.taken, loaded.kinds, before
        )
    except Misfit as error:
        raise TypeError("%s: %s" % (text, error)) from None
    value = loaded.function(*positional, **named)
    kind = type(value).__name__
    if kind in NOT_RUN and getattr(getattr(value, "gi_code", None), "co_name", "") != "<genexpr>":
        if kind == "coroutine":
            value.close()  # else it warns that nothing has awaited it
        article = "an" if kind.startswith("a") else "a"
        raise TypeError("%s returned %s %s, and nothing of it has run; %s" % (text, article, kind, NOT_RUN[kind]))
    return value


def chain(module: "Any", parameters: "dict[str, Any]", task: "dict[str, Any]") -> "tuple[Any, float]":
    """Call `pre(cfg)`, `fit(cfg, x)` and `post(cfg, y)` of a module; `pre` and `post` may be missing. Return what the
    last one returned, and the seconds of `fit`."""
    cfg = nested(parameters)
    own = (("experiment_id", "task_id"), ("run_id", "repeat"), ("out_path", "output"))
    cfg.update((name, task[value]) for name, value in own if value in task)
    returned.write_json(os.path.join(task["output"], "config.json"), cfg, indent=4)
    pre, fit, post = (getattr(module, name, None) for name in ("pre", "fit", "post"))
    before = None if pre is None else pre(cfg)
    began = time.time()
    after = fit(cfg, before)  # type: ignore[misc]
    seconds = time.time() - began
    cfg["fit_time"] = seconds
    return (after if post is None else post(cfg, after)), seconds


def with_fit_time(value: "Any", seconds: float) -> "Any":
    """Return what a module returned as results: with the seconds of `fit`, where it has names."""
    scores = {} if value is None else value
    if not isinstance(scores, dict):
        return scores
    found = dict(scores)
    found.setdefault("fit_time", seconds)
    return found
