"""Numbers as text: to the digits that their interval supports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final

MOST_MORE: Final = 4
"""Places beyond those of its neighbours that a number of a column may have to show what is not known of it."""
EXACT: Final = 7
"""Characters up to which a number that the user chose is written with all its digits."""


def number(value: float | None, digits: int = 4) -> str:
    """A number to some significant digits; an empty text for None."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:zg}"
    if 1e-4 <= abs(value) < 1e6:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:z.{places}f}"
    return f"{value:.{digits - 1}e}"


def short(value: float, digits: int = 4) -> str:
    """A number of some significant digits in few characters: `0.0625`, `3e-5`, `1.2e9`; whole ones up to a million
    as they are."""
    return str(int(value)) if abs(value) < 1e6 and value == int(value) else bare_exponent(f"{value:.{digits}g}")


def bare_exponent(text: str) -> str:
    """`1.0e+07` as `1e7`."""
    digits, mark, exponent = text.partition("e")
    if not mark:
        return text
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return "0" if float(text) == 0 else f"{digits}e{int(exponent)}"


def apart(values: Sequence[float], digits: int = 4) -> list[str]:
    """Finite numbers with equally many significant digits: `digits`, or as many as tell different ones apart, and how
    far."""
    different = len({value + 0.0 for value in values})
    near = (max(values) / 20 - min(values) / 20) if different > 1 else math.inf
    texts: list[str] = []
    for more in range(digits, 18):
        texts = [short(value, more) for value in values]
        if len(set(texts)) >= different and all(
            abs(float(text) - value) <= near for text, value in zip(texts, values, strict=True)
        ):
            break
    return texts


def chosen(values: Sequence[float]) -> list[str]:
    """Return numbers that the user chose: exact where that takes few characters, else rounded as far as they still
    differ. Infinities and NaN keep their names."""
    texts = [_chosen(value, None) for value in values]
    long = [place for place, text in enumerate(texts) if len(text) > EXACT]
    different = len(set(texts))
    for digits in range(3, 18) if long else ():
        for place in long:
            texts[place] = _chosen(values[place], digits)
        if len(set(texts)) >= different:
            break
    return texts


def _chosen(value: float, digits: int | None) -> str:
    """In the shorter of both notations."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    rounded = value if digits is None else float(f"{value:.{digits}g}")
    usual = bare_exponent(repr(rounded))
    power = bare_exponent(f"{Decimal(usual):e}")
    return power if len(power) < len(usual) and len(usual) > 6 else usual


def exact(value: float) -> str:
    """A number without an interval, as short as it is: `0.064`, `1234567`, and six digits of what has more."""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return f"{value:.6g}"


def p_value(value: float | None) -> str:
    """`0.012`, `<0.001`; an empty text for None."""
    if value is None:
        return ""
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def plus_minus(mean: float | None, half: float | None, sign: bool = False) -> tuple[str, str]:
    """Mean and half-width to equal places: two significant digits of the half-width (which is empty where
    there is none). `sign` writes a plus, too."""
    plus = "+" if sign else ""
    if mean is None:
        return "", ""
    if not half or not math.isfinite(half):
        text = exact(mean)
        return (text if text.startswith("-") else plus + text), "0" if half == 0 else ""
    places = 1 - math.floor(math.log10(half))
    rounded = round(half, places)  # 0.0996 becomes 0.10, which has a digit less to show
    places = 1 - math.floor(math.log10(rounded)) if rounded else places
    largest = max(abs(mean), half)
    exponent = math.floor(math.log10(largest))
    if places + exponent > 6 and -5 < places <= 9:  # far from 0: no more places than a float has there
        places = min(places, -math.floor(math.log10(math.ulp(largest))))
        if places > 0:
            return f"{mean:{plus}z.{places}f}", f"{half:z.{places}f}"
    if -5 < places <= 9 and (largest < 1e7 or places + exponent > 6):
        if places < 0:
            return f"{round(mean, places):{plus}z.0f}", f"{round(half, places) or half:z.0f}"
        return f"{mean:{plus}z.{places}f}", f"{half:z.{places}f}"
    places = max(0, places + exponent)
    if places > 15:
        return f"{mean:{plus}.15g}", f"{half:.1e}"
    scale = 10.0**exponent
    return f"{mean / scale:{plus}z.{places}f}e{exponent:+03d}", f"{half / scale:z.{places}f}e{exponent:+03d}"


def even(pairs: Sequence[tuple[float | None, float | None]], step: float, sign: bool = False) -> list[tuple[str, str]]:
    """Means and half-widths of a column, all to equally many places: as many as any of them needs. What has no interval
    needs no more than one place beyond `step`, the distance of neighbouring values as printed. Where sizes differ too
    much, each keeps its own."""
    found = [plus_minus(mean, half, sign) for mean, half in pairs]
    if any("e" in text for pair in found for text in pair):
        return found
    known = [len(mean.partition(".")[2]) for mean, half in found if half]
    single = [min(len(mean.partition(".")[2]), _places(step) + 1) for mean, half in found if mean and not half]
    most = max([*known, *single], default=0)
    if not most or most - min(known, default=most) > MOST_MORE:
        return found
    plus = "+" if sign else ""
    return [
        ("" if mean is None else f"{mean:{plus}z.{most}f}", f"{half:z.{most}f}" if text and half else text)
        for (mean, half), (_, text) in zip(pairs, found, strict=True)
    ]


def even_brackets(
    found: Sequence[tuple[float | None, float | None, float | None]], step: float
) -> list[tuple[str, str]]:
    """Means and intervals of a column as `brackets` writes them, to equally many places as `even` does."""
    texts = [brackets(*one) for one in found]
    if any("e" in text for pair in texts for text in pair):
        return texts
    wide = [low is not None and high is not None and low < high for _, low, high in found]
    places = [len(mean.partition(".")[2]) for mean, _ in texts]
    known = [one for one, given in zip(places, wide, strict=True) if given]
    single = [
        min(one, _places(step) + 1)
        for one, (mean, _), given in zip(places, texts, wide, strict=True)
        if mean and not given
    ]
    most = max([*known, *single], default=0)
    if most - min(known, default=most) > MOST_MORE:
        return texts
    return [
        (
            "" if mean is None else f"{mean:.{most}f}",
            "" if mean is None or low is None or high is None else f"[{low:.{most}f}, {high:.{most}f}]",
        )
        for mean, low, high in found
    ]


Ends = tuple[float | None, float | None, float | None, float | None]
"""A mean, the ends of its interval, and half the width of this, which far from 0 is known better than the ends are."""


def means_and_intervals(found: Sequence[Ends], step: float, sign: bool = False, offset: int = 0) -> list[str]:
    """A column of means with the ends of their intervals, which are in brackets where one is not symmetric, to equally
    many places. Blank where there is no mean. step: the distance of neighbouring values as printed. `sign` writes a
    plus, too. offset: what was subtracted from all of them, which is added to the texts."""
    if offset:
        return [moved(text.strip(), offset) for text in means_and_intervals(found, step, sign)]
    ends = [(one[0], one[1], one[2]) for one in found]
    if all(symmetric(*one) for one in ends):
        return joined(even([(mean, half) for mean, _, _, half in found], step, sign))
    texts = even_brackets(ends, step)
    means = aligned([f"+{mean}" if sign and mean[:1] not in ("-", "") else mean for mean, _ in texts])
    return [f"{mean} {rest}" if rest else mean for mean, (_, rest) in zip(means, texts, strict=True)]


def even_values(values: Sequence[float | None], step: float) -> list[str]:
    """Values of a column to equally many places: to one beyond `step` at most, and to four digits of what differs among
    them. Where sizes differ too much, each has digits of its own."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    spread = (max(known) / 4 - min(known) / 4) * 4 if known else 0.0
    least = min((abs(value) for value in known if value), default=0.0)
    size = spread if spread > 0 else least
    if not known or not step or not math.isfinite(size) or not 1e-9 < size < 1e15 or least < size * 1e-3:
        texts = iter(apart(known))
        return ["" if v is None else next(texts) if math.isfinite(v) else f"{v:g}" for v in values]
    places = max(0, min(_places(step) + 1, 3 - math.floor(math.log10(size))))
    while places and all(round(value, places - 1) == value for value in known):
        places -= 1
    return ["" if value is None else f"{value:z.{places}f}" for value in values]


