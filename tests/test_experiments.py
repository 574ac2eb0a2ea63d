"""Every committed experiment file is valid, in both versions, and every claim has its experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.experiments import FILES, experiment_in

from theory_check.catalogue import Catalogue


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_loads(path: Path) -> None:
    experiment = experiment_in(path)
    assert experiment.description
    full, quick = (experiment.cells(quick=quick) for quick in (False, True))
    assert 0 < len(quick) <= len(full)
    assert len({cell.key for cell in full}) == len(full)


def test_names_are_distinct_and_claims_name_them() -> None:
    stems = [path.stem for path in FILES]
    assert len(set(stems)) == len(stems)
    assert {claim.experiment for claim in Catalogue.shipped().claims.values()} <= set(stems)
