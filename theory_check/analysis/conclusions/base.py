"""What a conclusion is: a sentence with its numbers, composed from verdicts and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from theory_check.analysis.verdict import Verdict


@dataclass(frozen=True)
class Conclusion:
    """A statement across several claims, for the report.

    Attributes
    ----------
    id
        Name in the report.
    claims
        Ids of the claims whose verdicts it reads; the tables are those of their experiments.
    compose
        Of verdicts and tables, both by claim id: one sentence per entry, each with its number.
    """

    id: str
    claims: tuple[str, ...]
    compose: Callable[[Mapping[str, Verdict], Mapping[str, pd.DataFrame]], list[str]]
