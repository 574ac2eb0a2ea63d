"""The tree of what can be written behind some prompts, token by token: states, and what leads where.

A state is a prompt and a prefix, an action the next token. Prefixes of one length are one layer, those of
one prompt beside each other and in the order of their tokens. Behind an end token nothing is written: one
state of each layer from the second on stands for all texts that are over, and has the end token as its
only action.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    is_integer,
    magnitude,
    require_positive_integer,
    shortened,
)
from theory_check.models.base import Prefixes
from theory_check.problems.dynamics import SparseDynamics, keeps_sparse
from theory_check.problems.layers import slices_of

LARGEST_TREE = 2**19
"""Pairs of a prefix and a next token beyond which a tree is refused: an evaluation takes seconds."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class TokenTree:
    """See the module.

    Attributes
    ----------
    prompts
        Number of prompts C.
    vocabulary
        Number of tokens V.
    length
        Tokens of a sequence at most, H.
    end
        The token behind which nothing is written; None where every sequence has H tokens.

    Raises
    ------
    InvalidArgumentError
        For other than positive integers, a vocabulary of one token, an end token that is none of it, or
        a tree of more than ``LARGEST_TREE`` pairs.
    """

    prompts: int
    vocabulary: int
    length: int
    end: int | None = None

    def __post_init__(self) -> None:
        """Refuse trees of no texts and of too many."""
        for argument in ("prompts", "vocabulary", "length"):
            require_positive_integer(argument, getattr(self, argument))
        if self.vocabulary < 2:
            raise InvalidArgumentError(
                "vocabulary", self.vocabulary, "pass at least 2 tokens: one leaves no choice"
            )
        if self.end is not None and not (is_integer(self.end) and 0 <= self.end < self.vocabulary):
            raise InvalidArgumentError(
                "end",
                shortened(self.end),
                f"pass the number of a token, 0 to {self.vocabulary - 1}, or None for no end token",
            )
        pairs, width = 0, self.prompts
        for step in range(self.length):
            pairs += width * self.vocabulary
            if pairs > LARGEST_TREE:
                largest = "prompts" if self.prompts > self.vocabulary else "vocabulary"
                argument = "length" if step else largest
                raise InvalidArgumentError(
                    argument,
                    f"{getattr(self, argument)}, with which {self.prompts} prompts and {self.vocabulary} "
                    f"tokens have at least {magnitude(pairs)} pairs of prefix and token",
                    f"pass a smaller length, vocabulary or number of prompts: at most {LARGEST_TREE}",
                )
            width *= self.branches

    @property
    def branches(self) -> int:
        """Tokens behind which writing goes on."""
        return self.vocabulary - (self.end is not None)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Number of states of every layer."""
        over = self.end is not None
        return tuple(
            self.prompts * self.branches**step + (over and step > 0) for step in range(self.length)
        )

    @property
    def states(self) -> int:
        """Number of states S."""
        return sum(self.layers)

    @cached_property
    def prefixes(self) -> Prefixes:
        """What is written in every state."""
        prompts = np.full(self.states, -1)
        tokens = np.full((self.states, self.length - 1), -1)
        for step, own in enumerate(slices_of(self.layers)):
            number = self.prompts * self.branches**step
            here = slice(own.start, own.start + number)
            order = np.arange(number)
            for position in range(step - 1, -1, -1):
                order, branch = np.divmod(order, self.branches)
                tokens[here, position] = self._going_on[branch]
            prompts[here] = order
        return Prefixes(
            prompts=torch.from_numpy(prompts),
            tokens=torch.from_numpy(tokens),
            vocabulary=self.vocabulary,
            length=self.length,
            end=self.end,
        )

    @cached_property
    def written(self) -> Bool[Tensor, " s"]:
        """Which states are prefixes: all but those of texts that are over."""
        return self.prefixes.prompts >= 0

    @cached_property
    def step(self) -> Int[Tensor, " s"]:
        """Length of every prefix, and the step of a text that is over."""
        return torch.repeat_interleave(torch.arange(self.length), torch.tensor(self.layers))

    @cached_property
    def successors(self) -> Int[Tensor, "s a"]:
        """The state behind every state and token; of the last layer the state itself."""
        found = torch.arange(self.states)[:, None].repeat(1, self.vocabulary)
        bounds = slices_of(self.layers)
        for own, after in pairwise(bounds):
            number = self.prompts * self.branches ** int(self.step[own.start])
            children = torch.arange(number * self.branches).reshape(number, self.branches)
            found[own, :] = after.stop - 1  # the text that is over, where there is an end token
            going_on = torch.from_numpy(self._going_on)
            found[own.start : own.start + number, going_on] = after.start + children
        return found

    @cached_property
    def finishing(self) -> Bool[Tensor, "s a"]:
        """Which tokens are the last ones of a sequence: the end token, and those at the last position."""
        last = (self.step == self.length - 1)[:, None].repeat(1, self.vocabulary)
        if self.end is not None:
            last[:, self.end] = True
        return last & self.written[:, None]

    @cached_property
    def mask(self) -> Bool[Tensor, "s a"] | None:
        """Which tokens may follow; None where all may."""
        if self.end is None:
            return None
        mask = self.written[:, None].repeat(1, self.vocabulary)
        mask[:, self.end] = True
        return mask

    @property
    def kernel(self) -> Float[Tensor, "s a s"] | SparseDynamics:
        """The dynamics: sparse where states are many."""
        pairs = self.states * self.vocabulary
        places = (np.arange(pairs), self.successors.flatten().numpy())
        matrix = sparse.csr_array((np.ones(pairs), places), shape=(pairs, self.states))
        if keeps_sparse(self.states, self.vocabulary, pairs):
            return SparseDynamics.of(matrix, self.vocabulary)
        return torch.from_numpy(matrix.toarray()).reshape(self.states, self.vocabulary, self.states)

    @cached_property
    def symbols(self) -> Int[Tensor, "s symbol"]:
        """A prompt and the tokens behind it, as symbols: tokens, then prompts, then nothing.

        Shape (S, 1 + length - 1); :meth:`latest` has them in the order of a context.
        """
        nothing = self.vocabulary + self.prompts
        prompts = torch.where(self.written, self.prefixes.prompts + self.vocabulary, nothing)
        tokens = torch.where(self.prefixes.tokens >= 0, self.prefixes.tokens, nothing)
        return torch.cat([prompts[:, None], tokens], dim=1)

    def latest(self, back: int) -> Int[Tensor, " s"]:
        """Return the symbol ``back`` places before the next token: 1 is the last one that is written."""
        place = self.step + 1 - back
        found = self.symbols.gather(1, place.clamp_min(0)[:, None])[:, 0]
        nothing = self.vocabulary + self.prompts
        return torch.where((place >= 0) & self.written, found, nothing)

    @cached_property
    def token_names(self) -> tuple[str, ...]:
        """What texts call tokens: letters where these are enough, and the end token ``<end>``."""
        few = self.vocabulary <= len(LETTERS)
        names = [LETTERS[token] if few else f"t{token}" for token in range(self.vocabulary)]
        if self.end is not None:
            names[self.end] = "<end>"
        return tuple(names)

    @property
    def state_names(self) -> tuple[str, ...]:
        """A prompt and what is written behind it, as in ``2: a b``."""
        names = []
        rows = zip(
            self.prefixes.prompts.tolist(), self.prefixes.tokens.tolist(), self.step, strict=True
        )
        for prompt, tokens, step in rows:
            words = [self.token_names[token] for token in tokens if token >= 0]
            over = f"over before token {int(step) + 1}"
            names.append(over if prompt < 0 else " ".join([f"{prompt}:", *words]))
        return tuple(names)

    def observations(self) -> Float[Tensor, "s observation"]:
        """Return indicators of the prompt, of the last two tokens, of the position, and of being over."""
        prompt = self.prefixes.prompts
        columns = [_indicators(prompt, self.prompts)]
        for back in (1, 2):
            columns.append(_indicators(self.latest(back), self.vocabulary))
        columns.append(_indicators(torch.where(self.written, self.step, -1), self.length))
        if self.end is not None:
            columns.append((~self.written)[:, None].to(torch.float64))
        return torch.cat(columns, dim=1)

    def along(self, table: Float[Tensor, "s a *rest"]) -> Float[Tensor, "s a *rest"]:
        """Return sums of a table along the path to every prefix and its next token, both included."""
        found = table.clone()
        before = torch.zeros_like(table[:, 0])
        for own in slices_of(self.layers):
            found[own] += before[own, None]
            if own.stop < self.states:
                going_on = torch.from_numpy(self._going_on)
                written = self.written[own].nonzero()[:, 0] + own.start
                rows = self.successors[written][:, going_on]
                before[rows] = found[written][:, going_on]
        return found

    @property
    def _going_on(self) -> NDArray[np.int64]:
        tokens = np.arange(self.vocabulary)
        return tokens if self.end is None else np.delete(tokens, self.end)


def _indicators(values: Int[Tensor, " s"], number: int) -> Float[Tensor, "s number"]:
    """Return rows with a 1 at the place of each value; of 0 where it is no place."""
    return (values[:, None] == torch.arange(number)).to(torch.float64)
