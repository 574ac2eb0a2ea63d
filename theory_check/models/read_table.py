"""Where the rows of a table stand among the outputs of a network that reads prefixes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_table
from theory_check.models.base import ModelInputs, Prefixes
from theory_check.models.prefix_tree import Forest, PrefixTree, prefix_tree
from theory_check.models.stacked_transformer import StackedTransformer


def written_prefixes(kind: str, inputs: ModelInputs) -> Prefixes:
    """Return what is written in every state, for a class of ``kind`` that reads it.

    Raises
    ------
    InvalidArgumentError
        If states are no prefixes, policies have several steps or actions are no tokens.
    """
    prefixes = inputs.prefixes
    steps, _, actions = inputs.log_reference.shape
    if prefixes is None:
        raise InvalidArgumentError(
            kind,
            "a class that reads sequences, for a problem whose states are none",
            "pass a problem of the family 'sequences', or another class, such as 'mlp'",
        )
    if not bool((prefixes.prompts >= 0).any()):
        raise InvalidArgumentError(
            "prefixes", "no state with a prompt", "pass at least one prompt, with number 0"
        )
    if steps != 1 or actions != prefixes.vocabulary:
        raise InvalidArgumentError(
            "log_reference",
            f"{steps} steps and {actions} actions",
            f"pass one step, and the {prefixes.vocabulary} tokens as actions",
        )
    return prefixes


@dataclass(frozen=True)
class _Named:
    """Rows that were asked for last, and what is read for them."""

    index: Tensor
    version: int | None
    forest: Forest | None
    places: Tensor

    def answers(self, index: Tensor) -> bool:
        """Return whether the same rows are asked for, and nobody wrote to them."""
        return self.index is index and self.version is not None and self.version == index._version


@dataclass(eq=False)
class ReadTable:
    """A table with a row of outputs of a network where a node is read, and 0 elsewhere.

    Parameters
    ----------
    tree
        All that is read.
    nodes
        The node of every row, -1 where nothing is read.
    dtype
        Of numbers.
    """

    tree: PrefixTree
    nodes: Int[Tensor, " row"]
    dtype: torch.dtype
    _last: _Named | None = field(default=None, init=False, repr=False)

    @classmethod
    def of_states(cls, prefixes: Prefixes, dtype: torch.dtype) -> ReadTable:
        """Return a row for every state, read behind its last token."""
        writing = prefixes.prompts >= 0
        tree, own = prefix_tree(prefixes.prompts[writing], prefixes.tokens[writing])
        nodes = torch.full_like(prefixes.prompts, -1)
        nodes[writing] = own
        return cls(tree, nodes, dtype)

    @classmethod
    def of_tokens(cls, prefixes: Prefixes, per_token: bool, dtype: torch.dtype) -> ReadTable:
        """Return a row for every state and token, read there where the token completes a sequence.

        ``per_token``: read behind every token.
        """
        states, vocabulary = len(prefixes.prompts), prefixes.vocabulary
        require_table("vocabulary", vocabulary, states * vocabulary * (prefixes.length + 1))
        # A column behind the last token, where the next one is written.
        tokens = torch.nn.functional.pad(prefixes.tokens, (0, 1), value=-1)
        written = (tokens >= 0).sum(1)
        letters = torch.arange(vocabulary, device=tokens.device)
        chosen = (written + 1 == prefixes.length)[:, None] | (letters == _end_of(prefixes))
        if per_token:
            chosen = torch.ones_like(chosen)
        chosen = chosen & (prefixes.prompts >= 0)[:, None]
        state, letter = chosen.nonzero(as_tuple=True)
        longer = tokens[state].scatter(1, written[state][:, None], letter[:, None])
        writing = prefixes.prompts >= 0
        tree, own = prefix_tree(
            torch.cat([prefixes.prompts[writing], prefixes.prompts[state]]),
            torch.cat([tokens[writing], longer]),
        )
        nodes = torch.full_like(prefixes.prompts, -1)[:, None].repeat(1, vocabulary)
        nodes[chosen] = own[-len(state) :] if len(state) else own[:0]
        return cls(tree, nodes.flatten(), dtype)

    @property
    def forest(self) -> Forest:
        """All that is read."""
        return self._whole[0]

    def outputs(
        self, network: StackedTransformer, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate row output"]:
        """Return all rows."""
        forest, places, _ = self._whole
        found = network.forward(parameters, forest).index_select(1, places.clamp_min(0))
        return found if self._silent is None else found.masked_fill(self._silent, 0.0)

    def pullback(
        self,
        network: StackedTransformer,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate row output"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``parameters`` of ``sum(cotangent * outputs(network, parameters))``."""
        forest, places, sources = self._whole
        if sources is not None:
            return network.pullback(parameters, forest, cotangent.index_select(1, sources))
        read = forest.nodes - forest.unread
        pulled = cotangent.new_zeros(cotangent.shape[0], read, cotangent.shape[2])
        named = places >= 0
        pulled.index_add_(1, places[named], cotangent[:, named])
        return network.pullback(parameters, forest, pulled)

    def outputs_of(
        self,
        network: StackedTransformer,
        parameters: Float[Tensor, "replicate parameter"],
        index: Int[Tensor, "replicate row"],
    ) -> Float[Tensor, "replicate row output"]:
        """Return the rows that every replicate names, reading the sequences so far and no others."""
        named = self._named(index)
        forest = self.forest if named.forest is None else named.forest
        return _taken(network.forward(parameters, forest), named.places)

    def rows_pullback(
        self,
        network: StackedTransformer,
        parameters: Float[Tensor, "replicate parameter"],
        index: Int[Tensor, "replicate row"],
        cotangent: Float[Tensor, "replicate row output"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``parameters`` of ``sum(cotangent * outputs_of(...))``."""
        named = self._named(index)
        forest = self.forest if named.forest is None else named.forest
        read = forest.nodes - forest.unread
        pulled = cotangent.new_zeros(cotangent.shape[0], read, cotangent.shape[2])
        silent = (named.places < 0)[..., None]
        into = named.places.clamp_min(0)[..., None].expand(cotangent.shape)
        pulled.scatter_add_(1, into, cotangent.masked_fill(silent, 0.0))
        return network.pullback(parameters, forest, pulled)

    def _named(self, index: Tensor) -> _Named:
        """Return what is read for rows: their sequences, or all where that is less."""
        last = self._last  # read once: another thread may replace it
        if last is not None and last.answers(index):
            return last
        made, places = self.tree.forest_of(self.nodes[index], self.dtype)
        forest: Forest | None = made
        if made.nodes >= self.forest.nodes:
            forest, places = None, self._whole[1][index]
        version = None if index.is_inference() else index._version
        found = _Named(index, version, forest, places)
        self._last = found
        return found

    @cached_property
    def _whole(self) -> tuple[Forest, Tensor, Tensor | None]:
        """All that is read, where rows stand in it, and the row of every node if each has one."""
        forest, places = self.tree.forest(self.nodes, self.dtype)
        named = (places >= 0).nonzero()[:, 0]
        read = forest.nodes - forest.unread
        sources = torch.full((read,), -1, dtype=places.dtype, device=places.device)
        sources[places[named]] = named
        single = len(named) == read and bool((sources >= 0).all())
        return forest, places, sources if single else None

    @cached_property
    def _silent(self) -> Tensor | None:
        """Which rows are 0, shape (row, 1); None if there are none."""
        silent = (self.nodes < 0)[:, None]
        return silent if bool(silent.any()) else None


def _end_of(prefixes: Prefixes) -> int:
    return -1 if prefixes.end is None else prefixes.end


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Return the values at places of each replicate, 0 for place -1."""
    where = places.clamp_min(0)[..., None].expand(-1, -1, values.shape[2])
    return values.gather(1, where).masked_fill((places < 0)[..., None], 0.0)
