"""What exists: problems, classes, solvers, claims, experiments and the rest, from a list of folders.

A root is a folder of rooms. The package is one; a study is another, with any of ``problems/ models/
solvers/ measurements/ claims/ experiments/ figures/``; what another distribution offers under the entry
point group ``theory_check.components`` is a third kind. A component is found by being there.
"""

from theory_check.catalogue.catalogue import Catalogue, FailedImport, installed
from theory_check.catalogue.kinds import KINDS
from theory_check.catalogue.roots import (
    IMPORTED,
    MARK,
    PACKAGE,
    STUDY,
    TEMPLATE,
    Root,
    home,
    refuse_twins,
    study_of,
    write_study,
)

__all__ = [
    "IMPORTED",
    "KINDS",
    "MARK",
    "PACKAGE",
    "STUDY",
    "TEMPLATE",
    "Catalogue",
    "FailedImport",
    "Root",
    "home",
    "installed",
    "refuse_twins",
    "study_of",
    "write_study",
]
