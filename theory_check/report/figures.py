"""Draw figures from verdicts and tables that are there already."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from theory_check.catalogue.catalogue import is_shipped, stated_path
from theory_check.errors import InvalidArgumentError, StoreError, TheoryCheckError, require_choice
from theory_check.report.text import stamp as small_version
from theory_check.runs.backends import worker_processes
from theory_check.studies.verification import evidence_for, sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from theory_check.catalogue import Catalogue
    from theory_check.runs.execute import Report, RunOptions
    from theory_check.studies.verification import Judgement, Results

Say = Callable[[str], None]

DOTS_PER_INCH = 200
"""Resolution of the PNG files."""

SIGNATURE = "draw(verdicts, tables)"
"""Of the function that a script defines."""

MARGIN = 0.1
"""White around a figure, in inches."""


@dataclass(frozen=True)
class FigureScript:
    """A script of a figure.

    Such a script defines ``CLAIMS``, a tuple of claim ids, optionally ``EXPERIMENTS``, a tuple
    of experiments whose tables it needs besides those of its claims, and
    ``draw(verdicts, tables)``, which returns a matplotlib figure. Verdicts are by claim id,
    tables by name of the experiment.
    """

    path: Path
    module: ModuleType
    catalogue: Catalogue

    @property
    def name(self) -> str:
        """Name of the figure."""
        return self.path.stem

    @property
    def claims(self) -> tuple[str, ...]:
        """Ids of the claims whose verdicts are shown."""
        return tuple(getattr(self.module, "CLAIMS", ()))

    @property
    def experiments(self) -> tuple[str, ...]:
        """Names of the experiments whose tables are shown."""
        of_claims = (self.catalogue.claim(claim).experiment for claim in self.claims)
        return tuple(dict.fromkeys((*of_claims, *getattr(self.module, "EXPERIMENTS", ()))))


@dataclass(frozen=True)
class Drawing:
    """A script to be drawn.

    Attributes
    ----------
    path
        The script.
    signature
        Of its function ``draw``, for the message where there is none.
    arguments
        What that function is called with.
    stamp
        Written at the foot of the figure.
    """

    path: Path
    signature: str
    arguments: tuple[Any, ...]
    stamp: str = ""


@dataclass(frozen=True)
class Drawn:
    """What became of a drawing.

    Attributes
    ----------
    name
        Of the figure.
    files
        What was written; empty where the script returned ``None``, or failed.
    failure
        The traceback where the script failed, otherwise ``""``.
    """

    name: str
    files: tuple[Path, ...] = ()
    failure: str = ""


def writable_folder(directory: Path, name: str) -> Path:
    """Create a folder for what is drawn and make sure, before any work, that it can be written.

    Raises
    ------
    StoreError
        When it cannot; ``name`` says what would have been written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write {name} to {directory} ({error.strerror}); "
            "pass another folder with --output"
        ) from error
    return directory


def drawable_scripts(
    catalogue: Catalogue, say: Say, names: Sequence[str] = ()
) -> list[FigureScript]:
    """Return the scripts of some names, or all, whose experiments are there; say which are left out.

    Raises
    ------
    InvalidArgumentError
        For a name that no script has, or when a script has no ``draw`` function.
    """
    files, scripts = catalogue.experiments, []
    for script in load_scripts(catalogue, names):
        missing = [name for name in script.experiments if name not in files]
        if missing:
            say(f"figure {script.name} is not drawn, without its experiments: {', '.join(missing)}")
        else:
            scripts.append(script)
    return scripts


def draw_named(
    scripts: Sequence[FigureScript], directory: Path, options: RunOptions, say: Say
) -> tuple[Report, bool]:
    """Run what figures lack, judge their claims and draw them.

    Returns what became of the cells, and whether no script failed.
    """
    catalogue = options.catalogue
    experiments = [name for script in scripts for name in script.experiments]
    names = dict.fromkeys(claim for script in scripts for claim in script.claims)
    claims = [catalogue.claim(name) for name in names]
    done = sweep([*experiments, *evidence_for(claims, catalogue)], options)
    judgements = [done.judge(claim) for claim in claims]
    return done.report, draw_complete(scripts, done, judgements, directory, say)


def draw_complete(
    scripts: Sequence[FigureScript],
    done: Results,
    judgements: Sequence[Judgement],
    directory: Path,
    say: Say,
) -> bool:
    """Draw every figure whose results are complete, name the others, and tell whether none failed."""
    verdicts = {each.claim.id: each.verdict for each in judgements if each.verdict is not None}
    drawings = []
    for script in scripts:
        reasons = [reason for name in script.experiments if (reason := done.failures(name))]
        if reasons:
            say(f"figure {script.name} is not drawn: {reasons[0]}")
            continue
        tables = {name: done.table(name) for name in script.experiments}
        shown = {claim: verdicts[claim] for claim in script.claims}
        files = [done.experiments[name].path for name in script.experiments]
        other = done.other_source(script.experiments)
        text = stamp(script.path, files, small=done.options.quick, other_source=other)
        drawings.append(Drawing(script.path, SIGNATURE, (shown, tables), text))
    return tell(draw_all(drawings, directory, done.options.jobs), say, "it returned no figure")


