"""Draw the figures of ``paper_figures/`` from verdicts and tables that are there already."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from theory_check.claims import get_claim
from theory_check.errors import InvalidArgumentError, StoreError
from theory_check.runs.locations import figure_scripts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from theory_check.analysis.verdict import Verdict

DOTS_PER_INCH = 200
"""Resolution of the PNG files."""


@dataclass(frozen=True)
class FigureScript:
    """A script of ``paper_figures/``.

    Such a script defines ``CLAIMS``, a tuple of claim ids, optionally ``EXPERIMENTS``, a tuple
    of experiments whose tables it needs besides those of its claims, and
    ``draw(verdicts, tables)``, which returns a matplotlib figure. Verdicts are by claim id,
    tables by name of the experiment.
    """

    name: str
    module: ModuleType

    @property
    def claims(self) -> tuple[str, ...]:
        """Ids of the claims whose verdicts are shown."""
        return tuple(getattr(self.module, "CLAIMS", ()))

    @property
    def experiments(self) -> tuple[str, ...]:
        """Names of the experiments whose tables are shown."""
        of_claims = (get_claim(claim).experiment for claim in self.claims)
        return tuple(dict.fromkeys((*of_claims, *getattr(self.module, "EXPERIMENTS", ()))))

    def save(
        self,
        verdicts: Mapping[str, Verdict],
        tables: Mapping[str, pd.DataFrame],
        directory: Path,
    ) -> list[Path]:
        """Draw the figure into ``directory``, as PDF and PNG, and return the files.

        Raises
        ------
        StoreError
            When a file cannot be written.
        """
        return save_figure(self.module.draw(verdicts, tables), self.name, directory)


def save_figure(figure: Figure, name: str, directory: Path) -> list[Path]:
    """Write a figure into ``directory``, as PDF and PNG, close it and return the files.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    from matplotlib import pyplot

    files = [directory / f"{name}.{suffix}" for suffix in ("pdf", "png")]
    for file in files:
        # Without a creation date the PDF of equal results is equal.
        metadata = {"CreationDate": None} if file.suffix == ".pdf" else {}
        try:
            figure.savefig(file, dpi=DOTS_PER_INCH, bbox_inches="tight", metadata=metadata)
        except OSError as error:
            raise StoreError(
                f"cannot write {file} ({error.strerror}); pass another folder with --output"
            ) from error
    pyplot.close(figure)
    return files


def load_scripts() -> Sequence[FigureScript]:
    """Import every script of ``paper_figures/``.

    Raises
    ------
    InvalidArgumentError
        When a script has no ``draw`` function.
    """
    import matplotlib

    matplotlib.use("Agg")  # files only, so that no display is needed
    return [
        FigureScript(path.stem, load_drawing(path, "draw(verdicts, tables)"))
        for path in figure_scripts()
    ]


def load_drawing(path: Path, signature: str) -> ModuleType:
    """Import a script and return it.

    Parameters
    ----------
    path
        The script.
    signature
        Of the function ``draw`` that it has to define.

    Raises
    ------
    InvalidArgumentError
        When it defines none.
    """
    specification = importlib.util.spec_from_file_location(f"paper_figures.{path.stem}", path)
    if specification is None or specification.loader is None:
        raise InvalidArgumentError(str(path), "a file that cannot be imported", "use *.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not callable(getattr(module, "draw", None)):
        raise InvalidArgumentError(str(path), "no function draw", f"define {signature} -> Figure")
    return module
