"""What is written of sequences as a tree, and its nodes in the order in which a network reads them.

A network that attends to the past gives a prefix the same numbers in every sequence that begins with
it. So each prefix is a node, read once, which attends to the nodes above it. Nodes are read in groups
within which all have equally many children in the next group: what belongs to a node above is then
shared by views, without an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from theory_check.errors import InvalidArgumentError, shortened


@dataclass(frozen=True)
class Group:
    """Nodes ``start`` to ``stop`` of a forest, all behind equally many tokens.

    ``above``: number of the group of their parents, None for roots. Node i of the group is a child of
    node ``i // branches`` of that group.
    """

    start: int
    stop: int
    above: int | None
    branches: int


@dataclass(frozen=True, eq=False)
class Forest:
    """Nodes that a network reads.

    Attributes
    ----------
    groups
        The groups one after the other, parents before their children.
    symbols
        Which prompt or token and which position each node is: 1 in two columns, 0 in the others, shape
        (1, node, symbol) where all replicates read the same, otherwise (replicate, node, symbol).
    unread
        Nodes at the beginning, in groups of their own, whose outputs nobody asks for.
    """

    groups: tuple[Group, ...]
    symbols: Float[Tensor, "lead node symbol"]
    unread: int

    @property
    def nodes(self) -> int:
        """Number of nodes that one replicate reads."""
        return self.symbols.shape[1]

    def of(self, first: int, last: int) -> Forest:
        """Return what the replicates from ``first`` to before ``last`` read."""
        if self.symbols.shape[0] == 1:
            return self
        return Forest(self.groups, self.symbols[first:last], self.unread)


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """Distinct sequences that include their own prefixes, each behind that which it continues.

    Attributes
    ----------
    codes
        Column of the symbol at every position of a sequence, the prompt first and -1 from the first
        position on that is not written, shape (node, position).
    lengths
        Tokens of every sequence, shape (node,).
    parents
        The sequence without its last token, -1 where there is none, shape (node,).
    behind
        The first node behind all that continue a node, shape (node,).
    symbols
        Number of prompts and tokens that occur, and of positions.
    """

    codes: Int[Tensor, "node position"]
    lengths: Int[Tensor, " node"]
    parents: Int[Tensor, " node"]
    behind: Int[Tensor, " node"]
    symbols: int

    def forest(
        self, read: Int[Tensor, " row"], dtype: torch.dtype
    ) -> tuple[Forest, Int[Tensor, " row"]]:
        """Return all nodes as a forest of all replicates, and where the outputs of rows stand in it.

        Parameters
        ----------
        read
            The node of every row; -1 for none, and so is where it stands.
        dtype
            That of the symbols.
        """
        regular = self._regular_groups
        if regular is None:
            leaves = (~self._continued).nonzero()[:, 0]
            deepest = int(self.lengths.max())
            place = self.lengths * len(leaves) + torch.searchsorted(leaves, self._numbers)
            groups, codes = _chains(len(leaves), deepest), self.codes[leaves, : deepest + 1].mT
            forest = self._made(groups, codes.flatten()[None], deepest, dtype)
        else:
            groups, members = regular
            order = torch.cat(members)
            place = torch.empty_like(order)
            place[order] = self._numbers
            own = self.codes.gather(1, self.lengths[:, None])[:, 0]
            forest = self._made(groups, own[order][None], self.lengths[order], dtype)
        stands = torch.where(read < 0, -1, place[read.clamp_min(0)])
        return _without_unread(forest, stands)

    def forest_of(
        self, nodes: Int[Tensor, "replicate row"], dtype: torch.dtype
    ) -> tuple[Forest, Int[Tensor, "replicate row"]]:
        """Return the longest sequences among some, and where the outputs of each stand in them.

        Parameters
        ----------
        nodes
            The node of every row of every replicate; -1 for none, and so is where it stands.
        dtype
            That of the symbols.
        """
        ranks, order = nodes.sort(dim=1)
        later = functional.pad(ranks[:, 1:], (0, 1), value=len(self.lengths))
        longest = (ranks >= 0) & (later >= self.behind[ranks.clamp_min(0)])
        number = longest.cumsum(1) - longest.long()
        count = max(1, int(longest.sum(1).max()))
        leaves = ranks.new_zeros(len(ranks), count + 1)
        leaves.scatter_(1, torch.where(longest, number, count), ranks.clamp_min(0))
        leaves = leaves[:, :count]
        deepest = int(self.lengths[leaves].max())
        codes = self.codes[leaves][..., : deepest + 1].mT.flatten(1)
        forest = self._made(_chains(count, deepest), codes, deepest, dtype)
        place = self.lengths[ranks.clamp_min(0)] * count + number
        place = torch.where(ranks < 0, -1, place)
        return _without_unread(forest, torch.empty_like(place).scatter_(1, order, place))

    def _made(
        self, groups: tuple[Group, ...], codes: Tensor, lengths: Tensor | int, dtype: torch.dtype
    ) -> Forest:
        """Return the forest of nodes by their last symbols; ``lengths`` or the deepest of chains."""
        if isinstance(lengths, int):
            steps = torch.arange(lengths + 1, device=codes.device)
            lengths = steps.repeat_interleave(codes.shape[1] // (lengths + 1))
        symbols = codes.new_zeros(*codes.shape, self.symbols, dtype=dtype)
        symbols.scatter_(2, codes.clamp_min(0)[..., None], 1.0)
        position = self.symbols - self.codes.shape[1] + lengths
        symbols.scatter_(2, position.expand(codes.shape)[..., None], 1.0)
        return Forest(groups, symbols, 0)

    @cached_property
    def _numbers(self) -> Int[Tensor, " node"]:
        return torch.arange(len(self.lengths), device=self.lengths.device)

    @cached_property
    def _continued(self) -> Tensor:
        """Whether a sequence is the beginning of another one."""
        return self.behind > self._numbers + 1

    @cached_property
    def _regular_groups(self) -> tuple[tuple[Group, ...], list[Tensor]] | None:
        """The groups of the tree and their nodes; None where nodes of a group differ in their children.

        Nodes that are continued, by length, and then those that are not.
        """
        groups: list[Group] = []
        members: list[Tensor] = []
        inner: dict[int, int] = {}
        for continued in (True, False):
            for length in range(int(self.lengths.max()) + 1):
                own = ((self.lengths == length) & (self._continued == continued)).nonzero()[:, 0]
                if not len(own):
                    continue
                above = inner[length - 1] if length else None
                branches = 1
                if above is not None:
                    branches, odd = divmod(len(own), len(members[above]))
                    if odd or not torch.equal(
                        self.parents[own], members[above].repeat_interleave(branches)
                    ):
                        return None
                start = groups[-1].stop if groups else 0
                if continued:
                    inner[length] = len(groups)
                groups.append(Group(start, start + len(own), above, branches))
                members.append(own)
        return tuple(groups), members


def prefix_tree(
    prompts: Int[Tensor, " row"], tokens: Int[Tensor, "row position"]
) -> tuple[PrefixTree, Int[Tensor, " row"]]:
    """Return the tree of sequences, and the node of each of them.

    Parameters
    ----------
    prompts
        Number of the prompt of every row.
    tokens
        Its tokens, -1 from the first that is not written on.

    Raises
    ------
    InvalidArgumentError
        If a token stands behind one that is not written, or the prefix of a prefix is missing.
    """
    written = tokens >= 0
    if bool((written[:, 1:] & ~written[:, :-1]).any()):
        raise InvalidArgumentError(
            "prefixes",
            f"tokens {_first_row(tokens, (written[:, 1:] & ~written[:, :-1]).any(1))}",
            "write tokens from the first position on, and -1 behind the last",
        )
    # In the order of words: those that continue a sequence stand right behind it.
    rows = torch.cat([prompts[:, None], tokens.clamp_min(-1)], dim=1)
    rows, node = torch.unique(rows, dim=0, return_inverse=True)
    lengths = (rows[:, 1:] >= 0).sum(1)
    numbers = torch.arange(len(rows), device=rows.device)
    parents, behind = torch.full_like(numbers, -1), torch.full_like(numbers, len(rows))
    for length in range(int(lengths.max()) + 1):
        own = numbers[lengths == length]
        stops = numbers[lengths <= length]
        stops = functional.pad(stops, (0, 1), value=len(rows))
        behind[own] = stops[torch.searchsorted(stops, own, right=True)]
        if length:
            above = numbers[lengths == length - 1]
            place = torch.searchsorted(above, own) - 1
            parents[own] = above[place.clamp_min(0)] if len(above) else -1
            missing = (rows[parents[own], :length] != rows[own, :length]).any(1) | (place < 0)
            if bool(missing.any()):
                raise InvalidArgumentError(
                    "prefixes",
                    f"prompt and tokens {_first_row(rows[own], missing)} without those before the last",
                    "let the prefixes of a prefix be states as well",
                )
    return _numbered(rows, lengths, parents, behind), node


def _numbered(rows: Tensor, lengths: Tensor, parents: Tensor, behind: Tensor) -> PrefixTree:
    """Return the tree with prompts and tokens numbered from 0 on: only those that occur count."""
    known, prompts = torch.unique(rows[:, 0], return_inverse=True)
    letters = torch.unique(rows[:, 1:][rows[:, 1:] >= 0])
    tokens = torch.searchsorted(letters, rows[:, 1:].contiguous()) + len(known)
    tokens = torch.where(rows[:, 1:] >= 0, tokens, -1)
    codes = torch.cat([prompts[:, None], tokens], dim=1)[:, : int(lengths.max()) + 1]
    symbols = len(known) + len(letters) + codes.shape[1]
    return PrefixTree(codes.contiguous(), lengths, parents, behind, symbols)


def _chains(count: int, deepest: int) -> tuple[Group, ...]:
    """Return the groups of ``count`` sequences of ``deepest`` tokens: by position, then sequence."""
    return tuple(
        Group(length * count, (length + 1) * count, length - 1 if length else None, 1)
        for length in range(deepest + 1)
    )


def _without_unread(forest: Forest, stands: Tensor) -> tuple[Forest, Tensor]:
    """Return the forest with what is unread at its beginning, and where rows stand behind that."""
    read = stands[stands >= 0]
    first = int(read.min()) if len(read) else forest.nodes - 1
    unread = max(group.start for group in forest.groups if group.start <= first)
    stands = torch.where(stands < 0, -1, stands - unread)
    return Forest(forest.groups, forest.symbols, unread), stands


def _first_row(rows: Tensor, chosen: Tensor) -> str:
    return shortened(rows[chosen][0].tolist())
