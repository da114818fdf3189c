"""Files with very many parameters are gone through once, not once for each parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tui_lab.client.submission import Choice, prepare
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.experiment.yaml.problem import SpecError


def test_a_task_is_tried_once_for_all_parameters_that_it_gives_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    start = TaskBuilder.start

    def counted(self: TaskBuilder, row: int, *arguments: Any, **named: Any) -> Any:
        tried.append(row)
        return start(self, row, *arguments, **named)

    monkeypatch.setattr(TaskBuilder, "start", counted)
    file = tmp_path / "many.yaml"
    names = [f"p{number}" for number in range(50)]
    listed = "".join(f"  {name}: [1, 2]\n" if name == "p0" else f"  {name}: 1\n" for name in names)
    file.write_text(f"command: echo {' '.join(f'{{{name}}}' for name in names)}\nparameters:\n{listed}")
    assert prepare(None, file, Choice()).plan.tasks.height == 2
    assert tried == [0]

    file.write_text(file.read_text().replace("p7: 1\n", "p7: [1, null]\n").replace("p9: 1\n", "p9: [null, 1]\n"))
    with pytest.raises(SpecError) as raised:
        prepare(None, file, Choice())
    assert [problem.line for problem in raised.value.problems] == [10, 12]
