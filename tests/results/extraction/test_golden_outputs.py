"""Real outputs of real programs, made on a terminal where the program shows more there.

minisat.txt     minisat p.cnf (60 variables, 250 clauses)                                   minisat 2.2.1
fio.txt         fio --name=t --rw=write --size=8m --bs=64k --filename=f.bin --eta=always    fio 3.33
fio.json.txt    fio --name=t --rw=read --size=4m --bs=64k --output-format=json ...          fio 3.33
sysbench.txt    sysbench cpu --time=1 --threads=2 run                                       sysbench 1.0.20
zstd.txt        script -qec "zstd -b1e3 -i1 z.bin"                                          zstd 1.5.4
hyperfine.*     hyperfine --warmup 1 --runs 3 --export-csv F --export-json F 'sleep 0.01' ...          1.15.0
bash_time.txt   bash -c 'time sleep 0.012'                                                  bash 5.2
libsvm.txt      svm-train -c 2 -b 1 train.txt m; svm-predict -b 1 test.txt m out            LIBSVM 3.24
libsvm_cv.txt   svm-train -v 5 train.txt                                                    LIBSVM 3.24
xgboost.txt     xgboost.train(..., evals=[train, test], eval_metric=["logloss", "auc"])     xgboost 3.2.0
sklearn.txt     MLPClassifier(verbose=True), classification_report, confusion_matrix        scikit-learn 1.9.1
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workbench import REPOSITORY
from tui_lab.experiment.load import load_text
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.tables import refresh

GOLDEN = REPOSITORY / "tests/golden"


@pytest.mark.parametrize(
    ("file", "metric", "expected"),
    [
        ("minisat.txt", "'conflicts +: (@int@)'", 7),
        ("minisat.txt", "'propagations +: @int@ +\\((@float@) /sec\\)'", 72573.0),
        ("minisat.txt", "{pattern: 'Memory used +: (@quantity@)', unit: MiB}", 13e6 / 2**20),
        ("minisat.txt", "{pattern: 'CPU time +: (@quantity@)', unit: ms}", 2.122),
        ("minisat.txt", "'^(SATISFIABLE|UNSATISFIABLE|INDETERMINATE)$'", "SATISFIABLE"),
        ("fio.txt", "'IOPS=(@quantity@)'", 64000.0),
        ("fio.txt", "{pattern: 'BW=(@quantity@)', unit: MB/s}", 4194.304),
        ("fio.txt", "'clat \\(usec\\): min=@int@, max=@int@, avg=(@float@)'", 10.32),
        ("fio.txt",
        "{pattern: '(?P<unit>nsec|usec|msec)\\): .*avg=(?P<value>@float@)', unit: ms, take: first}", 0.01032),
        ("fio.json.txt", "{json: out, path: '$.jobs[0].read.io_bytes'}", 4194304),
        ("fio.json.txt", "{json: out, path: '$.jobs[0].jobname'}", "t"),
        ("sysbench.txt", "'events per second: +(@float@)'", 8404.37),
        ("sysbench.txt", "{pattern: 'total time: +(@quantity@)', unit: ms}", 1000.1),
        ("sysbench.txt", "'95th percentile: +(@float@)'", 0.39),
        ("zstd.txt", "{pattern: 'x(@float@)\\).* MB/s, +(@float@) MB/s', take: count}", 3),
        ("zstd.txt", "{pattern: '\\(x(@float@)\\)', take: max}", 1.977),
        ("zstd.txt", "{pattern: 'MB/s, +(@quantity@)', unit: B/s}", 1306.1e6),
        ("hyperfine.txt", "{pattern: 'Time \\(mean ± σ\\): +(@quantity@)', unit: s, take: first}", 0.0115),
        ("hyperfine.txt", "{pattern: 'Range \\(min … max\\): +@quantity@ … +(@quantity@)', unit: ms}", 21.3),
        ("hyperfine.txt", "{pattern: '^Benchmark (@int@): (?:.*)$', take: count}", 2),
        ("hyperfine.txt", "'(@float@) ± @float@ times faster'", 1.84),
        ("hyperfine.csv", "{csv: out, column: mean, take: min}", 0.011547238893333334),
        ("hyperfine.csv", "{csv: out, column: command, take: first}", "sleep 0.01"),
        ("hyperfine.json", "{json: out, path: '$.results[*].max', take: max}", 0.02133684956),
        ("libsvm.txt", "'^Accuracy = (@float@)%'", 91.25),
        ("libsvm.txt", "{pattern: 'Accuracy = (@quantity@)', unit: '1'}", 0.9125),
        ("libsvm.txt", "'\\((@int@)/@int@\\) \\(classification\\)'", 73),
        ("libsvm.txt", "{pattern: '#iter = (@int@)', take: sum}", 179 + 160 + 222 + 139 + 161 + 208),
        ("libsvm.txt", "'obj = @float@, rho = (@float@)'", -0.024946),
        ("libsvm.txt", "{pattern: '^Total nSV = (@int@)', take: min}", 62),
        ("libsvm_cv.txt", "'Cross Validation Accuracy = (@float@)%'", 83.125),
        ("xgboost.txt", "'test-auc:(@float@)'", 0.93625),
        ("xgboost.txt", "{pattern: 'test-logloss:(@float@)', take: min}", 0.31451),
        ("xgboost.txt", "{pattern: 'train-auc:(@float@)', take: first}", 0.92633),
        ("xgboost.txt", "'^\\[(@int@)\\]'", 11),
        ("sklearn.txt", "{pattern: 'Iteration @int@, loss = (@float@)', take: count}", 30),
        ("sklearn.txt", "'^ *accuracy +(@float@) +@int@$'", 0.58),
        ("sklearn.txt", "'^ *macro avg +(?:@float@ +){2}(@float@)'", 0.51),
        ("sklearn.txt", "'^ *2 +(@float@) '", 0.36),
        ("bash_time.txt", "{pattern: 'real\\s+(@quantity@)', unit: ms}", 13.0),
    ],
)  # fmt: skip
def test_golden(tmp_path: Path, file: str, metric: str, expected: object) -> None:
    place = tmp_path / "tasks" / "0" / "0"
    place.mkdir(parents=True)
    shutil.copy(GOLDEN / file, place / "out")
    shutil.copy(GOLDEN / file, place / "stdout")
    experiment = load_text(f"name: x\ncommand: ./run\nmetrics:\n  m: {metric}", "x.yaml")
    found = extract(experiment, OutputFolders(tmp_path), [(0, 1)]).values["m"]
    assert found == [pytest.approx(expected) if isinstance(expected, float) else expected]


def test_learning_curves(disk: Any) -> None:
    """Every value of a log, with the steps that it names."""
    folder = disk.submit(
        "command: ./run\nmetrics:\n"
        "  auc: {pattern: '^\\[(?P<step>@int@)\\].*test-auc:(?P<value>@float@)', take: all, goal: max}\n"
        "  loss: {pattern: 'test-logloss:(@float@)', take: all}\n"
    )
    disk.run(folder, 0, (GOLDEN / "xgboost.txt").read_text())
    steps = refresh(folder).steps.select("step", "auc", "loss")
    assert steps.height == 12
    assert steps.row(3) == (3, 0.91656, 0.43016)


def test_a_row_for_each_class(disk: Any) -> None:
    numbers = "(?P<precision>@float@) +(?P<recall>@float@) +@float@ +(?P<support>@int@)"
    folder = disk.submit(f"command: ./run\nrows: {{pattern: '^ +(?P<label>\\d+) +{numbers}$'}}\n")
    disk.run(folder, 0, (GOLDEN / "sklearn.txt").read_text())
    rows = refresh(folder).rows.select("label", "precision", "recall", "support").rows()
    assert rows == [("0", 1.0, 1.0, 13), ("1", 0.0, 0.0, 16), ("2", 0.36, 1.0, 9)]
