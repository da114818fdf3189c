"""Random draws by number: the i-th draw depends on seed, name and i alone.

Every draw is a hash of its number. So a longer sample begins with the shorter one, and the same file gives
the same plan on every machine: only integer arithmetic and the four basic operations on floats are used,
which IEEE 754 fixes to the last bit, while a library's exp() may differ there.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tui_lab.experiment.domains.canonical import canonical

Words: TypeAlias = npt.NDArray[np.uint64]
Numbers: TypeAlias = npt.NDArray[np.integer]

_SHUFFLED_WHOLE: Final = 1 << 20  # permutations up to this size are sorted by hash; larger ones are computed
MAX_PERMUTED: Final = 1 << 62


def words(seed: int, name: str, numbers: Numbers) -> Words:
    """64 random bits for each draw number."""
    key = np.uint64(int.from_bytes(hashlib.sha256(canonical([seed, name])).digest()[:8], "big"))
    return _mixed(_mixed(numbers.astype(np.uint64)) ^ key)


def fractions(bits: Words) -> npt.NDArray[np.float64]:
    """A float from 0 (included) to 1 (excluded) for each word."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Permutation:
    """The numbers from 0 to size - 1 in a random order that needs no memory: `at(i)` is the i-th of them."""

    def __init__(self, seed: int, size: int) -> None:
        if size > MAX_PERMUTED:
            raise ValueError("too large to permute")
        self.size, self.seed = size, seed
        self.half = max(1, ((size - 1).bit_length() + 1) // 2)  # bits of each half of a number
        self.whole: npt.NDArray[np.int64] | None = None
        if size <= _SHUFFLED_WHOLE:
            self.whole = np.argsort(words(seed, "order", np.arange(size)), kind="stable")

    def at(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Images of `numbers`, each of which must be below size."""
        if self.whole is not None:
            return self.whole[numbers]
        result = self._once(numbers.astype(np.uint64))
        # The rounds permute a power of four that holds size: what falls outside walks on until it is inside.
        while (outside := np.flatnonzero(result >= self.size)).size:
            result[outside] = self._once(result[outside])
        return result.astype(np.int64)

    def _once(self, numbers: Words) -> Words:
        shift, mask = np.uint64(self.half), np.uint64((1 << self.half) - 1)
        left, right = numbers >> shift, numbers & mask
        for turn in range(6):
            left, right = right, left ^ (words(self.seed, f"round {turn}", right) & mask)
        return (left << shift) | right


def _mixed(bits: Words) -> Words:
    """Steele, Lea and Flood's finaliser of SplitMix: each bit of the result depends on each bit given."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


# --- Logarithm and exponential to the last bit or nearly so, equal everywhere


def ln(ratio: Fraction) -> float:
    """Return the natural logarithm of a ratio, computed with 40 digits so that it is the same on every machine."""
    import decimal

    with decimal.localcontext() as context:
        context.prec = 40
        return float((decimal.Decimal(ratio.numerator) / ratio.denominator).ln())


def exp(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """2^k times a Taylor series: what is left of x after k times ln 2 is at most 0.35."""
    k = np.rint(x * 1.4426950408889634)
    rest = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    series = np.ones_like(rest)
    for i in range(14, 0, -1):
        series = 1.0 + series * rest / i
    return np.ldexp(series, k.astype(np.int64))
