"""Numbers are read whole or not at all, in the ways in which programs write them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.extraction.test_patterns import value
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.extraction.numbers import Notation, duration, number
from tui_lab.results.extraction.readers import NO_MATCH, TextReader
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.units import common_unit, quantity

Written = tuple[str, Fraction | float]
"""A line of output, and the number that it says (in the unit of the metric)."""


@dataclass(frozen=True)
class Program:
    """How a program writes a number, and the metric that reads it."""

    name: str
    write: Callable[[float], Written]
    pattern: str
    metric: dict[str, Any]


def printed(template: str, format: str, scale: float = 1) -> Callable[[float], Written]:
    """`template` with the number in printf's `format`; `scale` is what one of it is in the metric's unit."""

    def write(x: float) -> Written:
        text = format % x
        return template % text, Fraction(text.strip()) * Fraction(scale)

    return write


def clock(seconds: float, format: str) -> Written:
    """Hours, minutes and seconds in one of the forms that programs have."""
    whole = int(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    text = format.format(d=days, h=hours, H=whole // 3600, m=minutes, M=whole // 60, s=rest)
    return text, Fraction(whole)


def slurm(x: float) -> Written:
    text, said = clock(x, "{d}-{h:02}:{m:02}:{s:02}" if x >= 86400 else "{h:02}:{m:02}:{s:02}")
    return f"Elapsed: {text}", said


def gnu_time(x: float) -> Written:
    hundredths = int(x * 100)
    text, said = clock(hundredths // 100, "{H}:{m:02}:{s:02}" if x >= 3600 else "{M}:{s:02}")
    if x < 3600:
        return f"Elapsed (wall clock) time: {text}.{hundredths % 100:02}", said + Fraction(hundredths % 100, 100)
    return f"Elapsed (wall clock) time: {text}", said


def bash_time(x: float) -> Written:
    thousandths = int(x * 1000)
    text = f"real\t{thousandths // 60000}m{thousandths // 1000 % 60}.{thousandths % 1000:03}s"
    return text, Fraction(thousandths, 1000)


def timedelta(x: float) -> Written:
    delta = datetime.timedelta(microseconds=int((x - 1000) * 1e6))
    return f"took {delta}", Fraction(delta // datetime.timedelta(microseconds=1), 10**6)


def go_duration(x: float) -> Written:
    nanoseconds = int(x * 1e9)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < 1000 * size:
            return f"took {Fraction(nanoseconds, size).__float__():.9g}{unit}", Fraction(
                f"{nanoseconds / size:.9g}"
            ) * Fraction(size, 10**9)
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    parts = f"{minutes // 60}h" if minutes >= 60 else ""
    parts += f"{minutes % 60}m" if minutes else ""
    second = f"{rest // 10**9}.{rest % 10**9:09}".rstrip("0").rstrip(".")
    return f"took {parts}{second}s", Fraction(nanoseconds, 10**9)


def prefixed(template: str, base: int, prefixes: str, format: str = "%.1f") -> Callable[[float], Written]:
    """A number with the prefix that suits it, as in `18.6k`."""

    def write(x: float) -> Written:
        power = min(int(math.log(max(x, 1), base)), len(prefixes))
        text = format % (x / base**power)
        prefix = prefixes[power - 1] + ("i" if base == 1024 else "") if power else ""
        return template % (text + " " + prefix if " %s" in template else text + prefix), Fraction(text) * base**power

    return write


def tqdm(x: float) -> Written:
    if x < 1:
        text = f"{1 / x:.2f}"
        return f"100%|###| 10/10 [00:01<00:00, {text}s/it]", 1 / Fraction(text)
    text = f"{x:.2f}"
    return f"100%|###| 10/10 [00:01<00:00, {text}it/s]", Fraction(text)


def criterion(x: float) -> Written:
    power = min(int(math.log10(max(x, 1)) / 3), 3)
    text = f"{x / 1000**power:.4f}"
    return f"thrpt:  [{text} {['', 'K', 'M', 'G'][power]}elem/s 1.0000 elem/s]", Fraction(text) * 1000**power


def keras(x: float) -> Written:
    if x >= 1:
        return f"10/10 - {x:.0f}s {x:.0f}s/step - loss: 0.5", Fraction(f"{x:.0f}")
    text = f"{x * 1000:.0f}"
    return f"10/10 - 0s {text}ms/step - loss: 0.5", Fraction(text) / 1000


def keras_hms(x: float) -> Written:
    text, said = clock(x, "{H}:{m:02}:{s:02}")
    return f"ETA: {text} - loss", said


def fortran(x: float) -> Written:
    mantissa, exponent = f"{x:.15E}".split("E")
    return f" energy = {mantissa}D{exponent}", Fraction(f"{mantissa}e{exponent}")


def thousands(mark: str, point: str = ".") -> Callable[[float], Written]:
    def write(x: float) -> Written:
        text = f"{x * 1000:,.2f}"
        line = text.replace(",", "\0").replace(".", point).replace("\0", mark)
        return f"total: {line} B", Fraction(text.replace(",", ""))

    return write


def gromacs(x: float) -> Written:
    text, said = clock(x, "{H}h{m:02}:{s:02}")
    return f"                         {text}", said


def words(x: float) -> Written:
    whole = int(x)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"took {hours} hours, {minutes} minutes and {seconds} seconds", Fraction(whole)


def spaced(x: float) -> Written:
    whole = int(x)
    return f"took {whole // 60} min {whole % 60} s", Fraction(whole)


def iso(x: float) -> Written:
    whole = int(x * 1000)
    text = f"PT{whole // 3600000}H{whole // 60000 % 60}M{whole // 1000 % 60}.{whole % 1000:03}S"
    return f"duration: {text}", Fraction(whole, 1000)


def hyperfine(x: float) -> Written:
    text = f"{x:.3f}" if x >= 1 else f"{x * 1000:.1f}"
    unit, scale = ("s", 1) if x >= 1 else ("ms", 1000)
    return f"  Time (mean ± σ):      {text} {unit} ±  0.010 {unit}", Fraction(text) / scale


SECONDS = {"unit": "s"}
PROGRAMS = [
    Program("sacct", slurm, "Elapsed: (@quantity@)", SECONDS),
    Program("GNU time", gnu_time, "time: (@quantity@)", SECONDS),
    Program("bash time", bash_time, r"real\s+(@quantity@)", SECONDS),
    Program("Python timedelta", timedelta, "took (@quantity@)", SECONDS),
    Program("Go time.Duration", go_duration, "took (@quantity@)", SECONDS),
    Program("hyperfine", hyperfine, r"Time \(mean ± σ\): +(@quantity@)", SECONDS),
    Program("gromacs", gromacs, "^ +(@quantity@)", SECONDS),
    Program("keras", keras, "s (@quantity@)/step", SECONDS),
    Program("keras ETA", keras_hms, "ETA: (@quantity@)", SECONDS),
    Program("humanize", words, "took (@quantity@)", SECONDS),
    Program("ninja", spaced, "took (@quantity@)", SECONDS),
    Program("java Duration", iso, "duration: (@quantity@)", SECONDS),
    Program("fio IOPS", prefixed("  read: IOPS=%s, BW=3MiB/s", 1000, "kM"), "IOPS=(@quantity@)", {}),
    Program("fio BW", prefixed("BW=%sB/s (1MB/s)", 1024, "KMG"), "BW=(@quantity@)", {"unit": "B/s"}),
    Program("iperf3", prefixed("1.00 sec  %sbits/sec", 1000, "KMG", "%.2f"), "sec +(@quantity@)$", {"unit": "b/s"}),
    Program("sysbench", printed("events per second: %s", "%9.2f"), "second: +(@float@)", {}),
    Program("dd", prefixed("copied, 1.2 s, %sB/s", 1000, "kMG"), "s, (@quantity@)", {"unit": "B/s"}),
    Program("rsync", thousands(","), "total: (@quantity@)", {"unit": "B", "thousands": ","}),
    Program("pv", prefixed("[%sB/s]", 1024, "KMGT", "%.2f"), r"\[(@quantity@)\]", {"unit": "B/s"}),
    Program("tqdm", tqdm, ", (@quantity@)\\]", {"unit": "it/s"}),
    Program("wrk", prefixed("Latency %ss 1.2s 5s", 1000, "", "%.2f"), "Latency (@quantity@)", SECONDS),
    Program("ab", printed("Requests per second:    %s [#/sec] (mean)", "%.2f"), "second: +(@float@)", {}),
    Program("redis-benchmark", printed("SET: %s requests per second", "%.2f"), "SET: (@quantity@)", {"unit": "req/s"}),
    Program("pgbench", printed("tps = %s (without initial connection time)", "%f"), "tps = (@float@)", {}),
    Program("STREAM", printed("Triad:  %s     0.1     0.2", "%11.1f"), "Triad: +(@float@)", {}),
    Program("HPL", printed("WR11C2R4  1000  192  %s", "%17.4e"), "192 +(@float@)", {}),
    Program(
        "LAMMPS", printed("Performance: %s ns/day, 1 hours/ns", "%.3f"), "Performance: (@quantity@)", {"unit": "ns/day"}
    ),
    Program("criterion", criterion, r"thrpt: +\[(@quantity@)", {"unit": "elem/s"}),
    Program(
        "go test -workbench",
        printed("BenchmarkX-8  100  %s ns/op", "%.1f", 1e-9),
        "100 +(@quantity@)",
        {"unit": "s/op"},
    ),
    Program("google benchmark", printed("BM_x  %s ns  12 ns", "%.0f", 1e-9), "BM_x +(@quantity@)", SECONDS),
    Program("perf stat", thousands(","), "total: (@quantity@)", {"thousands": ","}),
    Program("ping", printed("64 bytes: time=%s ms", "%.3f", 0.001), "time=(@quantity@)", SECONDS),
    Program("lightning", printed("Epoch 1: loss=%s, v_num=3", "%.3g"), "loss=(@float@)", {}),
    Program("xgboost", printed("[0]\ttrain-rmse:%s\ttest-rmse:1.0", "%.5f"), "train-rmse:(@float@)", {}),
    Program("nvidia-smi", printed("|  %sMiB / 16384MiB |", "%.0f", 2**20), r"\| +(@quantity@)", {"unit": "B"}),
    Program("vmstat", printed(" 1  0  0 %s 100 200 0", "%.0f"), r"^ +(?:@int@ +){3}(@int@)", {}),
    Program("gfortran", fortran, "energy = +(@float@)", {}),
    Program("numpy", lambda x: (f"mean [{np.float64(x)!s} 1.5]", float(x)), r"\[(@float@)", {}),
    Program("R", printed('[1] "x" %s', "%.7g"), '"x" (@float@)', {}),
    Program("MATLAB", printed("ans = %s", "%.4e"), "ans = (@float@)", {}),
    Program("Octave", printed("x = %s", "%.5g"), "x = (@float@)", {}),
    Program("Julia", lambda x: (f"loss = {x!r}", float(x)), "loss = (@float@)", {}),
    Program("awk", printed("avg %s", "%.6g"), "avg (@float@)", {}),
    Program("printf", printed("x=%s;", "%g"), "x=(@float@)", {}),
    Program("du in Germany", thousands(".", ","), "total: (@quantity@)", {"thousands": ".", "decimal": ","}),
    Program("du in France", thousands("\u202f", ","), "total: (@quantity@)", {"thousands": " ", "decimal": ","}),
    Program("ls in Switzerland", thousands("’"), "total: (@quantity@)", {"thousands": "'"}),
    Program("quantile", thousands(" "), "total: (@quantity@)", {"thousands": " "}),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@settings(max_examples=60, deadline=None)
@given(x=st.floats(1e-3, 2e5) | st.integers(0, 200_000).map(lambda n: max(n, 0.001)))
def test_what_is_read_is_what_was_written(program: Program, x: float) -> None:
    line, said = program.write(x)
    found = value(program.pattern, line, **program.metric)
    assert found == pytest.approx(float(said), rel=1e-12, abs=1e-300), line


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("shorthand", ["float", "int", "quantity"])
@settings(max_examples=20, deadline=None)
@given(x=st.floats(1e-3, 2e5))
def test_no_shorthand_reads_the_head_of_a_number(program: Program, shorthand: str, x: float) -> None:
    """Where another shorthand than the right one is asked for, and nothing is said of marks."""
    if program.name == "quantile":
        x += 1000  # with plain spaces one group of thousands may well be a number of its own: `iter 10 250 ms`
    line, said = program.write(x)
    pattern = program.pattern.replace("(@quantity@)", f"(@{shorthand}@)").replace("(@float@)", f"(@{shorthand}@)")
    reader = TextReader("m", Metric(source=PatternSource(pattern=pattern)))
    found = reader.value(Text(line.encode()))
    if found is None:
        assert reader.refused, "told"
    elif found is not NO_MATCH:
        # The number as it stands there, perhaps in another unit: of those that are read the digits are all there.
        own = {float(said) * factor for factor in (1, 1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9, 1 / 1024, 1 / 2**20, 1 / 2**30)}
        own |= {1 / number for number in own if number}
        assert any(found == pytest.approx(number, rel=1e-9, abs=1e-300) for number in own), line


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784), ("1 day, 2:03:04", 93784), ("2 days, 2:03:04.5", 180184.5), ("1:02:03.5", 3723.5),
        ("1h 23m", 4980), ("2 min 30 s", 150), ("1m23s456ms", 83.456), ("0m1.021s", 1.021), ("PT1H2M3.5S", 3723.5),
        ("P1DT2H", 93600), ("-1 day, 23:59:59", -1), ("1h05:32", 3932), ("1d02h05:32", 93932), ("1w 2d", 777600),
        ("2 s 500 ms", 2.5), ("1 hour, 2 minutes and 3 seconds", 3723), ("62:03.5", 3723.5), ("1-02", None),
        ("1:75", None), ("1h 2h", None), ("5 m", None), ("1.5h 20m", None), ("1:2:3:4", None), ("P1Y2M", None),
        ("2024-01-02", None), ("1d 25:00:00", None), ("P", None), ("PT", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    found = duration(text)
    assert (None if found is None else float(found)) == seconds
    if seconds is not None:
        assert value("took (@quantity@)", f"took {text} in all") == seconds
        assert value("took (@float@)", f"took {text} in all") in (None, "nothing")
        assert value("took (@int@)", f"took {text} in all") in (None, "nothing")


@pytest.mark.parametrize(
    "text",
    [
        "1,234", "1.5.3", "1_000", "0x1F", "0xFF", "5e", "5e+", "12abc", "2024-01-02", "10.0.0.1", "01/02/2024",
        "512x512",
        "1e5e3", "1'234", "1\u202f234", "5:30", "3*0.5", "1.5×10⁻³", "18.6k", "1.2M", "1..5", "1 234 567 B", "1h23m",
    ],
)  # fmt: skip
def test_a_number_that_goes_on_is_null_and_no_earlier_one_counts(text: str) -> None:
    for shorthand in ("float", "int"):
        assert value(f"x: (@{shorthand}@)", f"x: 1\nx: {text}") is None, shorthand
        assert value(f"x: (@{shorthand}@)", f"x: 1\nx: {text}", take="max") is None, shorthand


@pytest.mark.parametrize("text", ["1.5 h 20 min", "2.5min 30s", "1.5 h and 20 min", "1.5 ms 2 us"])
def test_the_head_of_a_duration_is_no_duration(text: str) -> None:
    for shorthand in ("quantity", "float", "int"):
        assert value(f"took (@{shorthand}@)", f"took 1\ntook {text}") is None, shorthand


@pytest.mark.parametrize(("text", "seconds"), [("1.5 s, 20 ms each", 1.5), ("1.5 s 20 items", 1.5), ("1.5 h", 5400)])
def test_what_stands_behind_a_quantity(text: str, seconds: float) -> None:
    assert value("took (@quantity@)", f"took {text}", unit="s") == seconds


def test_an_integer_is_no_other_number() -> None:
    for text in ("1e6", "3.7", "3.0", "0x1F", "1,234", "nan", "inf"):
        assert value("n: (@int@)", f"n: {text}") is None
    assert value("n: (@int@)", "n: 5, then 6.") == 5
    assert value("n: (@int@)", "n: 1,234", thousands=",") == 1234
    assert value("n: (@int@)", "n: 1 234", thousands=" ") == 1234


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("95%", 95), ("12.5s", 12.5), ("1.84x", 1.84), ("5.", 5), ("5, next", 5), ("5.0.", 5), ("3/10", 3),
        ("5-fold", 5),
        ("1.234(5)", 1.234), ("0.5)", 0.5), ("1.5d3", 1500), ("1.5D-03", 0.0015), ("−5", -5), ("3dB", 3), ("0x", 0),
        ("1.#INF", math.inf), ("-1.#INF00", -math.inf), ("5_best", 5),
    ],
)  # fmt: skip
def test_where_a_number_ends(text: str, found: float) -> None:
    assert value("x: (@float@)", f"x: {text}") == found


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        ("(@int@),(@int@)", "1,234", 1), ("(@float@),(?P<value>@float@)", "0.5,0.3", 0.3),
        ("(@int@)x@int@", "512x64", 512),
        ("(?P<m>@int@):(?P<value>@int@)", "5:30", 30), (r"(@float@)s\b", "12.5s", 12.5),
        ("loss.*(@float@)", "loss = -12.5", -12.5),
        ("(@int@) MB", "1.5 MB", None), ("(@int@)%", "95.3%", None), (r"\b(@int@) MB", "1.5 MB", None),
        (r"top1[:=]\s*(@float@)", "top1:0.93", 0.93), ("(?i)X: (@float@)", "x: 5m", 5),
        ("(@quantity@)B/s", "5MB/s", 5e6),
        ("a(@float@)(@float@)", "a0.1E+01-0.2E+01", 1), (r"model_(@int@)", "model_5_best.pt", 5),
    ],
)  # fmt: skip
def test_the_pattern_says_what_stands_around_a_number(pattern: str, line: str, found: float | None) -> None:
    pattern = pattern.replace("),(@int@)", "),@int@").replace(")(@float@)", ")@float@")
    assert value(pattern, line) == found


def test_nan_and_infinities_of_quantities() -> None:
    assert math.isnan(value("took (@quantity@)", "took nan s", unit="ms"))  # type: ignore[arg-type]
    assert math.isnan(value("took (@quantity@)", "took -nan%"))  # type: ignore[arg-type]
    assert value("took (@quantity@)", "took inf MB/s", unit="B/s") == math.inf
    assert value("took (@quantity@)", "took -inf", unit="s") == -math.inf


@given(st.integers(), st.sampled_from([",", ".", "'", " ", "_"]))
def test_thousands_of_integers(whole: int, mark: str) -> None:
    text = f"{whole:,}".replace(",", mark)
    assert number(text, Notation(",", mark)) == whole
    if abs(whole) >= 1000:
        assert number(text) != whole or mark == "."


@settings(deadline=None)
@given(st.text("0123456789.,:'_ -+eEdDxhms%kM", max_size=12))
def test_any_text_is_a_number_or_none(text: str) -> None:
    """What is read as a number is written back as one of the same value."""
    found = number(text)
    if found is not None and math.isfinite(found):
        assert float(text.strip().lower().replace("d", "e")) == found
    quantity(text)
    for shorthand in ("float", "int", "quantity"):
        value(f"(@{shorthand}@)", text)


# --- Units


@pytest.mark.parametrize(
    ("text", "unit", "found"),
    [
        ("950 Melem/s", "elem/s", 950e6), ("3.4 Gelem/s", "elem/s", 3.4e9), ("3.4 Gelem/s", "Melem/s", 3400),
        ("5 Mpps", "pps", 5e6),
        ("2 Mcells/s", "cells/s", 2e6), ("7 ktps", "tps", 7e3), ("1.5 kQPS", "QPS", 1.5e3),
        ("12 MLUPS", "LUPS", 12e6),
        ("3 GLUPS", "MLUPS", 3e3), ("2 Mfoo/s", "foo/s", 2e6), ("2 Kifoo/s", "foo/s", 2048),
        ("2 TFlops", "GFLOP/s", 2e3),
        ("2.5s/it", "it/s", 0.4), ("4 it/s", "s/it", 0.25), ("250 ms/step", "step/s", 4),
        ("0 s/it", "it/s", None), ("5 mW", "W", 0.005),
        ("30 tokens/sec", "tok/s", 30), ("30 tok/s", "tokens/sec", 30), ("12 requests per second", "req/s", 12),
        ("5 ns/op", "s/op", 5e-9), ("3 MB", "elem/s", None), ("950 Melem/s", None, 950e6),
        ("7 Messages/s", None, 7), ("3 B/op", "kB/op", 0.003),
        ("72573 /sec", "1/s", 72573),
    ],
)  # fmt: skip
def test_prefixes_of_any_unit(text: str, unit: str | None, found: float | None) -> None:
    assert value("rate: (@quantity@)", f"rate: {text}", unit=unit) == (None if found is None else pytest.approx(found))


WRITTEN = ["s", "ms", "MiB", "kB/s", "Mbit/s", "%", "GFLOP/s", "it/s", "s/it", "Mpps", "ns/op", "kWh", "tokens/sec"]


@given(st.floats(-1e9, 1e9), st.sampled_from(WRITTEN), st.sampled_from([None, *WRITTEN]))
def test_a_unit_in_brackets_is_the_unit(x: float, unit: str, wanted: str | None) -> None:
    plain = quantity(f"{x!r} {unit}", None, wanted)
    assert (
        quantity(f"{x!r} [1/s]", None, "/s")
        == quantity(f"{x!r} /s", None, "/s")
        == value("x: (@quantity@)", f"x: {x!r} [1/s]")
    )
    for text in (f"{x!r} [{unit}]", f"{x!r} ({unit})", f"{x!r}({unit})", f"{x!r} ( {unit} )"):
        assert quantity(text, None, wanted) == plain
        assert value("x: (@quantity@)", f"x: {text} in all", unit=wanted) == plain


@given(st.floats(-1e9, 1e9), st.sampled_from(["mean", "best", "K", "sic", "ok", "foo/bar"]), st.sampled_from(WRITTEN))
def test_what_is_no_unit_in_brackets_changes_nothing(x: float, word: str, wanted: str) -> None:
    assert value("x: (@quantity@)", f"x: {x!r} ({word})", unit=wanted) == x


TIMES = ["ns", "us", "ms", "s", "min", "h", "day"]


@given(st.floats(1e-6, 1e6), st.sampled_from(TIMES), st.sampled_from(TIMES))
def test_a_time_per_time_stays_as_it_is_written(x: float, above: str, below: str) -> None:
    assert quantity(f"{x!r} {above}/{below}") == x
    assert quantity(f"{x!r} {above}/{below}", None, f"{above}/{below}") == pytest.approx(x, rel=1e-15)
    if above != below:
        assert quantity(f"{x!r} {above}/{below}", None, f"{below}/{above}") == pytest.approx(1 / x, rel=1e-15)


@given(st.integers(1, 10**12), st.sampled_from("KMGTP"), st.sampled_from("KMGTP"))
def test_a_bare_prefix_is_binary_where_the_wanted_one_is(n: int, own: str, wanted: str) -> None:
    power = "KMGTP".index(own) - "KMGTP".index(wanted)
    assert quantity(f"{n}{own}", None, f"{wanted}iB") == float(n * Fraction(1024) ** power)
    assert quantity(f"{n}{own}", None, f"{wanted}B") == float(n * Fraction(1000) ** power)
    assert quantity(f"{n}{own}/s", None, f"{wanted}iB/s") == float(n * Fraction(1024) ** power)
    assert quantity(f"{n}{own}", None, f"{wanted}items") == float(n * Fraction(1000) ** power)


@pytest.mark.parametrize(
    ("units", "together"),
    [
        ({"Mfoo/s": 3, "Gfoo/s": 2}, "foo/s"), ({"foo": 1, "kfoo": 9}, "foo"), ({"it/s": 5, "s/it": 3}, "it/s"),
        ({"Melem/s": 3, "Gelem/s": 2}, None), ({"s": 1, "ms": 4}, None), ({"s": 1, "MB": 4}, None),
        ({"of": 3, "": 2}, None), ({"ns/day": 3, "hours/ns": 2}, "ns/day"), ({"ns/day": 3, "s": 2}, None),
        ({"ns/day": 3, "": 2}, None),
    ],
)  # fmt: skip
def test_the_unit_that_values_have_together(units: dict[str, int], together: str | None) -> None:
    assert common_unit(units) == together
