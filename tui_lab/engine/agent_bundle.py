"""The agent as one source: its package, folded into a text that any Python from 3.6 on can run without a file."""

from __future__ import annotations

import io
import tokenize
from functools import cache
from importlib import resources
from typing import Final

PACKAGE: Final = "tui_lab.engine.agent"

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
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "relay")
"""


@cache
def bundle() -> bytes:
    """What to send to a node: a program that is called with a spool and a mode, `relay` or `files`."""
    packages = ["tui_lab", "tui_lab.engine", PACKAGE]
    sources = dict.fromkeys(packages[:2], "")
    for file in sorted(resources.files(PACKAGE).iterdir(), key=lambda file: file.name):
        name = file.name.removesuffix(".py")
        if name != file.name:
            module = PACKAGE if name == "__init__" else f"{PACKAGE}.{name}"
            sources[module] = bare(file.read_text("utf-8"))
    return f"{_HEAD}PACKAGES = {packages!r}\nSOURCES = {sources!r}\n{_TAIL}".encode()


def bare(source: str) -> str:
    """A module without comments and docstrings, each line where it was."""
    lines = source.splitlines(keepends=True)
    at_start = True  # of a statement
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
        elif token.type == tokenize.STRING and at_start and token.string.startswith('"""'):
            (first, column), (last, _) = token.start, token.end
            lines[first - 1] = lines[first - 1][:column] + '""' + lines[last - 1][token.end[1] :]
            lines[first:last] = ["\n"] * (last - first)
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            at_start = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    return "".join(lines)
