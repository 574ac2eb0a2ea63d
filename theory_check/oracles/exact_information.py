"""The bilevel interface with exact expectations in place of samples."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.bilevel import RLHFOracle
from theory_check.oracles.pairs import PairLoss


class ExactInformation(RLHFOracle):
    """What the sampled oracle estimates, without the sampling.

    The recorder uses it to split a solver's error; experiments about exact gradients run on it.
    Sample numbers are ignored, and nothing is counted.
    """

    def _trajectory_weights(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate trajectory"]:
        return self.space.probabilities(log_policy)

    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        law = self.space.probabilities(log_policy)
        true_returns = self.true_returns.new_zeros(self.space.classes.shape[0])
        true_returns[self.space.class_of] = self.true_returns
        loss = PairLoss(true_returns=true_returns, excess=self.excess)
        moments = loss.moments(self.space.class_returns(reward), self.space.sum_by_class(law))
        return (
            2 * law * moments.mean_loss[:, self.space.class_of],
            2 * law * moments.mean_residual[:, self.space.class_of],
        )
