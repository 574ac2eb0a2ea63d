"""What a claim is: a statement, where it comes from, and how a table of results can refute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from theory_check.claims.rates import Rate
from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    shortened,
)
from theory_check.provenance import Provenance

Kind = Literal["identity", "proved inequality", "measured", "open"]

KIND_MEANING: Mapping[Kind, str] = {
    "proved inequality": "a theorem bounds it: only a defect or a failed assumption can refute it",
    "measured": "nobody proved it: the data decide",
    "open": "assumed by its source: the verdict is a finding, whichever it is, and fails nothing",
    "identity": "follows from an identity on these problems: a test of the program, no finding",
}

CONTROLS = ("violated", "faster")
"""What a negative control is expected to be."""


@dataclass(frozen=True)
class Claim:
    """A statement of the theory, and the experiment that could refute it.

    Attributes
    ----------
    id
        Name used on the command line and in ``docs/theory.md`` section 5.
    statement
        One sentence, in the symbols of ``docs/theory.md``.
    source
        Paper and theorem, or section of ``docs/theory.md``.
    provenance
        ``"V"``, ``"S"``, ``"D"`` or ``"R"``; see :data:`theory_check.provenance.PROVENANCE_MEANING`.
    kind
        What a verdict on it is worth; see :data:`KIND_MEANING`. A negative control, whose statement
        is false, has the kind of the claim that it guards.
    otherwise
        One sentence: could it have come out otherwise, and how.
    assumptions
        What the statement rests on, one phrase each.
    experiment
        Stem of the file in ``experiments/`` whose table is the evidence.
    rates
        The dependences that are judged; the claim's status is the worst of theirs.
    audits
        Ids of the audits it rests on (``claims/audits.py``): where one is not met, the rates are not
        judged.
    expected
        ``"holds"`` for a statement that should survive; ``"violated"`` for a negative control,
        which fails ``verify`` unless it is caught; ``"faster"`` for a bound planted too high, which
        has to be found loose everywhere; ``"open"`` for a statement that its source
        assumes, or proves from such an assumption: its verdict is a finding, whichever it is, and
        fails nothing. These, and no others, are of kind ``"open"``.
    identity_rates
        Names of the rates that are identities within a claim of another kind.

    Raises
    ------
    InvalidArgumentError
        For an unknown kind, one at odds with ``expected``, an empty ``otherwise``, or identity rates
        that the claim has not.
    """

    id: str
    statement: str
    source: str
    provenance: Provenance
    kind: Kind
    otherwise: str
    assumptions: tuple[str, ...]
    experiment: str
    rates: tuple[Rate, ...]
    expected: Literal["holds", "violated", "faster", "open"] = "holds"
    audits: tuple[str, ...] = ()
    identity_rates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that contradicts the rest."""
        require_choice("kind", self.kind, KIND_MEANING)
        if (self.kind == "open") != (self.expected == "open"):
            raise InvalidArgumentError(
                "kind",
                shortened(self.kind),
                f"with expected={self.expected!r}; set both open, or none",
            )
        if not self.otherwise.strip():
            raise InvalidArgumentError(
                "otherwise", "nothing", "say whether, and how, it could have come out otherwise"
            )
        for name in self.identity_rates:
            require_choice("identity_rates", name, [rate.name for rate in self.rates])
            if self.kind == "identity":
                raise InvalidArgumentError(
                    "identity_rates",
                    shortened(name),
                    "leave it out: the whole claim is an identity",
                )

    @property
    def finding(self) -> bool:
        """Whether a verdict on it says something about the theory, not about the program alone."""
        return self.kind != "identity" and self.expected not in CONTROLS
