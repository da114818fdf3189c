"""Lines as programs print them, each with the pattern that a user would write for it."""

from __future__ import annotations

import pytest

from tui_lab.results.readers import TextReader
from tui_lab.results.text import Text
from tui_lab.spec.metric import Metric

# Program, pattern, keys of the metric, line, and the value; None where the number is another than it seems.
CASES: list[tuple[str, str, dict[str, str], str, float | None]] = [
    ("ab", "Requests per second: +(@float@)", {}, "Requests per second:    5234.17 [#/sec] (mean)", 5234.17),
    ("wrk", "Latency +(@quantity@)", {"unit": "ms"}, "Latency   635.91us    0.89ms  12.92ms   93.69%", 0.63591),
    ("wrk", "Transfer/sec: +(@quantity@)", {"unit": "MB/s"}, "Transfer/sec:     17.76MB", None),
    ("wrk", "Requests/sec: +(@float@)", {}, "Requests/sec: 748868.53", 748868.53),
    ("fio", "IOPS=(@quantity@)", {}, "read: IOPS=18.6k, BW=72.8MiB/s (76.3MB/s)(4366MiB/60001msec)", 18600.0),
    ("fio", "BW=(@quantity@)", {"unit": "MiB/s"}, "read: IOPS=18.6k, BW=72.8MiB/s (76.3MB/s)(4366MiB/60001msec)", 72.8),
    (
        "fio",
        "\\((?P<value>@quantity@)\\)\\(",
        {"unit": "MB/s"},
        "read: IOPS=18.6k, BW=72.8MiB/s (76.3MB/s)(4366MiB/60001msec)",
        76.3,
    ),
    ("fio", "avg= *(@float@)", {}, "lat (usec): min=11, max=5301, avg=213.32, stdev=80.11", 213.32),
    (
        "iperf3",
        "(?P<value>@float@) (?P<unit>\\S+/sec) .*receiver",
        {"unit": "Gbit/s"},
        "[  5]   0.00-10.04  sec  1.09 GBytes   936 Mbits/sec                  receiver",
        0.936,
    ),
    (
        "iperf3",
        "(@quantity@) +receiver",
        {"unit": "Gbit/s"},
        "[  5]   0.00-10.04  sec  1.09 GBytes   936 Mbits/sec                  receiver",
        0.936,
    ),
    ("sysbench", "events per second: +(@float@)", {}, "events per second:  1149.24", 1149.24),
    (
        "sysbench",
        "transferred \\((@quantity@)\\)",
        {"unit": "MiB/s"},
        "102400.00 MiB transferred (21450.33 MiB/sec)",
        21450.33,
    ),
    (
        "hyperfine",
        "Time \\(mean ± σ\\): +(@quantity@)",
        {"unit": "s"},
        "Time (mean ± σ):     303.4 ms ±   2.1 ms    [User: 280.2 ms, System: 22.1 ms]",
        0.3034,
    ),
    (
        "perf stat",
        "(@float@) +instructions",
        {},
        "4,321,987,650      instructions              #    1.23  insn per cycle",
        None,
    ),
    ("perf stat", "(@quantity@) time elapsed", {"unit": "s"}, "1.234567890 seconds time elapsed", 1.23456789),
    ("time", "real\\s+(@quantity@)", {"unit": "s"}, "real\t0m1.021s", 1.021),
    ("time", "real\\s+(@quantity@)", {"unit": "s"}, "real\t1h02m03.500s", 3723.5),
    (
        "gtime",
        "Elapsed .*: (@quantity@)",
        {"unit": "s"},
        "Elapsed (wall clock) time (h:mm:ss or m:ss): 1:02:03",
        3723.0,
    ),
    ("gtime", "Elapsed .*: (@quantity@)", {"unit": "s"}, "Elapsed (wall clock) time (h:mm:ss or m:ss): 0:03.15", 3.15),
    (
        "gtime",
        "Maximum resident set size \\(kbytes\\): (@int@)",
        {},
        "Maximum resident set size (kbytes): 1048576",
        1048576,
    ),
    ("gtime", "Percent of CPU this job got: (@quantity@)", {"unit": "1"}, "Percent of CPU this job got: 398%", 3.98),
    ("pytest", "in (@quantity@)", {"unit": "s"}, "======= 12 passed in 83.45s (0:01:23) =======", 83.45),
    ("pytest", "(@int@) passed", {}, "12 passed, 1 skipped in 0.12s", 12),
    ("pytorch", "Average loss: (@float@)", {}, "Test set: Average loss: 0.0286, Accuracy: 9910/10000 (99%)", 0.0286),
    (
        "pytorch",
        "Accuracy: .*\\((@quantity@)\\)",
        {"unit": "1"},
        "Test set: Average loss: 0.0286, Accuracy: 9910/10000 (99%)",
        0.99,
    ),
    (
        "keras",
        "loss: (@float@)",
        {},
        "469/469 [==============================] - 3s 6ms/step - loss: 0.2345 - accuracy: 0.9312",
        0.2345,
    ),
    (
        "keras",
        " (@quantity@)/step",
        {"unit": "ms"},
        "469/469 [==============================] - 3s 6ms/step - loss: 0.2345",
        6.0,
    ),
    (
        "keras",
        "- (@quantity@) ",
        {"unit": "s"},
        "469/469 [==============================] - 3s 6ms/step - loss: 0.2345",
        3.0,
    ),
    (
        "keras3",
        "accuracy: (@float@)",
        {},
        (
            "\x1b[1m1875/1875\x1b[0m \x1b[32m━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m2s\x1b[0m"
            " 963us/step - accuracy: 0.8812 - loss: 0.41"
        ),
        0.8812,
    ),
    ("xgboost", "eval-rmse:(@float@)", {}, "[9]\ttrain-rmse:0.41234\teval-rmse:0.50123", 0.50123),
    (
        "lightgbm",
        "valid_0's auc: (@float@)",
        {},
        "[100]\tvalid_0's auc: 0.8312\tvalid_0's binary_logloss: 0.421",
        0.8312,
    ),
    (
        "llama.cpp",
        "eval time = +(@quantity@)",
        {"unit": "s"},
        (
            "llama_print_timings:        eval time =    3125.41 ms /    63 runs   ("
            "   49.61 ms per token,    20.16 tokens per second)"
        ),
        3.12541,
    ),
    (
        "llama.cpp",
        ", +(@quantity@)\\)",
        {"unit": "tok/s"},
        (
            "llama_print_timings:        eval time =    3125.41 ms /    63 runs   ("
            "   49.61 ms per token,    20.16 tokens per second)"
        ),
        20.16,
    ),
    (
        "llama-bench",
        "\\| +tg128 \\| +(@float@)",
        {},
        "| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA | 99 | tg128 | 131.42 ± 0.65 |",
        131.42,
    ),
    ("sacct", "Elapsed=(@quantity@)", {"unit": "s"}, "JobId=1 Elapsed=1-02:03:04", 93784.0),
    ("sacct", "batch +(@quantity@)", {"unit": "s"}, "12345.batch  batch   00:12:34   COMPLETED", 754.0),
    ("gromacs", "Performance: +(@float@)", {}, "Performance:       25.345        0.947", 25.345),
    ("gromacs", "Time: +(@float@)", {}, "Time:     1234.560       77.160     1600.0", 1234.56),
    (
        "lammps",
        "Loop time of (@float@)",
        {},
        "Loop time of 0.942801 on 4 procs for 300 steps with 2004 atoms",
        0.942801,
    ),
    (
        "lammps",
        ", (@quantity@)$",
        {"unit": "timesteps/s"},
        "Performance: 54.977 ns/day, 0.437 hours/ns, 318.201 timesteps/s",
        318.201,
    ),
    (
        "openfoam",
        "Initial residual = (@float@)",
        {},
        "smoothSolver:  Solving for Ux, Initial residual = 9.5e-06, Final residual = 8.1e-07, No Iterations 2",
        9.5e-06,
    ),
    ("openfoam", "ExecutionTime = (@quantity@)", {"unit": "s"}, "ExecutionTime = 123.45 s  ClockTime = 124 s", 123.45),
    ("stream", "Triad: +(@float@)", {}, "Triad:          21863.4     0.010998     0.010977     0.011080", 21863.4),
    (
        "hpl",
        "^WR\\S+ .* (@float@)$",
        {},
        "WR11C2R4       29184   192     2     2             298.56              5.5513e+01",
        55.513,
    ),
    ("ior", "Max Write: (@quantity@)", {"unit": "MiB/s"}, "Max Write: 2345.67 MiB/sec (2459.61 MB/sec)", 2345.67),
    ("osu", "^4194304 +(@float@)", {}, "4194304             12012.34", 12012.34),
    ("redis", "SET: (@quantity@)", {"unit": "req/s"}, "SET: 114155.25 requests per second, p50=0.223 msec", 114155.25),
    ("redis", "p50=(@quantity@)", {"unit": "ms"}, "SET: 114155.25 requests per second, p50=0.223 msec", 0.223),
    (
        "memtier",
        "^Totals +(@float@)",
        {},
        "Totals     105233.11          ---          ---         1.89812         1.71900",
        105233.11,
    ),
    ("pgbench", "tps = (@float@)", {}, "tps = 1234.567890 (without initial connection time)", 1234.56789),
    ("pgbench", "latency average = (@quantity@)", {"unit": "ms"}, "latency average = 8.101 ms", 8.101),
    (
        "nginx",
        "rt=(@float@)",
        {},
        '127.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 612 rt=0.003',
        0.003,
    ),
    (
        "locust",
        "Aggregated +(@int@)",
        {},
        (
            "Aggregated                                                           "
            "         3217     0(0.00%) |     48       3     612     37 |   53.60        0.00"
        ),
        3217,
    ),
    (
        "k6",
        "http_req_duration\\S*: avg=(@quantity@)",
        {"unit": "ms"},
        "http_req_duration..............: avg=117.55ms min=1.2µs med=116.2ms max=1m23s p(90)=121.1ms",
        117.55,
    ),
    (
        "k6",
        "min=(@quantity@)",
        {"unit": "ms"},
        "http_req_duration..............: avg=117.55ms min=1.2µs med=116.2ms max=1m23s p(90)=121.1ms",
        0.0012,
    ),
    (
        "k6",
        "max=(@quantity@)",
        {"unit": "s"},
        "http_req_duration..............: avg=117.55ms min=1.2µs med=116.2ms max=1m23s p(90)=121.1ms",
        83.0,
    ),
    (
        "k6",
        "http_reqs\\S*: \\d+ +(@quantity@)",
        {"unit": "req/s"},
        "http_reqs......................: 6000   199.893451/s",
        199.893451,
    ),
    ("jmh", "thrpt +\\d+ +(@float@)", {}, "MyBenchmark.testMethod  thrpt    5  3043.412 ± 12.301  ops/ms", 3043.412),
    (
        "gbench",
        "BM_\\S+ +(@quantity@)",
        {"unit": "ns"},
        "BM_StringCreation         21.3 ns         21.3 ns     33152612",
        21.3,
    ),
    ("gbench", "items_per_second=(@quantity@)", {}, "BM_x 21 ns 21 ns 33 items_per_second=47.0M/s", 47000000.0),
    (
        "criterion",
        "time: +\\[\\S+ \\S+ (@quantity@)",
        {"unit": "us"},
        "fib 20                  time:   [25.901 µs 26.029 µs 26.170 µs]",
        26.029,
    ),
    (
        "criterion",
        "thrpt: +\\[\\S+ \\S+ (@quantity@)",
        {"unit": "elem/s"},
        "thrpt:  [1.2345 Gelem/s 1.2401 Gelem/s 1.2450 Gelem/s]",
        1240100000.0,
    ),
    (
        "go",
        "(@float@) ns/op",
        {},
        "BenchmarkFib10-8   \t 5000000\t       325.5 ns/op\t      16 B/op\t       2 allocs/op",
        325.5,
    ),
    ("go test", "^ok .*\\s(@quantity@)$", {"unit": "s"}, "ok  \tgithub.com/x/y\t1.234s", 1.234),
    ("cargo bench", "bench: +(@float@) ns/iter", {}, "test bench_xor ... bench:       1,234 ns/iter (+/- 56)", None),
    (
        "cargo bench",
        "bench: +(@float@) ns/iter",
        {"thousands": ","},
        "test bench_xor ... bench:       1,234.56 ns/iter (+/- 56)",
        1234.56,
    ),
    ("nccl", "Avg bus bandwidth +: (@float@)", {}, "# Avg bus bandwidth    : 82.4145", 82.4145),
    (
        "mlperf",
        '"key": "eval_accuracy", "value": (@float@)',
        {},
        ':::MLLOG {"namespace": "", "time_ms": 1612345678901, "key": "eval_accuracy", "value": 0.7592, "metadata": {}}',
        0.7592,
    ),
    ("blender", "Time: (@quantity@)", {"unit": "s"}, "Time: 01:12.34 (Saving: 00:00.12)", 72.34),
    (
        "blender",
        "Mem:(@quantity@)",
        {"unit": "MB"},
        "Fra:1 Mem:45.71M (Peak 60.02M) | Time:00:01.35 | Rendering",
        45.71,
    ),
    (
        "ffmpeg",
        "speed=(@quantity@)",
        {},
        "frame= 1234 fps=123 q=28.0 size=    2048kB time=00:00:41.13 bitrate= 407.9kbits/s speed=4.12x",
        4.12,
    ),
    (
        "ffmpeg",
        "speed=(@float@)",
        {},
        "frame= 1234 fps=123 q=28.0 size=    2048kB time=00:00:41.13 bitrate= 407.9kbits/s speed=4.12x",
        4.12,
    ),
    (
        "ffmpeg",
        "time=(@quantity@)",
        {"unit": "s"},
        "frame= 1234 fps=123 q=28.0 size=    2048kB time=00:00:41.13 bitrate= 407.9kbits/s speed=4.12x",
        41.13,
    ),
    (
        "ffmpeg",
        "bitrate= *(@quantity@)",
        {"unit": "kbit/s"},
        "frame= 1234 fps=123 q=28.0 size=    2048kB time=00:00:41.13 bitrate= 407.9kbits/s speed=4.12x",
        407.9,
    ),
    (
        "ffmpeg",
        "size= *(@quantity@)",
        {"unit": "kB"},
        "frame= 1234 fps=123 q=28.0 size=    2048kB time=00:00:41.13 bitrate= 407.9kbits/s",
        2048.0,
    ),
    ("x264", ", (@quantity@), ", {"unit": "fps"}, "encoded 1253 frames, 98.42 fps, 1325.63 kb/s", 98.42),
    ("x264", "fps, (@quantity@)", {"unit": "kbit/s"}, "encoded 1253 frames, 98.42 fps, 1325.63 kb/s", 1325.63),
    ("7z", "Tot: .* (@int@)$", {}, "Tot:             755   3991  30112", 30112),
    (
        "openssl",
        "^aes-256-cbc .* (@quantity@)",
        {},
        "aes-256-cbc     512345.12k   612345.67k   712345.89k",
        712345890.0,
    ),
    (
        "openssl",
        "rsa 2048 bits (@quantity@)",
        {"unit": "ms"},
        "rsa 2048 bits 0.000612s 0.000018s   1633.2  55123.4",
        0.612,
    ),
    (
        "stress-ng",
        "\\] cpu +\\d+ +(@float@)",
        {},
        "stress-ng: info:  [1234] cpu               12345     10.00     39.99      0.00      1234.50         308.70",
        10.0,
    ),
    ("geekbench", "Single-Core Score +(@int@)", {}, "Single-Core Score             1789", 1789),
    ("tqdm", "(@quantity@)\\]", {"unit": "it/s"}, "45%|████▌     | 450/1000 [01:23<01:41,  5.40it/s]", 5.4),
    ("tqdm", "(@quantity@)\\]", {"unit": "it/s"}, "45%|████▌     | 450/1000 [01:23<01:41,  2.50s/it]", 0.4),
    ("dd", ", (@quantity@)$", {"unit": "MB/s"}, "1073741824 bytes (1.1 GB, 1.0 GiB) copied, 0.512 s, 2.1 GB/s", 2100.0),
    (
        "dd",
        "copied, (@quantity@)",
        {"unit": "s"},
        "1073741824 bytes (1.1 GB, 1.0 GiB) copied, 0.512 s, 2.1 GB/s",
        0.512,
    ),
    (
        "gcc -ftime",
        "TOTAL +: +(@float@)",
        {},
        "TOTAL                              :   0.29          0.05          0.35         25M",
        0.29,
    ),
    ("ping", "= [\\d.]+/(@float@)/", {}, "rtt min/avg/max/mdev = 0.031/0.043/0.055/0.010 ms", 0.043),
    (
        "nvidia-smi",
        "\\| +(@quantity@) / ",
        {"unit": "MiB"},
        "| 30%   45C    P2   120W / 250W |   8123MiB / 11264MiB |",
        8123.0,
    ),
    ("date", "at (@float@)", {}, "at 2024-01-02", None),
    ("ip", "from (@float@)", {}, "from 192.168.0.1", None),
    ("version", "v(@float@)", {}, "v1.2.3", None),
    ("hex", "= (@int@)", {}, "= 0x1F", None),
    ("gbench", "items_per_second=(@quantity@)", {"unit": "items/s"}, "BM_x 21 ns 21 ns items_per_second=47.0M/s", 47e6),
    ("sacct", "Elapsed=(@float@)", {}, "JobId=1 Elapsed=1-02:03:04", None),
    ("cargo bench", "bench: +(@int@) ns/iter", {}, "test bench_xor ... bench:       1,234 ns/iter (+/- 56)", None),
]


@pytest.mark.parametrize(("program", "pattern", "keys", "line", "value"), CASES)
def test_a_line_is_read_whole_or_not_at_all(
    program: str, pattern: str, keys: dict[str, str], line: str, value: float | None
) -> None:
    reader = TextReader("m", Metric(pattern=pattern, **keys))
    found = reader.value(Text(f"{line}\n".encode()))
    assert found == (None if value is None else pytest.approx(value, rel=1e-14)), f"{program}: {reader.refused}"
    assert bool(reader.refused) == (value is None), program
