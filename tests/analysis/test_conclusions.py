"""Sentences across claims, from planted tables whose numbers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from theory_check.analysis.conclusions import all_conclusions
from theory_check.analysis.verdict import Verdict, judge
from theory_check.claims import all_claims, get_claim


def complexity_table(schedule: str, constant: float, exponent: float) -> pd.DataFrame:
    """``samples = constant * accuracy**-exponent`` without noise on two problems."""
    accuracy = np.geomspace(1e-1, 1e-3, 6)
    samples = constant * accuracy**-exponent
    return pd.DataFrame(
        [
            {
                "problem": problem,
                "seed": seed,
                "schedule": schedule,
                "samples": number,
                "samples_per_log": number,
                "ergodic_stationarity": reached,
                "status": "ok",
            }
            for problem in ("one", "two")
            for seed in range(8)
            for number, reached in zip(samples, accuracy, strict=True)
        ]
    )


def smoothness_table(exponent: float) -> pd.DataFrame:
    """Lipschitz constants ``sigma**-exponent``."""
    return pd.DataFrame(
        [
            {"problem": "one", "seed": seed, "sigma": sigma, "lipschitz_constant": sigma**-exponent}
            for seed in range(8)
            for sigma in np.geomspace(1e-3, 1e-1, 9)
        ]
    )


def composed(name: str, tables: dict[str, pd.DataFrame]) -> list[str]:
    conclusion = all_conclusions()[name]
    verdicts: dict[str, Verdict] = {
        claim: judge(get_claim(claim), tables[claim]) for claim in conclusion.claims
    }
    return conclusion.compose(verdicts, tables)


def test_every_conclusion_reads_known_claims() -> None:
    assert {"coupling-saving", "loose-term"} <= set(all_conclusions())
    for conclusion in all_conclusions().values():
        assert set(conclusion.claims) <= set(all_claims())


def test_saving_is_that_of_the_planted_curves() -> None:
    # 4 a^-3 over 2 a^-2 at a = 1e-3 is 2000, and there is no noise.
    tables = {
        "total-2": complexity_table("total-2", 2.0, 2.0),
        "total-3": complexity_table("total-3", 4.0, 3.0),
    }
    sentences = composed("coupling-saving", tables)
    assert len(sentences) == 2
    assert sentences[0].startswith("one: at ‖∇Phi‖² = 0.001")
    assert "needs 2000 [2000, 2000] times fewer" in sentences[0]


def test_loose_term_follows_the_smoothness() -> None:
    # 4 a^-3.5 over 4 a^-3 at a = 1e-3 is 10^1.5 = 31.6.
    tables = {
        "total-7/2": complexity_table("total-7/2", 4.0, 3.5),
        "total-3": complexity_table("total-3", 4.0, 3.0),
    }
    (uniform,) = composed("loose-term", tables | {"penalty-smoothness": smoothness_table(0.0)})
    assert "is loose by its optimisation term" in uniform
    assert "31.6 [31.6, 31.6] on one (at 0.001)" in uniform
    (growing,) = composed("loose-term", tables | {"penalty-smoothness": smoothness_table(1.0)})
    assert "is not decided: penalty-smoothness is violated" in growing
