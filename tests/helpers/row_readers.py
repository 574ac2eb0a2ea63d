"""Models that answer for rows: of tables, and others that tell what they were asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from theory_check.models.base import PolicyModel, RewardModel
from theory_check.problems import Problem


@dataclass(frozen=True, eq=False)
class TableReader:
    """The rows of a model that has tables alone."""

    model: RewardModel | PolicyModel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def rows(self, parameters: Tensor, index: Tensor) -> Tensor:
        return self._listed(parameters).gather(1, self._places(parameters, index)).squeeze(-1)

    def rows_pullback(self, parameters: Tensor, index: Tensor, cotangent: Tensor) -> Tensor:
        listed = torch.zeros_like(self._listed(parameters))
        places = self._places(parameters, index)
        listed.scatter_add_(1, places, cotangent.view(places.shape))
        return self.model.pullback(parameters, listed.reshape(self.model.table(parameters).shape))

    def _listed(self, parameters: Tensor) -> Tensor:
        table = self.model.table(parameters)
        return table[:, 0] if table.dim() == 4 else table.flatten(1)[..., None]

    def _places(self, parameters: Tensor, index: Tensor) -> Tensor:
        return index[..., None].expand(-1, -1, self._listed(parameters).shape[2])


@dataclass(frozen=True, eq=False)
class Watched:
    """A model that answers for rows alone, and notes how many were asked for of a replicate."""

    # Any: a reward or a policy that also answers for rows.
    model: Any
    read: list[int] = field(default_factory=list)
    pulled: list[int] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        return int(self.model.parameters)

    def table(self, parameters: Tensor) -> Tensor:
        raise AssertionError("a whole table was asked for")

    def pullback(self, parameters: Tensor, cotangent: Tensor) -> Tensor:
        raise AssertionError("a whole table was pulled back")

    def initial(self, noise: Tensor) -> Tensor:
        return self.model.initial(noise)

    def rows(self, parameters: Tensor, index: Tensor) -> Tensor:
        self.read.append(index.shape[1])
        return self.model.rows(parameters, index)

    def rows_pullback(self, parameters: Tensor, index: Tensor, cotangent: Tensor) -> Tensor:
        self.pulled.append(index.shape[1])
        return self.model.rows_pullback(parameters, index, cotangent)


def watched_models(problem: Problem) -> dict[str, Watched]:
    """Return a problem's models as an oracle takes them, watched."""
    return {
        "reward_model": Watched(problem.reward_model),
        "policy_model": Watched(problem.policy_model),
    }
