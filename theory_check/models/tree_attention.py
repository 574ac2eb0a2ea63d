"""Attention of every node of a forest to itself and the nodes above it, and its pullback.

Keys and values of a node and all above it stand together, so that the children of a node, which see
the same, need one product; they are passed down by views. No index is followed, and the number of
calls grows with the length of sequences, not with their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models.prefix_tree import Group

_softmax_pullback = torch.ops.aten._softmax_backward_data


def attend(
    heads: Float[Tensor, "three head replicate node unit"], groups: Sequence[Group], unread: int
) -> tuple[Float[Tensor, "replicate read width"], list[Tensor | None], list[Tensor | None]]:
    """Return what the heads of each node put together, and what the pullback needs.

    Parameters
    ----------
    heads
        Queries, keys and values; queries are divided by the root of the units.
    groups
        Those of the forest.
    unread
        Nodes at the beginning whose result nobody asks for.

    Returns
    -------
    tuple
        The values, averaged, the units of the first head first; the shares of every group, shape (head,
        replicate, parent, child, nodes above and itself), None for roots and what is not read; and the
        keys and values of a group's nodes and of all above them, shape (2, head, replicate, node, nodes
        above and itself, unit), None where there are no children.
    """
    parents = {group.above for group in groups}
    mixed: list[Tensor] = []
    shares: list[Tensor | None] = []
    known: list[Tensor | None] = []
    for number, group in enumerate(groups):
        own = heads[:, :, :, group.start : group.stop]
        inherited = None if group.above is None else known[group.above]
        if group.start < unread:
            shares.append(None)
        elif inherited is None:
            mixed.append(_joined(own[2]))
            shares.append(None)
        else:
            query, key, value = _siblings(own, 3, group)
            scores = [query @ inherited[0].mT, (query * key).sum(-1, keepdim=True)]
            share = torch.cat(scores, dim=-1).softmax(-1)
            found = share[..., :-1] @ inherited[1] + share[..., -1:] * value
            mixed.append(_joined(found.flatten(2, 3)))
            shares.append(share)
        if number not in parents:
            known.append(None)
        elif inherited is None:
            known.append(own[1:, ..., None, :])
        else:
            passed = inherited.repeat_interleave(group.branches, dim=3)
            known.append(torch.cat([passed, own[1:, ..., None, :]], dim=4))
    return torch.cat(mixed, dim=1), shares, known


def pull_back_attention(
    cotangent: Float[Tensor, "replicate read width"],
    heads: Float[Tensor, "three head replicate node unit"],
    groups: Sequence[Group],
    unread: int,
    shares: Sequence[Tensor | None],
    known: Sequence[Tensor | None],
) -> Float[Tensor, "three head replicate node unit"]:
    """Return the gradient in ``heads`` of ``sum(cotangent * attend(...)[0])``.

    Parameters
    ----------
    cotangent
        Of the result.
    heads, groups, unread
        As there.
    shares, known
        What was returned there.
    """
    pulled = torch.zeros_like(heads)
    in_known: list[Tensor | None] = [None for _ in groups]
    count, units = heads.shape[1], heads.shape[-1]
    for number in range(len(groups) - 1, -1, -1):
        group = groups[number]
        here = slice(group.start, group.stop)
        below = in_known[number]
        if below is not None:
            pulled[1:, :, :, here] += below[..., -1, :]
        above = group.above
        upward: Tensor | None = None
        if below is not None and above is not None:
            upward = _siblings(below[..., :-1, :], 3, group).sum(4)
        if group.start >= unread:
            part = cotangent[:, group.start - unread : group.stop - unread]
            part = part.view(*part.shape[:2], count, units).permute(2, 0, 1, 3)
            share = shares[number]
            inherited = None if above is None else known[above]
            if share is None or inherited is None:
                pulled[2, :, :, here] += part
            else:
                part = _siblings(part, 2, group)
                query, key, value = _siblings(heads[:, :, :, here], 3, group)
                parts = [part @ inherited[1].mT, (part * value).sum(-1, keepdim=True)]
                scores = _softmax_pullback(torch.cat(parts, dim=-1), share, -1, share.dtype)
                others, itself = scores[..., :-1], scores[..., -1:]
                in_query = (others @ inherited[0]).addcmul_(itself, key)
                pulled[0, :, :, here] = in_query.flatten(2, 3)
                pulled[1, :, :, here] += (itself * query).flatten(2, 3)
                pulled[2, :, :, here] += (share[..., -1:] * part).flatten(2, 3)
                through = torch.stack([others.mT @ query, share[..., :-1].mT @ part])
                upward = through if upward is None else upward.add_(through)
        if above is not None and upward is not None:
            before = in_known[above]
            in_known[above] = upward if before is None else before.add_(upward)
    return pulled


def _siblings(values: Tensor, axis: int, group: Group) -> Tensor:
    """Return a view in which the axis of nodes is one of parents and one of their children."""
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    return values.view(*before, values.shape[axis] // group.branches, group.branches, *after)


def _joined(
    values: Float[Tensor, "head replicate node unit"],
) -> Float[Tensor, "replicate node width"]:
    """Return the units of all heads of a node side by side."""
    return values.permute(1, 2, 0, 3).flatten(2)
