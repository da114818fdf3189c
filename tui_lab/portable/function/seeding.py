"""Seeds random numbers: of Python, NumPy and torch, as soon as they are imported."""

import importlib.util
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARIES = ("random", "numpy", "torch")


def seed_all(seed: int) -> None:
    """Seed all of them. A library that is not imported yet is seeded when it is: none is imported for it."""
    _on_import.seed = seed
    for name in LIBRARIES:
        if name in sys.modules:
            seed_library(name, seed)
    prepare()


def prepare() -> None:
    """Do what is the same for each seed."""
    if _on_import not in sys.meta_path:
        sys.meta_path.insert(0, _on_import)


def seed_library(name: str, seed: int) -> None:
    """Seed a library that is imported."""
    module = sys.modules[name]  # type: Any
    if name == "numpy":
        module.random.seed(seed % 2**32)
    elif name == "random":
        module.seed(seed)
    elif hasattr(module, "manual_seed"):
        module.manual_seed(seed)


class _OnImport:
    """Seeds a library at the end of its import."""

    def __init__(self) -> None:
        self.seed = None  # type: int | None
        self.finds = False  # it is asked again by itself

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Return where a library is found, with a loader that seeds it."""
        seed = self.seed
        if name not in LIBRARIES or seed is None or self.finds:
            return None
        self.finds = True
        try:
            spec = importlib.util.find_spec(name)  # type: Any
        finally:
            self.finds = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            load = spec.loader.exec_module

            def exec_module(module: "Any") -> None:
                load(module)
                seed_library(name, seed)

            spec.loader.exec_module = exec_module
        return spec


_on_import = _OnImport()
