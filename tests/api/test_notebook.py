"""A real kernel of Jupyter: progress below the cell, runs while its event loop runs, interrupting it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.workbench import Workbench, until

pytest.importorskip("ipykernel")

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

DEFINE = """\
import tui_lab as tl
ex = tl.Experiment("e", command="echo v: {n}; test {n} != 2", parameters={"n": [1, 2, 3]},
                   metrics={"v": {"pattern": "v: (@int@)", "goal": "max"}})
"""


@pytest.fixture
def kernel(workbench: Workbench) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(cwd=str(workbench.folder), env=workbench.environment)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """What a cell shows, in order: the contents of its messages, each with its `type`."""
    shown: list[dict[str, Any]] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] not in ("status", "execute_input"):
            shown.append({"type": message["msg_type"], **message["content"]})

    client.execute_interactive(code, output_hook=hear, timeout=60)
    return shown


@pytest.mark.slow
def test_a_notebook(workbench: Workbench, kernel: tuple[KernelManager, BlockingKernelClient]) -> None:
    manager, client = kernel
    assert execute(client, DEFINE) == []
    shown = execute(client, "run = await ex.arun(nodes='localhost 2')\nrun.counts['failed']")
    blocks = [one for one in shown if one["type"].endswith("display_data")]
    assert [one["type"] for one in blocks] == ["display_data"] + ["update_display_data"] * (len(blocks) - 1)
    assert len({one["transient"]["display_id"] for one in blocks}) == 1
    assert "3/3" in blocks[-1]["data"]["text/plain"] and "✗ task 1" in blocks[-1]["data"]["text/plain"]
    assert blocks[-1]["data"]["text/html"].startswith("<pre")
    assert shown[-1]["data"]["text/plain"] == "1"
    assert [one["type"] for one in shown if one["type"] not in ("display_data", "update_display_data")] == [
        "execute_result"
    ]
    (plot,) = execute(client, "run.plot('n', 'v')")
    assert plot["data"].keys() == {"text/plain", "image/png"}
    # A function of a cell, with one that it uses; in another kernel it is the same.
    execute(client, "def double(x):\n    return 2 * x\n")
    execute(client, "def fit(x: int):\n    return {'a': double(x)}\n")
    run_it = "tl.Experiment('f', fit, parameters={'x': [4]}).run(progress=False).results()['a'].to_list()"
    assert execute(client, run_it)[-1]["data"]["text/plain"] == "[8]"
    (module,) = (workbench.folder / ".tui_lab").glob("fit_*.py")
    before = module.read_text()
    execute(client, "def double(x):\n    return 2 * x\n")
    execute(client, "x = tl.Experiment('f', fit, parameters={'x': [4]})")
    assert module.read_text() == before
    execute(client, "def broken(x: int):\n    return double(x) / 0\n")
    execute(client, "bad = tl.Experiment('bad', broken, parameters={'x': [4]}).run(progress=False)")
    (failure,) = execute(client, "print(bad.failures()[0]['reason'], bad.output(0, 'stderr').splitlines()[2].strip())")
    assert failure["text"] == "exception at <notebook: broken>:2 in broken return double(x) / 0\n"
    # Stages, whose cells may run again: then they take the place of those of the same name.
    cells = ["class Model:\n    def __init__(self, n):\n        self.n = n\n"]
    cells += ["@st.stage\ndef learn(n: int):\n    return Model(n)\n"]
    cells += ["@st.stage\ndef check(learn):\n    return learn.n if type(learn) is Model else -1\n"]
    execute(client, "st = tl.Experiment('st', parameters={'n': [4, 5]})")
    run_it = "st.run(nodes='localhost 2', progress=False).results()['result'].sort().to_list()"
    for again in range(2):
        for cell in cells:
            execute(client, cell.replace("learn.n if", f"{again} + learn.n if"))
        assert execute(client, run_it)[-1]["data"]["text/plain"] == ("[5, 6]" if again else "[4, 5]")
    # Ctrl-C in a cell that blocks: running tasks finish, then the cell ends; the next one runs the rest.
    go = workbench.folder / "go"
    command = f"echo {{n}} >>$TRUTH; while ! test -e {go}; do sleep 0.02; done"
    execute(client, f"ex = tl.Experiment('slow', command={command!r}, parameters={{'n': [1, 2]}})")
    asked = client.execute("ex.run(nodes='localhost 1')", stop_on_error=False)
    until(lambda: workbench.lines() == ["1"])
    manager.interrupt_kernel()
    until(lambda: workbench.events("drained", "slow"))
    go.touch()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    counted = "tl.Lab('lab')['slow'].counts['pending'], ex.run(nodes='localhost 1').counts['done']"
    assert execute(client, counted)[-1]["data"]["text/plain"] == "(1, 2)"
