"""The marks by which parts of the tests are chosen: `make smoke`, `make faults`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.workbench import REPOSITORY
from tui_lab.engine.transports import TRANSPORTS


def marked(mark: str) -> Iterator[ast.expr]:
    """The decorators of test functions that give them a mark."""
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).partition("(")[0] == f"pytest.mark.{mark}":
                        yield decorator


def test_each_transport_has_a_smoke_run() -> None:
    calls = [decorator for decorator in marked("smoke") if isinstance(decorator, ast.Call)]
    assert {ast.literal_eval(call.args[0]) for call in calls} == set(TRANSPORTS)


def test_there_are_thirty_fault_scenarios() -> None:
    assert len(list(marked("fault"))) >= 30
