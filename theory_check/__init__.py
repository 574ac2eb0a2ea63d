"""Theory validation for bilevel RLHF.

The public names are ``problems``, ``models``, ``solvers``, ``ExactOracle``, ``run``, ``advise``,
``check_advice``, ``check_hypergradient``, ``analysis``, ``verify``, ``compare``, ``load``,
``load_table`` and ``Catalogue``; they are imported on first use, so that reading results does not load
the numerical rooms.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory_check import analysis, models, problems, solvers
    from theory_check.advice.advisor import advise
    from theory_check.advice.check import check_advice
    from theory_check.catalogue import Catalogue
    from theory_check.oracles.exact import ExactOracle
    from theory_check.oracles.gradient_check import check_hypergradient
    from theory_check.recording.run import run
    from theory_check.runs.load import load
    from theory_check.runs.tables import load_table
    from theory_check.studies.comparison import compare
    from theory_check.studies.verification import verify

    __version__: str

__all__ = [
    "Catalogue",
    "ExactOracle",
    "advise",
    "analysis",
    "check_advice",
    "check_hypergradient",
    "compare",
    "load",
    "load_table",
    "models",
    "problems",
    "run",
    "solvers",
    "verify",
]

_OBJECTS = {
    "Catalogue": "theory_check.catalogue",
    "ExactOracle": "theory_check.oracles.exact",
    "advise": "theory_check.advice.advisor",
    "check_advice": "theory_check.advice.check",
    "check_hypergradient": "theory_check.oracles.gradient_check",
    "compare": "theory_check.studies.comparison",
    "load": "theory_check.runs.load",
    "load_table": "theory_check.runs.tables",
    "run": "theory_check.recording.run",
    "verify": "theory_check.studies.verification",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("theory-check")
    if name in _OBJECTS:
        return getattr(importlib.import_module(_OBJECTS[name]), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
