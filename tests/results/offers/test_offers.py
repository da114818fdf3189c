"""The numbers in real outputs are offered as metrics, under their names, and each is read by the extractor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.model import Experiment
from tui_lab.results.offers.find import find_offers
from tui_lab.results.offers.lines import candidates
from tui_lab.results.offers.offer import Offer, guessed_goal, slug
from tui_lab.store import layout

TQDM = (
    " 36%|███▌      | 36/100 [00:03<00:05, 11.8it/s, loss=0.21]\r"
    " 37%|███▋      | 37/100 [00:03<00:05, 12.3it/s, loss=0.2]\n"
)
KERAS = (
    "Epoch 1/2\n938/938 [==============================] - 3s 3ms/step - loss: 0.2586 - accuracy: 0.9265\n"
    "Epoch 2/2\n938/938 [==============================] - 2s 2ms/step - loss: 0.1123 - accuracy: 0.9665\n"
)
LIGHTNING = "Epoch 4: 100%|██████████| 1875/1875 [00:12<00:00, 150.05it/s, v_num=0, train_loss=0.031, val/acc=0.9871]\n"
TABLE = "| epoch | loss | acc |\n|-------|------|-----|\n| 1 | 0.5 | 0.7 |\n| 2 | 0.4 | 0.8 |\n"
COLUMNS = (
    "epoch  train_loss  valid_loss  time\n0      0.912       0.744       0:12\n1      0.531       0.602       0:11\n"
)
SPARSE = "iter loss acc\n1 0.5 0.7\n2 0.4 0.75\ndone\n"

OUTPUTS: list[tuple[str, dict[str, Any]]] = [
    ("loss: 0.31\n", {"loss": 0.31}),
    ("epoch 12 loss: 0.31 acc: 91.2 %\n", {"loss": 0.31, "acc": 91.2, "epoch": 12}),
    ("accuracy=0.93\n", {"accuracy": 0.93}),
    ("best score -> 0.7\n", {"best_score": 0.7}),
    ("val_loss 0.5 loss 0.25\n", {"val_loss": 0.5, "loss": 0.25}),
    ("val loss: 0.5, loss: 0.25\nval loss: 0.6\n", {"val_loss": 0.6, "loss": 0.25}),
    ("loss: 1e-3\nnothing\nloss: nan\n", {}),
    ("Test set: Average loss: 0.0262, Accuracy: 9912/10000 (99%)\n", {"average_loss": 0.0262, "accuracy": 99}),
    (TQDM, {"loss": 0.2, "it_per_s": 12.3}),
    (KERAS, {"loss": 0.1123, "accuracy": 0.9665, "ms_per_step": 2}),
    (LIGHTNING, {"train_loss": 0.031, "val_acc": 0.9871, "it_per_s": 150.05}),
    ("{'loss': 0.31, 'learning_rate': 5e-05, 'epoch': 1.0}\n", {"loss": 0.31, "learning_rate": 5e-05}),
    ("Maximum resident set size (kbytes): 12345\n", {"maximum_resident_set_size": 12345}),
    ("\treal\t0m1.021s\n", {"real": 1.021}),
    ("real\t0m1.021s\nuser\t0m0.5s\n", {"real": 1.021, "user": 0.5}),
    ("latency [ms]: 12.5\n", {"latency": 12.5}),
    ("===== 3 failed, 12 passed in 0.52s =====\n", {"failed": 3, "passed": 12, "time": 0.52}),
    ("Finished in 3.2 s\n", {"time": 3.2}),
    ("INFO:root:accuracy=0.9\n", {"accuracy": 0.9}),
    (
        "2026-11-29 10:00:00,123 [INFO] train: Epoch 1, Train Loss: 0.5, Val Loss: 0.6\n",
        {"train_loss": 0.5, "val_loss": 0.6},
    ),
    (TABLE, {"loss": 0.4, "acc": 0.8}),
    (COLUMNS, {"train_loss": 0.531, "valid_loss": 0.602}),
    (SPARSE, {"loss": 0.4, "acc": 0.75}),
    ("step,reward\n1,0.5\n2,0.75\n", {"reward": 0.75}),
    ("GFLOPS = 12.5\n", {"gflops": 12.5}),
    ("throughput: 3.2 MiB/s\n", {"throughput": 3.2}),
    ("pairs: 1,234,567\n", {"pairs": 1234567}),
    ("\x1b[32mloss\x1b[0m: \x1b[1m0.5\x1b[0m\n", {"loss": 0.5}),
    ("compiled 14 files, 2 errors\n", {"compiled": 14, "errors": 2}),
    ('{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.25}\n', {"loss": 0.25}),
    ('training\n{"test": {"acc": 0.9, "f1 score": 0.8}}\ndone\n', {"test_acc": 0.9, "test_f1_score": 0.8}),
    ("python 3.12.1 at 2026-11-29T10:00:00 on 10.0.0.1, pid 4711, v1.2\n", {}),
]  # fmt: skip


def written(folder: Path, task: int, **files: str) -> None:
    path = layout.task_folder(folder, task)
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)


def offers(folder: Path, *tasks: int, known: tuple[str, ...] = ()) -> dict[str, Offer]:
    experiment = Experiment(name="e", command="true")
    return {one.name: one for one in find_offers(experiment, folder, [(task, 1) for task in tasks or (0,)], known)}


@pytest.mark.parametrize(("output", "expected"), OUTPUTS)
def test_what_programs_print(output: str, expected: dict[str, float], tmp_path: Path) -> None:
    written(tmp_path, 0, **{layout.stream_file("stdout", None, 1): output})
    found = offers(tmp_path)
    assert {name: found[name].value for name in expected if name in found} == expected
    assert expected or set(found) <= {"loss"}, found


def test_of_several_outputs_what_all_have_counts_and_what_varies_leads(tmp_path: Path) -> None:
    written(tmp_path, 0, stdout="lr: 0.1\nwidth: 64\nloss: 0.5\nacc: 0.9\nonly here: 1\n")
    written(tmp_path, 1, stdout="lr: 0.2\nwidth: 64\nloss:   0.25\nacc: 0.8\n")
    found = offers(tmp_path, 1, 0, known=("lr",))
    assert list(found) == ["acc", "loss", "width"]
    assert (found["loss"].value, found["loss"].values, found["loss"].varies) == (0.25, (0.25, 0.5), True)
    assert (found["loss"].goal, found["acc"].goal, found["width"].goal) == ("min", "max", None)


def test_files_and_curves(tmp_path: Path) -> None:
    history = "epoch,loss,note\n" + "".join(f"{i},{1 / (i + 1)},x\n" for i in range(9))
    written(
        tmp_path, 0, stdout="".join(f"loss: {1 / (i + 1)}\n" for i in range(9)), history__csv=history,
        result__json='{"test": {"acc": 0.9}, "n": [1, 2]}', params__json='{"lr": 1}', stderr="peak: 5 MB\n",
    )  # fmt: skip
    found = offers(tmp_path)
    assert found["test_acc"].definition == {"json": "result.json", "path": "$.test.acc"}
    assert found["peak"].definition == {"pattern": r"\bpeak: *(@quantity@)", "from": "stderr", "unit": "MB"}
    assert found["loss"].definition in (
        {"pattern": r"\bloss: *(@float@)", "take": "all"},
        {"csv": "history.csv", "column": "loss", "take": "all"},
    )
    assert "lr" not in found
    assert found["loss"].with_goal("min") == {**dict(found["loss"].definition), "goal": "min"}


@given(st.text("ab:=|, .-+%[](){}'\"\t0159eE/n\x1b", max_size=60))
def test_any_line_can_be_read(line: str) -> None:
    for one in candidates([line, line]).values():
        assert one.name == slug(one.name)
        assert one.definitions


def test_names_say_what_is_better() -> None:
    assert [guessed_goal(name) for name in ("val_loss", "test_acc", "it_per_s", "ms_per_step", "error_rate")] == [
        "min", "max", "max", "min", "min",
    ]  # fmt: skip
    assert guessed_goal("learning_rate") is guessed_goal("width") is None
