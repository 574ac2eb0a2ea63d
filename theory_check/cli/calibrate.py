"""How often verdicts are wrong on the residuals of stored runs: ``python -m theory_check.cli.calibrate``.

Reads what ``make reproduce`` left in the store and runs no experiment: claims whose experiment has no
complete table there are named and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from theory_check.analysis.residual_calibration import RealCurves, real_curves, residual_shares
from theory_check.catalogue import Catalogue, installed
from theory_check.claims.rates import PowerRate
from theory_check.errors import StoreError, visible
from theory_check.runs import load_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the shares of every status for each power rate and planted exponent."""
    parser = argparse.ArgumentParser(prog="python -m theory_check.cli.calibrate")
    parser.add_argument("--store", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true", help="tables of the small experiments")
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rates, missing = stored_rates(options.store, quick=options.quick)
    for reason in missing:
        print(visible(f"left out, {reason}"), file=sys.stderr)
    found = residual_shares(rates, studies=options.studies, seed=options.seed)
    with pd.option_context("display.width", 180, "display.max_columns", 20):
        print(found.round(3).to_string(index=False))
    return 0


def stored_rates(
    store: Path, *, quick: bool = False, catalogue: Catalogue | None = None
) -> tuple[dict[str, tuple[PowerRate, Sequence[RealCurves]]], list[str]]:
    """Return the power rates whose tables are stored, and why others are not among them.

    Negative controls are left out: the exponent that they state is not that of their curves.
    """
    rates: dict[str, tuple[PowerRate, Sequence[RealCurves]]] = {}
    missing: list[str] = []
    catalogue = installed() if catalogue is None else catalogue
    files = catalogue.experiments
    for claim in catalogue.claims.values():
        judged = [rate for rate in claim.rates if isinstance(rate, PowerRate)]
        if claim.expected == "violated" or not judged:
            continue
        if claim.experiment not in files:
            missing.append(f"{claim.id}: there is no experiment {claim.experiment} here")
            continue
        try:
            table = load_table(claim.experiment, store, quick=quick, catalogue=catalogue)
        except StoreError as error:
            missing.append(f"{claim.id}: {error}")
            continue
        for rate in judged:
            rates[f"{claim.id}, {rate.name}"] = (rate, real_curves(rate, table))
    return rates, missing


if __name__ == "__main__":
    sys.exit(main())
