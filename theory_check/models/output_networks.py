"""Outputs of networks with their Jacobian, and larger networks that compute the same.

What fits outputs, such as :mod:`theory_check.oracles.optima.class_floor`, knows nothing else of a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models.network_policy import output_jacobian, widened
from theory_check.models.read_table import ReadTable
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.models.stacked_transformer import StackedTransformer
from theory_check.models.transformer_growth import deepened, doubled


@runtime_checkable
class OutputNetwork(Protocol):
    """Networks of all replicates by what they put out."""

    def forward(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate row output"]:
        """Return the outputs of every row."""
        ...

    def jacobian(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate row output parameter"]:
        """Return the derivative of every output."""
        ...

    def grown(
        self,
        smaller: Any,
        parameters: Float[Tensor, "replicate smaller"],
        fresh: Float[Tensor, "replicate parameter"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return networks of this size that compute what smaller ones do.

        Parameters
        ----------
        smaller
            The next smaller networks, of the same class.
        parameters
            Theirs.
        fresh
            Random starts of this size, from which what is new is taken.

        Raises
        ------
        InvalidArgumentError
            Where the class does not contain the smaller one in a way that is known.
        """
        ...


@dataclass(frozen=True, eq=False)
class MLPOutputs:
    """Multilayer perceptrons of a hidden layer that grows.

    Parameters
    ----------
    network
        The networks.
    """

    network: StackedMLP

    def forward(self, parameters: Tensor) -> Tensor:
        """Return the outputs of every row."""
        return self.network.forward(parameters)

    def jacobian(self, parameters: Tensor) -> Tensor:
        """Return the derivative of every output."""
        return output_jacobian(self.network, parameters)

    def grown(self, smaller: Any, parameters: Tensor, fresh: Tensor) -> Tensor:
        """Return wider networks that compute the same, by idle units."""
        return widened(smaller.network, self.network, parameters, fresh)


@dataclass(frozen=True, eq=False)
class TransformerOutputs:
    """Transformers that read a table, and grow in layers or to twice the width.

    Parameters
    ----------
    network
        The networks.
    read
        What they read, and where the rows of the table stand.
    """

    network: StackedTransformer
    read: ReadTable

    def forward(self, parameters: Tensor) -> Tensor:
        """Return the outputs of every row of the table."""
        return self.read.outputs(self.network, parameters)

    def jacobian(self, parameters: Tensor) -> Tensor:
        """Return the derivative of every output: a pullback for each that is read."""
        outputs, units = self.network.outputs, self._units
        rows = len(self.read.nodes)
        found = parameters.new_zeros(len(parameters), rows * outputs, parameters.shape[1])
        for replicate, own in enumerate(parameters):
            copies = own.repeat(len(units), 1)
            found[replicate, self._named] = self.read.pullback(
                self.network, copies, units.view(len(units), -1, outputs)
            )
        return found.view(len(parameters), rows, outputs, parameters.shape[1])

    def grown(self, smaller: Any, parameters: Tensor, fresh: Tensor) -> Tensor:
        """Return deeper networks, or ones of twice the width, that compute the same."""
        if smaller.network.width == self.network.width:
            return deepened(smaller.network, self.network, parameters, fresh)
        return doubled(smaller.network, self.network, parameters, fresh)

    @cached_property
    def _named(self) -> Tensor:
        """Numbers of the outputs that are read, those of other rows being 0."""
        rows = (self.read.nodes >= 0).repeat_interleave(self.network.outputs)
        return rows.nonzero()[:, 0]

    @cached_property
    def _units(self) -> Float[Tensor, "named entry"]:
        """A cotangent for each of them."""
        entries = len(self.read.nodes) * self.network.outputs
        units = torch.zeros(len(self._named), entries, dtype=self.read.dtype)
        units[torch.arange(len(units)), self._named] = 1.0
        return units


def outputs_of(model: Any) -> MLPOutputs | TransformerOutputs:
    """Return the networks of a bound model of rewards or policies.

    Raises
    ------
    InvalidArgumentError
        If the model is none of networks.
    """
    network = getattr(model, "network", None)
    if isinstance(network, StackedMLP):
        return MLPOutputs(network)
    if isinstance(network, StackedTransformer):
        return TransformerOutputs(network, model.read)
    raise InvalidArgumentError(
        "model",
        type(model).__name__,
        "pass a model of networks, of the class 'mlp' or 'transformer'",
    )
