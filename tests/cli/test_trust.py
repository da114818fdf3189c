"""Commands of metrics are executed in no lab that came from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.workbench import Workbench
from tui_lab.store import trust
from tui_lab.store.lab import Lab

TEXT = """
command: 'echo {x} >{output}/data'
parameters: {x: [1, 2]}
metrics:
  data: {run: 'cat data; echo "$PWD" >>$TRUTH', pattern: '(@int@)'}
"""


def test_a_command_runs_only_in_a_lab_that_is_trusted(workbench: Workbench) -> None:
    workbench.run_text(TEXT)
    assert workbench.table("SELECT data FROM e ORDER BY x") == [{"data": 1}, {"data": 2}]
    ran = len(workbench.lines())
    assert ran == 2

    # What came from elsewhere: the numbers that are in it are shown, and nothing is executed.
    copy = workbench.folder / "copy"
    shutil.copytree(workbench.lab_path, copy, symlinks=True)
    whole = workbench("query", "SELECT data FROM e", "--lab", copy)
    assert (whole.out, whole.err) == ("data\n1\n2\n", "")
    (copy / "e" / "results.parquet").unlink()
    asked = workbench("query", "SELECT data FROM e", "--lab", copy)
    assert asked.out == "data\n\n\n"
    said = "data: not executed, because copy came from elsewhere; `tui-lab trust "
    assert said in asked.err
    assert (
        "! data has no value: not executed, because copy came from elsewhere"
        in workbench("show", "e/0", "--lab", copy).out
    )
    for words in (("parse", "e"), ("parse", "e", "--force"), ("stats", "e"), ("export", "e"), ("status",)):
        printed = workbench(*words, "--lab", copy, code=None)
        assert words[0] != "parse" or "not executed" in printed.out + printed.err
    assert len(workbench.lines()) == ran
    assert not (copy / "e" / "results.parquet").exists()  # else the missing values would count as read

    workbench("trust", copy)
    assert workbench("query", "SELECT data FROM e", "--lab", copy).out == "data\n1\n2\n"
    assert sorted(workbench.lines()[ran:]) == [f"{copy}/e/tasks/0/{task}" for task in (0, 1)]

    # A renamed lab is the same, also once it has another identity; a folder in its place is not.
    copy.rename(workbench.folder / "renamed")
    shutil.copytree(workbench.folder / "renamed", copy, symlinks=True)
    renamed = Lab.open(workbench.folder / "renamed")
    assert renamed.settled().identity != renamed.identity
    assert trust.is_trusted(workbench.folder / "renamed")
    assert not trust.is_trusted(copy)

    # Whoever runs something in it trusts it.
    file = workbench.write("other.yaml", "command: 'true'\n")
    workbench("--run", file, "--lab", copy)
    assert trust.is_trusted(copy)
    assert workbench("trust", Path("nowhere"), code=2).err.startswith("tui-lab: nowhere: there is no lab here")
