"""How often the statistics of `tui-lab stats` keep what they promise: simulated experiments, judged by the real code.

    python benchmarks/coverage.py [--trials N] [--only KIND] [--bootstrap]

Each line is one kind of experiment: how its values are drawn, settings, repeats, pairs. `best` is how often the setting
that is best in truth is the best or tied; `interval` how often the interval of a setting's mean holds its true mean;
`of the best` the same for the setting that was chosen as the best; `difference` for differences from a baseline;
`false alarm` how often settings that are all equal are said to differ at all; `told apart` which share of the settings
that are worse by four standard errors is told from the best, that is what caution costs.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from tui_lab.results.statistics.intervals import Bootstrap
from tui_lab.results.statistics.report import MetricReport, judge
from tui_lab.results.statistics.sample import Sample

LEVEL: Final = 0.95
Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """One experiment in truth: the true mean of each setting, and a way to draw values (settings x repeats)."""

    means: Array
    draw: Callable[[int], Array]


# --- Kinds of values

Kind = Callable[[np.random.Generator, int, bool, int], World]


def shifts(rng: np.random.Generator, count: int, n: int, null: bool) -> Array:
    """True means in units of the spread: all equal, or some close to the best and some four standard errors away."""
    if null:
        return np.zeros(count)
    return np.where(rng.random(count) < 0.5, -rng.exponential(0.5, count), -4.0 * math.sqrt(2 / n))


def normal(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    means = shifts(rng, count, n, null)
    return World(means, lambda size: means[:, None] + rng.standard_normal((count, size)))


def heteroscedastic(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    """Standard deviations from 0.1 to 10, independent of the means."""
    means = shifts(rng, count, n, null)
    spreads = np.exp(rng.uniform(math.log(0.1), math.log(10), count))
    return World(means, lambda size: means[:, None] + spreads[:, None] * rng.standard_normal((count, size)))


def lognormal(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    """Run times: exp of a normal distribution with standard deviation 1, scaled."""
    scale = np.exp(shifts(rng, count, n, null) * 0.5)
    means = scale * math.exp(0.5)
    return World(means, lambda size: scale[:, None] * np.exp(rng.standard_normal((count, size))))


def shares(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    """0 and 1, with probabilities of 0.5 or 0.8 at the best."""
    top = 0.5 if rng.random() < 0.5 else 0.8
    p = np.clip(top + shifts(rng, count, n, null) * 0.4, 0.02, 0.98)
    return World(p, lambda size: (rng.random((count, size)) < p[:, None]).astype(float))


def rounded(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    """Accuracies with two decimals; the spread is a third of the last digit to three of them."""
    spread = 0.01 * math.exp(rng.uniform(math.log(0.33), math.log(3)))
    means = 0.9 + rng.uniform(-0.005, 0.005) + shifts(rng, count, n, null) * spread
    return World(means, lambda size: np.round(means[:, None] + spread * rng.standard_normal((count, size)), 2))


def mixed(rng: np.random.Generator, count: int, null: bool, n: int) -> World:
    """Two decimals, and a spread of its own in each setting: a tenth of the last digit to three of them."""
    spreads = 0.01 * np.exp(rng.uniform(math.log(0.1), math.log(3), count))
    means = 0.9 + rng.uniform(-0.005, 0.005) + shifts(rng, count, n, null) * 0.01
    return World(
        means, lambda size: np.round(means[:, None] + spreads[:, None] * rng.standard_normal((count, size)), 2)
    )


KINDS: Final[dict[str, Kind]] = {
    "normal": normal,
    "heteroscedastic": heteroscedastic,
    "log-normal": lognormal,
    "0/1": shares,
    "two decimals": rounded,
    "two decimals, heteroscedastic": mixed,
}


# --- Judging


@dataclass
class Tally:
    """Counts of one line."""

    found: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, found: bool) -> None:
        self.found[name] = self.found.get(name, 0) + found
        self.tried[name] = self.tried.get(name, 0) + 1

    def rate(self, name: str) -> float:
        return self.found[name] / self.tried[name] if self.tried.get(name) else math.nan


def experiment(
    rng: np.random.Generator, kind: str, count: int, n: int, paired: bool, null: bool, bootstrap: bool = False
) -> tuple[World, MetricReport, str]:
    """Draw one experiment and judge it. Pairs share half of the variance in kinds that have one."""
    world = KINDS[kind](rng, count, null, n)
    values = world.draw(n)
    if paired and kind in ("normal", "heteroscedastic"):
        values = values + 2 * rng.standard_normal(n)[None, :]
    samples = [Sample(tuple(row), tuple(range(n)), tuple(range(n))) for row in values.tolist()]
    goal = "max" if rng.random() < 0.5 else "min"
    how = Bootstrap(1000) if bootstrap else None
    baseline = 0 if count == 2 else None  # rank tests take most of the time
    report = judge("value", samples, goal, baseline=baseline, pair=paired, level=LEVEL, bootstrap=how)  # type: ignore[arg-type]
    return world, report, goal


def simulate(kind: str, count: int, n: int, paired: bool, trials: int, seed: int = 1, bootstrap: bool = False) -> Tally:
    rng = np.random.default_rng([seed, count, n, paired, list(KINDS).index(kind)])
    tally = Tally()
    for trial in range(trials):
        null = trial % 2 == 0
        world, report, goal = experiment(rng, kind, count, n, paired, null, bootstrap)
        truth = world.means if goal == "max" else -world.means
        top = int(truth.argmax())
        tally.add("best", report.tied(top) or report.standing(top) == "untested")
        for place in {0, count - 1}:
            _interval(tally, "interval", report.summaries[place], world.means[place])
        assert report.best is not None
        _interval(tally, "of the best", report.summaries[report.best], world.means[report.best])
        one = report.comparisons[count - 1]
        if one is not None and one.low is not None and one.high is not None:
            true = world.means[count - 1] - world.means[0]
            tally.add("difference", one.low <= true <= one.high)
        if null and report.anova is not None:
            tally.add("false alarm", report.anova.p < 1 - LEVEL)
        if not null:
            far = truth < truth.max() - 1e-9
            if kind == "normal":
                far = truth <= truth.max() - 4 * math.sqrt(2 / n) + 0.5
            for place in np.flatnonzero(far)[:20]:
                tally.add("told apart", report.standing(int(place)) == "worse")
    return tally


def _interval(tally: Tally, name: str, summary: Any, mean: float) -> None:
    if summary.low is not None and summary.high is not None:
        tally.add(name, summary.low - 1e-12 <= mean <= summary.high + 1e-12)


COLUMNS: Final = ("best", "interval", "of the best", "difference", "false alarm", "told apart")
SIZES: Final = ((2, 2), (2, 3), (2, 10), (20, 2), (20, 3), (20, 10), (20, 30), (1000, 3), (1000, 10), (1000, 30))
RESAMPLED: Final = ((2, 8), (2, 10), (2, 20))


def lines(trials: int, only: str | None, bootstrap: bool) -> Iterator[str]:
    yield f"{'values':30} {'settings':>8} {'n':>3} {'pairs':>5} " + " ".join(f"{name:>11}" for name in COLUMNS)
    for kind in KINDS:
        if only is not None and only != kind:
            continue
        for count, n in RESAMPLED if bootstrap else SIZES:
            for paired in (False, True):
                # Large experiments tell much at once; the number of trials follows from what they take.
                tally = simulate(
                    kind, count, n, paired, max(10, min(trials, trials * 200 // count)), bootstrap=bootstrap
                )
                rates = " ".join(f"{tally.rate(name):11.3f}" for name in COLUMNS)
                yield f"{kind:30} {count:8} {n:3} {'yes' if paired else 'no':>5} {rates}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--bootstrap", action="store_true", help="intervals by resampling, of 8 values and more")
    args = parser.parse_args()
    for line in lines(args.trials, args.only, args.bootstrap):
        print(line, flush=True)


if __name__ == "__main__":
    main()
