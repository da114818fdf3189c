"""The agent as one source: its packages, folded into a text that any Python from 3.6 on can run without a file."""

from __future__ import annotations

import zlib
from functools import cache
from importlib import resources
from typing import Final

PACKAGES: Final = ("tui_lab.portable", "tui_lab.engine.agent")

# Modules are compiled when they are imported, so each process pays for what it uses. Line numbers in tracebacks are
# those of the modules.
_HEAD: Final = """\
import sys
class Bundle:
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return type(sys.__spec__)(name, self, is_package=name in PACKAGES)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__.replace(".", "/") + ".py", "exec"), module.__dict__)
"""
_TAIL: Final = """\
sys.meta_path.insert(0, Bundle())
if __name__ == "__main__":
    from tui_lab.engine.agent.boot import main
    main(*sys.argv[1:])
"""


def bundle() -> str:
    """The agent as a program that is called with a spool and a mode (`tui_lab.engine.agent.boot`)."""
    sources = {"tui_lab": "", "tui_lab.engine": ""}
    for package in PACKAGES:
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
            name = file.name.removesuffix(".py")
            if name != file.name:
                sources[package if name == "__init__" else f"{package}.{name}"] = file.read_text("utf-8")
    packages = ["tui_lab", "tui_lab.engine", *PACKAGES]
    return f"{_HEAD}PACKAGES = {packages!r}\nSOURCES = {sources!r}\n{_TAIL}"


@cache
def packed() -> bytes:
    """The same as it is sent to a node: compressed by zlib, to about a third. A quarter takes three times as long, at
    each start of an engine."""
    return zlib.compress(bundle().encode(), 1)