def stamp(script: Path, experiments: Iterable[Path], *, small: bool, other_source: str = "") -> str:
    """Return what is written at the foot of a figure: small version, files of one's own, other source."""
    folders = dict.fromkeys(path.parent for path in experiments if not is_shipped(path))
    own = ([] if is_shipped(script) else [script]) + list(folders)
    whose = f"Not of theory-check: {', '.join(map(stated_path, own))}." if own else ""
    old = f"With {other_source}." if other_source else ""
    return " ".join(text for text in (small_version(small), whose, old) if text)


def draw_all(drawings: Sequence[Drawing], directory: Path, jobs: int) -> Iterator[Drawn]:
    """Draw figures into ``directory`` in ``jobs`` processes, and yield what became of each, in order.

    A script that fails takes nothing else with it.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    workers = max(1, min(jobs, len(drawings)))
    if workers == 1:
        yield from (_draw_one(each, directory) for each in drawings)
        return
    with worker_processes(workers) as executor:
        yield from executor.map(_draw_one, drawings, [directory] * len(drawings))


def _files_only() -> None:
    """Prepare matplotlib: no display, and nothing of the user's own settings."""
    os.environ["MPLBACKEND"] = "Agg"  # one that is not there would stop the import
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcdefaults()


def _draw_one(drawing: Drawing, directory: Path) -> Drawn:
    _files_only()
    name = drawing.path.stem
    try:
        figure = load_drawing(drawing.path, drawing.signature).draw(*drawing.arguments)
        if figure is None:
            return Drawn(name)
        figure.text(1, 0, drawing.stamp, ha="right", va="top", fontsize=5.5, color="0.4")
        files = tuple(save_figure(figure, name, directory, drawing.stamp))
    except TheoryCheckError:
        raise
    except Exception:
        return Drawn(name, failure=traceback.format_exc())
    return Drawn(name, files)


def tell(drawn: Iterator[Drawn], say: Say, empty: str) -> bool:
    """Say of every figure what became of it, and return whether no script failed.

    ``empty`` is the reason of those that returned no figure.
    """
    complete = True
    for each in drawn:
        for file in each.files:
            say(f"wrote {file}")
        if each.failure:
            complete = False
            say(f"figure {each.name} is not drawn, its script failed:")
            for line in each.failure.splitlines():
                say(f"  {line}")
        elif not each.files:
            say(f"figure {each.name} is not drawn: {empty}")
    return complete


def save_figure(figure: Figure, name: str, directory: Path, stamp: str = "") -> list[Path]:
    """Write a figure into ``directory``, as PDF and PNG, close it and return the files.

    ``stamp`` is kept in their metadata as well.

    Raises
    ------
    StoreError
        When a file cannot be written.
    """
    from matplotlib import pyplot

    # Laid out and measured once, for both files, at the resolution of one of them: each resolution
    # sets all text anew.
    figure.set_dpi(DOTS_PER_INCH)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(MARGIN)
    files = [directory / f"{name}.{suffix}" for suffix in ("pdf", "png")]
    for file in files:
        # Without a creation date the PDF of equal results is equal.
        metadata: dict[str, str | None] = {"CreationDate": None} if file.suffix == ".pdf" else {}
        if stamp:
            metadata["Subject" if file.suffix == ".pdf" else "Comment"] = stamp
        try:
            figure.savefig(file, dpi=DOTS_PER_INCH, bbox_inches=box, metadata=metadata)
        except OSError as error:
            raise StoreError(
                f"cannot write {file} ({error.strerror}); pass another folder with --output"
            ) from error
    pyplot.close(figure)
    return files


def load_scripts(catalogue: Catalogue, names: Sequence[str] = ()) -> Sequence[FigureScript]:
    """Import every figure script of a catalogue, or those of some names alone.

    Raises
    ------
    InvalidArgumentError
        For a name that no script has, or when a script has no ``draw`` function.
    """
    # Claims and experiments are written with hyphens, so their figures are found by these as well.
    wanted = [name if name in catalogue.figures else name.replace("-", "_") for name in names]
    for name in wanted:
        require_choice("figure", name, catalogue.figures)
    _files_only()
    return [
        FigureScript(path, load_drawing(path, SIGNATURE), catalogue)
        for name, path in catalogue.figures.items()
        if not wanted or name in wanted
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
