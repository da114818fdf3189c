"""`tl.Lab`: a folder that holds experiments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_lab.api.errors import naming_arguments
from tui_lab.api.run import Run, answer

if TYPE_CHECKING:
    import polars as pl


class Lab:
    """A lab that exists. `lab["grid"]` is the experiment grid; iteration goes over the names.

    Raises LabError where the folder is no lab.
    """

    def __init__(self, path: str | os.PathLike[str] = "lab") -> None:
        from tui_lab.store.lab import Lab as LabFolder

        with naming_arguments():
            self._lab = LabFolder.open(Path(path))

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return self._lab.path

    @property
    def experiments(self) -> list[str]:
        """The names of the experiments, the one submitted last at the end."""
        return self._lab.experiments()

    def __getitem__(self, name: str) -> Run:
        """Return an experiment. Raises LabError for an unknown name."""
        with naming_arguments():
            return Run(self._lab, self._lab.experiment(name))

    def __contains__(self, name: object) -> bool:
        return name in self.experiments

    def __iter__(self) -> Iterator[str]:
        return iter(self.experiments)

    def __len__(self) -> int:
        return len(self.experiments)

    def __repr__(self) -> str:
        return f"<Lab {self.path}: {', '.join(self.experiments) or 'no experiments'}>"

    def query(self, sql: str, /, **parameters: Any) -> pl.DataFrame:
        """Return the answer to one SELECT in DuckDB's SQL, with a column for each of the query's.

        Tables: `NAME` (the done tasks of an experiment), `NAME_tasks`, `NAME_steps`, `NAME_rows`, `results` (of the
        experiment submitted last), and files of the lab, as in `FROM 'file.csv'`.
        parameters: values for `$NAME` in the query.

        Raises TuiLabError with the place of a mistake.
        """
        return answer(self._lab, sql, parameters)
