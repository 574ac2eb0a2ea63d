"""What stopping the inner loops early does to the hypergradient, with exact gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    CertificationError,
)
from theory_check.measurements.base import Measurement, Need, StepSizes
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.starts import initial_policy, initial_reward
from theory_check.problems import Problem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

STARTS = ("common", "separate")


@dataclass(frozen=True)
class InnerError(Measurement):
    """``‖E[g_hat | inner iterates] - ∇Phi_sigma‖²`` after K exact inner steps at a fixed ``phi``.

    ``docs/theory.md`` section 3.4. The inner loops are those of the reference solver (section 4.1)
    with expectations in place of samples, so nothing but the stopping is seen. Two starts:

    * ``"common"``: both loops start at the reference policy, as in the solver. Their errors then
      differ by O(sigma), and cancel in the penalty difference to that order.
    * ``"separate"``: the penalised loop starts at the reference policy with standard normal numbers
      added to its logits, so that the two errors have nothing to do with each other.

    Rows have columns ``seed, start, sweep`` (``"steps"`` or ``"sigma"``), ``sigma,
    inner_iteration, inner_error`` (squared norm).

    Parameters
    ----------
    inner_steps
        Largest K of the first sweep, at ``fixed_sigma``.
    sigmas
        Penalty parameters of the second sweep, at ``fixed_steps`` steps.
    fixed_sigma, fixed_steps
        Where the other sweep stands still.
    inner_step_size
        ``alpha`` > 0.
    points_per_decade
        Density of the log-spaced K.
    point_scale
        Standard deviation of the points ``phi``, one for each seed.
    """

    kind: ClassVar[str] = "inner-error"
    units: ClassVar[Units] = columns(
        text="start sweep", inner="inner_iteration", squared="inner_error"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    inner_steps: PositiveInteger
    sigmas: tuple[Positive, ...]
    fixed_sigma: Positive
    fixed_steps: PositiveInteger
    inner_step_size: Positive
    points_per_decade: PositiveInteger = 30
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, start, sweep and setting."""
        exact = ExactOracle(problem)
        information = ExactInformation(problem, comparisons=exact.comparisons)
        phi = initial_reward(seeds, exact.reward_model, self.point_scale)
        lower = initial_policy(seeds, information.policy_model)
        penalised = {"common": lower, "separate": lower + _displacements(seeds, lower.shape[1])}
        steps = recording_grid(self.inner_steps, self.points_per_decade)
        settings = [("steps", self.fixed_sigma, steps)]
        settings += [("sigma", sigma, frozenset({self.fixed_steps})) for sigma in self.sigmas]
        frames = []
        for done, (sweep, sigma, recorded) in enumerate(settings, start=1):
            target = _penalised_gradient(exact, phi, sigma)
            for start in STARTS:
                errors = self._errors(
                    information, phi, lower, penalised[start], sigma, recorded, target
                )
                frames += [
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "start": start,
                            "sweep": sweep,
                            "sigma": sigma,
                            "inner_iteration": step,
                            "inner_error": values,
                        }
                    )
                    for step, values in errors.items()
                ]
            progress(done, len(settings))
        return pd.concat(frames, ignore_index=True)

    def step_sizes(self) -> StepSizes:
        """Return the inner step: the proposed outer one is not taken."""
        return StepSizes(inner=self.inner_step_size)

    def _errors(
        self,
        information: ExactInformation,
        phi: Float[Tensor, "replicate d"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        sigma: float,
        recorded: frozenset[int],
        target: Float[Tensor, "replicate d"],
    ) -> dict[int, np.ndarray]:
        """Squared error of each seed at every recorded K, in ascending order."""
        solver = PenaltyBilevel(
            sigma=sigma,
            inner_steps=1,
            inner_step_size=self.inner_step_size,
            step_size=1.0,
            trajectories=1,
            pairs=1,
        )
        state = PenaltyState(
            upper=phi, next_upper=phi, lower=lower, lower_penalised=penalised, estimate=phi
        )
        found = {}
        for step in range(1, max(recorded) + 1):
            # One inner step, and the estimate there; the outer step it proposes is not taken.
            state = replace(solver.step(information, state), next_upper=phi)
            if step in recorded:
                found[step] = (state.estimate - target).square().sum(-1).numpy()
        return found


def _penalised_gradient(
    exact: ExactOracle, phi: Float[Tensor, "replicate d"], sigma: float
) -> Float[Tensor, "replicate d"]:
    solution = exact.solve_penalised(exact.reward_model.table(phi), sigma)
    if not bool(solution.certified.all()):
        raise CertificationError(
            f"sigma = {sigma:g}: a penalised lower level could not be certified; "
            "use smaller sigmas or a smaller point_scale"
        )
    return exact.penalty_gradient_at(phi, solution.log_policy, sigma)


def _displacements(seeds: Sequence[int], logits: int) -> Float[Tensor, "replicate lower"]:
    """Draw standard normal changes of the logits, each seed from its own stream."""
    return torch.from_numpy(np.stack(standard_normals("separate inner start", seeds, logits)))
