"""Texts that several commands print: times, sizes, counts, values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tui_lab.results.terminal.guard import replaced, visible

if TYPE_CHECKING:
    from tui_lab.experiment.facts import Fact

SURE: Final = 1.0  # seconds of a transfer after which the rest is estimated

# A state has its word and its mark; colour only repeats it.
STATE_MARKS: Final = {"done": "✓", "failed": "✗", "running": "▶", "pending": "·", "stopped": "■", "lost": "?"}
BRIEF: Final = 6
"""Digits of a float in a heading."""
STATE_STYLES: Final = {
    "done": "green",
    "failed": "bold red",
    "running": "cyan",
    "pending": "dim",
    "stopped": "yellow",
    "lost": "magenta",
}


def span(seconds: float) -> str:
    """Return a length of time as text: `0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.1f} s"
    whole = round(seconds)
    for size, large, small, part in ((86400, "d", "h", 3600), (3600, "h", "min", 60), (60, "min", "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def size(count: float) -> str:
    """Return a number of bytes as text: `512 B`, `3.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def transferred(came: int, total: int, took: float) -> str:
    """Return how far a transfer is: `1.2 MiB of 8.0 MiB, about 12 s left`. took: seconds, so far."""
    left = took * (total - came) / came if came else 0.0
    soon = f", about {span(max(1, round(left)))} left" if took > SURE and left > 0 else ""
    return f"{size(came)} of {size(total)}{soon}"


def moment(value: datetime) -> str:
    """Return a point in time as local time; with the date if that is not today."""
    local = value.astimezone()
    today = datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def fact_format(fact: Fact) -> Callable[[Any], str]:
    """Return the function that formats a fact of a task."""
    if fact.type == "time":
        return moment
    if fact.unit == "s":
        return span
    return size if fact.unit == "B" else str


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, as `2 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, width: int) -> str:
    """Return a text that has at most `width` characters, the last of them an ellipsis where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def shown_value(value: object) -> str:
    r"""Return a parameter's value as part of a line: control characters as \n, an empty text as ''."""
    if value is None or value == "":
        return "''" if value == "" else "-"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return visible(text)


def brief(value: object) -> str:
    """Return a parameter's value for a heading, where a float of many digits would hide the rest: it is rounded."""
    text = shown_value(value)
    return f"{value:.{BRIEF}g}" if isinstance(value, float) and len(text) > BRIEF + 2 else text


def run_count(count: int) -> str:
    """Return a number of runs of a stage as text."""
    return plural(count, "run")


def runs(count: int, stage: str = "") -> str:
    """The same with the stage, or of stages."""
    return f"{run_count(count)} of {stage or 'stages'}"


def stages_line(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return how far the stages before the last are: `prepare 2/2, train 5/12 (3 running, 1 failed)`. counts: runs by
    state, of each; empty without stages."""
    parts = []
    for name, states in counts.items():
        others = [
            f"{states[state]:,} {state}" for state in ("running", "failed", "lost", "stopped") if states.get(state)
        ]
        more = f" ({', '.join(others)})" if others else ""
        parts.append(f"{name} {states.get('done', 0):,}/{sum(states.values()):,}{more}")
    return ", ".join(parts)


def printable(text: str) -> str:
    """Return text from outside as one line without control characters."""
    from tui_lab.results.extraction.text import strip_escapes  # the first screen needs none of it

    plain = strip_escapes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
    return replaced(plain.replace("\t", " "))
