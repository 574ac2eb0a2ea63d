"""Every reward and policy class of the package, in several settings, bound to several inputs."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor

from theory_check.catalogue import installed
from theory_check.models import ModelInputs, PolicyClass, PolicyModel, RewardClass, RewardModel

Settings = RewardClass | PolicyClass
Model = RewardModel | PolicyModel


def normal(purpose: str, *shape: int) -> Tensor:
    """Draw standard normal numbers that depend on the purpose and the shape only."""
    seed = zlib.crc32(f"{purpose} {shape}".encode())
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(
    steps: int = 1, states: int = 4, actions: int = 3, observation: int | None = 2
) -> ModelInputs:
    """Draw what a class may see; indicators of the states as observations when None."""
    if observation is None:
        seen = torch.eye(states, dtype=torch.float64)
    else:
        seen = normal("observations", states, observation)
    return ModelInputs(
        observations=seen,
        features=normal("features", states, actions, 5),
        log_reference=normal("reference", steps, states, actions).log_softmax(-1),
    )


# One-step and stationary policies have one table row per state; episodes of three steps have three.
INPUTS: dict[str, ModelInputs] = {
    "one step or stationary": inputs(),
    "one step or stationary, indicators": inputs(observation=None),
    "one state and action": inputs(states=1, actions=1, observation=1),
    "three steps": inputs(steps=3),
    "three steps, indicators": inputs(steps=3, observation=None),
}


def variants(cls: type[Settings]) -> Iterator[Settings]:
    """Yield the class with its defaults, with every named choice, and with other sizes and scales."""
    yield cls()
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        default: Any = field.default
        if choices := [each for each in get_args(hints[field.name]) if isinstance(each, str)]:
            values: list[Any] = choices
        elif isinstance(default, int):
            values = [1, 2, 3]
        else:
            values = [0.7]
        for value in values:
            if value != default:
                yield cls(**{field.name: value})
    if {"depth", "activation"} <= hints.keys():
        for activation in get_args(hints["activation"]):
            for depth in (2, 3):
                yield cls(depth=depth, activation=activation, width=5)


CLASSES: list[type[Settings]] = [*installed().rewards.values(), *installed().policies.values()]
SETTINGS: list[Settings] = [settings for cls in CLASSES for settings in variants(cls)]
POLICIES: list[Settings] = [each for each in SETTINGS if isinstance(each, PolicyClass)]


def parameters_of(model: Model, replicates: int, purpose: str = "parameters") -> Tensor:
    """Draw parameters at which no activation is saturated."""
    return 0.5 * normal(purpose, replicates, model.parameters)
