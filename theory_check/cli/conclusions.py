"""Statements across claims, from the results of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from theory_check.errors import InvalidArgumentError
from theory_check.verification import Judgement, Sweep


def conclude(done: Sweep, judgements: Sequence[Judgement]) -> list[str]:
    """Return the sentences of every conclusion whose claims are all judged."""
    verdicts = {each.claim.id: each.verdict for each in judgements if each.verdict is not None}
    sentences = []
    for name, conclusion in done.options.catalogue.conclusions.items():
        if not verdicts.keys() >= set(conclusion.claims):
            continue
        tables = {
            claim: done.table(done.options.catalogue.claim(claim).experiment)
            for claim in conclusion.claims
        }
        try:
            sentences += conclusion.compose(verdicts, tables)
        except InvalidArgumentError as refusal:
            sentences.append(f"{name}: nothing concluded, {refusal.argument}: {refusal.received}.")
    return sentences
