"""How calls of functions start, in real runs."""

from __future__ import annotations

from tests.workbench import Workbench

MODULE = """\
    import os
    import random
    import signal
    import time

    import numpy  # whose threads end before a fork

    with open(os.path.join(os.path.dirname(__file__), "imports"), "a") as file:
        file.write("once\\n")

    def fit(x: int, repeat: int, seed: int):
        if x == 9 and not os.path.exists("killed"):
            open("killed", "w").close()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(1000)
        return random.random()
"""
STAGES = (
    MODULE.partition("    def fit")[0]
    + """
    def first(x: int) -> None:
        print(x)

    def second(x: int) -> int:
        return x
"""
)
TEXT = "function: train.py::fit\nparameters: {x: [1, 2]}\nrepeat: 2\nargs: {repeat: repeat}\n"


def test_a_module_is_imported_once(workbench: Workbench) -> None:
    workbench.write("train.py", MODULE)
    workbench.run_text(TEXT)
    imports = workbench.folder / "imports"
    assert imports.read_text() == "once\n"
    table = "SELECT x, repeat, result FROM e ORDER BY ALL"
    forked = workbench.table(table)
    assert len({row["result"] for row in forked}) == 2  # each repeat has its seed
    # As processes of their own they give the same, and are the same tasks.
    file = workbench.write("experiment.yaml", "name: e\n" + TEXT + "start_method: spawn\n")
    assert "would run 0 tasks" in workbench("plan", file).out
    workbench.run(file, "--rerun")
    assert imports.read_text() == "once\n" * 5
    assert workbench.table(table) == forked
    # Stages whose functions are in one module share its import.
    imports.unlink()
    workbench.write("steps.py", STAGES)
    workbench.run_text(
        "stages:\n  a: {function: steps.py::first, uses: [x]}\n  b: {function: steps.py::second, after: a, uses: [x]}\n"
        "parameters: {x: [1, 2]}\n"
    )
    assert imports.read_text() == "once\n"
    imports.unlink()
    # With the process that forks, its calls are lost: they run again.
    workbench.run_text(TEXT.replace("[1, 2]", "[9]").replace("repeat: 2", "repeat: 1"))
    assert [event["state"] for event in workbench.events("finished")][-2:] == ["lost", "done"]
    assert imports.read_text() in ("once\n", "once\nonce\n")  # the first may be left of an earlier submission