def _places(step: float) -> int:
    """Decimals of numbers that lie a step apart."""
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 6


def interval(mean: float, half: float | None) -> str:
    """`0.912 ± 0.004`."""
    first, second = plus_minus(mean, half)
    return f"{first} ± {second}" if second else first


def mean_and_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """`0.912 ± 0.004`, or `0.912 [0.905, 0.921]` where the interval is not symmetric; empty for None."""
    if mean is None:
        return ""
    if low is None or high is None:
        return interval(mean, None)
    if symmetric(mean, low, high):
        return interval(mean, (high - low) / 2)
    return " ".join(brackets(mean, low, high))


_NUMBERS: Final = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")


def moved(text: str, offset: int) -> str:
    """The text of a mean, perhaps with its interval, with `offset` added to all but a half-width."""
    if not offset:
        return text
    place, mark, half = text.partition(" \u00b1 ")
    return _NUMBERS.sub(lambda match: f"{_EXACTLY.add(Decimal(match[0]), Decimal(offset)):f}", place) + mark + half


_EXACTLY: Final = Context(prec=400)


def symmetric(mean: float | None, low: float | None, high: float | None) -> bool:
    """Whether a mean is in the middle of its interval."""
    if mean is None or low is None or high is None:
        return True
    return abs((high - mean) - (mean - low)) <= 1e-6 * (high - low) + 4 * math.ulp(max(abs(low), abs(high)))


def brackets(mean: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    """The mean, and an interval that need not be symmetric: `0.912`, `[0.905, 0.921]`."""
    if mean is None:
        return "", ""
    if low is None or high is None:
        return exact(mean), ""
    if high == low:
        return exact(mean), f"[{exact(low)}, {exact(high)}]"
    text, _ = plus_minus(mean, (high - low) / 2)
    if "e" in text:
        return number(mean), f"[{number(low)}, {number(high)}]"
    places = len(text.partition(".")[2])
    return text, f"[{low:z.{places}f}, {high:z.{places}f}]"


def aligned(texts: Sequence[str]) -> list[str]:
    """Texts of equal width with their decimal points below each other."""
    split = [text.partition(".") for text in texts]
    before = max((len(whole) for whole, _, _ in split), default=0)
    after = max((len(point + part) for _, point, part in split), default=0)
    return [whole.rjust(before) + (point + part).ljust(after) for whole, point, part in split]


def joined(parts: Sequence[tuple[str, str]]) -> list[str]:
    """`mean ± half`, with points and signs below each other."""
    means, halves = aligned([mean for mean, _ in parts]), aligned([half for _, half in parts])
    return [
        f"{mean} ± {half}" if given else mean + " " * (len(half) + 3 if half.strip() or half else 0)
        for mean, half, (_, given) in zip(means, halves, parts, strict=True)
    ]


def share(value: float) -> str:
    """A share as percent: `61.2 %`."""
    return f"{100 * value:.1f} %"
