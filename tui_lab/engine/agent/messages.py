"""Validation of messages on arrival. Most members are used much later, where a bad value would end the agent."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_SLOTS = 1000000


def find_error(message: dict) -> str:
    """Return what is wrong with a message, empty where nothing is. Members that may be absent may be null as well."""
    kinds: Any = MEMBERS
    needed, optional = kinds.get(message["type"], ({}, {}))
    for name, is_sound in list(needed.items()) + list(optional.items()):
        value = message.get(name)
        if name in optional and value is None:
            continue
        try:
            if is_sound(value):
                continue
        except (KeyError, TypeError, AttributeError):
            pass
        return "%s: %.100r" % (name, value)
    return ""


def mismatch(message: dict, context: dict) -> str:
    """Return why a start does not fit its context, empty where it does."""
    steps = message["steps"]
    argv, scripts = message.get("argv") or [None] * steps, message.get("scripts") or {}
    if steps != len(context["steps"]) or len(argv) != steps:
        return "steps: %d, and its context has %d" % (steps, len(context["steps"]))
    if len((message.get("resume") or {"steps": []})["steps"]) >= steps:
        return "resume: all %d steps are done" % steps
    for step, (words, common) in enumerate(zip(argv, context["steps"])):
        if words is None and scripts.get(str(step), common["script"]) is None:
            return "steps: nothing to run in %d" % step
    return ""


def is_key(message: dict) -> bool:
    """Return whether a message names an attempt."""
    numbers = (message.get("task"), message.get("attempt"))
    return is_text(message.get("experiment")) and all(type(number) is int for number in numbers)


def is_text(value) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_number(value) -> bool:
    """Return whether a value is a number that is not negative."""
    return isinstance(value, (int, float)) and value >= 0


def is_count(value) -> bool:
    """Return whether a value is an integer that is not negative."""
    return type(value) is int and value >= 0


def are_slots(value) -> bool:
    """Return whether a value is a possible number of slots."""
    return is_count(value) and value <= MAX_SLOTS


def are_texts(values) -> bool:
    """Return whether all elements of a value are texts."""
    return not isinstance(values, str) and all(map(is_text, values))


def are_pairs(values) -> bool:
    """Return whether a value is an object whose names and values are texts."""
    return are_texts(values) and are_texts(values.values())


def are_steps(values) -> bool:
    """Return whether a value is a list of steps, each with a name and a script."""
    names = [text for step in values for text in (step["name"], step["script"])]
    return bool(values) and are_texts(text for text in names if text is not None)


def is_resume(value) -> bool:
    """Return whether a value says which steps an earlier attempt has done."""
    sizes = [end["sizes"] for end in value["ends"]]
    facts = [value["attempt"]] + [end["attempt"] for end in value["ends"]] + [size for three in sizes for size in three]
    matching = 0 < len(sizes) == len(value["steps"]) and all(len(three) == 3 for three in sizes)
    return matching and all(map(is_count, facts))


def are_gpus(value) -> bool:
    """Return whether a value says which GPUs are offered."""
    return value in ("all", "free") or (isinstance(value, list) and all(type(one) in (int, str) for one in value))


# For each type of message: required members, and optional ones. `key` of a start: see `is_key`.
MEMBERS = {
    "hello": (
        {"epoch": is_count, "lab": is_text, "node": is_text, "slots": are_slots},
        {
            "marker": lambda value: is_text(value["path"]) and is_text(value["text"]),
            "gpus": are_gpus,
            "memory": is_number,
            "data": is_text,
            "sample": is_number,
            "ends_in": is_number,
            "reason": is_text,
            "resources": lambda value: are_texts(value) and all(map(is_count, value.values())),
            "steps": lambda value: isinstance(value, bool),
        },
    ),
    "context": (
        {"workdir": is_text, "steps": are_steps},
        {
            "environment": are_pairs,
            "extra": are_pairs,
            "umask": lambda value: is_count(value) and value <= 0o777,
            "shell": is_text,
            "setup": is_text,
            "setup_timeout": is_number,
            "serve_calls": lambda value: isinstance(value, bool),
        },
    ),
    "start": (
        {
            "context": is_text,
            "folder": lambda value: is_text(value) and value != "",
            "steps": lambda value: is_count(value) and value > 0,
            "env": are_pairs,
            "grace": is_number,
            "ok": lambda value: isinstance(value, list),
        },
        {
            "timeout": is_number,
            "takes": is_number,
            "argv": lambda value: all(
                one is None or (one != [] and isinstance(one, list) and are_texts(one)) for one in value
            ),
            "scripts": are_pairs,
            "files": are_pairs,
            "workdir": is_text,
            "resume": is_resume,
            "exception": is_text,
            "outs": are_texts,
            "needs": lambda value: are_texts(value) and all(map(is_number, value.values())),
            "collect": lambda value: (
                is_text(value.get("home") or "")
                and is_number(value["most"])
                and are_texts(value.get("keep") or ())
                and are_texts(value.get("later") or ())
            ),
        },
    ),
    "stop": ({"key": lambda value: isinstance(value, list), "reason": is_text, "grace": is_number}, {}),
    "slots": ({"slots": are_slots}, {}),
    "deadline": ({}, {"ends_in": is_number, "reason": is_text}),
}
