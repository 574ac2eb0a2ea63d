"""Problems of an experiment file: one fixed instance, or random instances of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from theory_check.catalogue import Catalogue
from theory_check.errors import (
    InvalidArgumentError,
    shortened,
)
from theory_check.runs.build import function_parameters, join, located
from theory_check.runs.problem_table import CLASS_KEYS, bound_problem
from theory_check.runs.streams import require_replicates

Bound = tuple[str, Mapping[str, Any], Callable[..., Any]]

INSTANCES, STARTS, SEED = "instances", "starts", "seed"
"""Keys of a problem's table: how many instances, how many starts on each; and what tells them apart."""


@dataclass(frozen=True)
class StatedProblem:
    """A problem of an experiment file.

    Attributes
    ----------
    instances
        Family, parameters and function of every instance; of the only one where it is fixed.
    starts
        Replicates on each random instance; None for a fixed one, which has those of the file.
    sizes
        What the file says of a family, in words; ``""`` for a fixed problem.
    """

    instances: tuple[Bound, ...]
    starts: int | None = None
    sizes: str = ""

    def numbered(self, most: int | None) -> Iterator[tuple[int | None, Bound]]:
        """Yield instances with their numbers, ``most`` of them; None where there is a fixed one."""
        if self.starts is None:
            yield None, self.instances[0]
        else:
            yield from enumerate(self.instances[:most])


def stated_problem(table: Mapping[str, object], where: str, catalogue: Catalogue) -> StatedProblem:
    """Return the problem of a table, every instance of it built once.

    Parameters
    ----------
    table
        As of :func:`theory_check.runs.problem_table.bound_problem`; with ``instances`` and ``starts`` it
        stands for the family with ``seed = 0 .. instances - 1``.
    where
        Dotted key of the table, for errors.
    catalogue
        The families and classes that are known.

    Raises
    ------
    InvalidArgumentError
        For anything that cannot be built; for fewer than two instances, or one of the two keys
        without the other; for a family without a ``seed``, or a table that sets it.
    """
    given = {key: table[key] for key in (INSTANCES, STARTS) if key in table}
    if not given:
        return StatedProblem((bound_problem(table, where, catalogue),))
    rest = {key: value for key, value in table.items() if key not in given}
    with located(where):
        for key in (INSTANCES, STARTS):
            if key not in given:
                raise InvalidArgumentError(
                    key, "nothing", f"set {INSTANCES} and {STARTS}, or neither for a fixed problem"
                )
            # An instance is built when the file is read; its starts have the seeds of a block.
            require_replicates(key, given[key])
        if given[INSTANCES] == 1:
            raise InvalidArgumentError(
                INSTANCES, 1, "pass at least 2, or leave it out for a fixed problem"
            )
        if SEED in rest:
            raise InvalidArgumentError(
                SEED, shortened(rest[SEED]), "leave it out: every instance has a seed of its own"
            )
    family = str(rest.get("family"))
    # An unknown family is refused below, with the nearest name.
    if family in catalogue.families and SEED not in function_parameters(catalogue.families[family]):
        raise InvalidArgumentError(
            join(where, INSTANCES),
            shortened(given[INSTANCES]),
            f"leave it out: family {family!r} draws nothing at random",
        )
    number, starts = (int(str(given[key])) for key in (INSTANCES, STARTS))
    bound = tuple(
        bound_problem({**rest, SEED: instance}, where, catalogue) for instance in range(number)
    )
    sizes = ", ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in rest.items()
        if key not in ("family", *CLASS_KEYS)
    )
    return StatedProblem(bound, starts, f"{family} instances ({sizes})")
