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
from theory_check.testing.class_inputs import all_prefixes, sequence_inputs

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


SEQUENCES: dict[str, ModelInputs] = dict(sequence_inputs())


def sequences(
    prompts: int = 2, vocabulary: int = 2, length: int = 3, end: int | None = None, padding: int = 0
) -> ModelInputs:
    """Draw what a class that reads sequences may see."""
    written = all_prefixes(prompts, vocabulary, length, end, padding)
    seen = inputs(states=len(written.prompts), actions=vocabulary)
    return dataclasses.replace(seen, prefixes=written)


def inputs_for(
    chosen: Settings | type[Settings],
    steps: int = 1,
    states: int = 4,
    actions: int = 3,
    observation: int | None = 2,
) -> ModelInputs:
    """Draw what a class may see; of prompts, tokens and length where it reads sequences."""
    if not chosen.reads_prefixes:
        return inputs(steps, states, actions, observation)
    end = 0 if observation is None and actions > 1 else None
    return sequences(steps, actions, 1 + (states - 2) % 3, end, padding=0 if end is None else 2)


def variants(cls: type[Settings]) -> Iterator[Settings]:
    """Yield the class with its defaults, with every named choice, and with other sizes and scales."""
    yield cls()
    hints = get_type_hints(cls)
    sizes = {"heads", "width"} if {"heads", "width"} <= hints.keys() else set()
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        default: Any = field.default
        if field.name in sizes:  # one has to divide the other
            continue
        if choices := [each for each in get_args(hints[field.name]) if isinstance(each, str)]:
            values: list[Any] = choices
        elif isinstance(default, bool):
            values = [not default]
        elif isinstance(default, int):
            values = [1, 2, 3]
        else:
            values = [0.7]
        for value in values:
            if value != default:
                yield cls(**{field.name: value})
    if sizes:
        for heads, width in ((1, 2), (3, 6), (4, 4)):
            yield cls(heads=heads, width=width)
        yield cls(layers=2, heads=1, width=5)
    if {"depth", "activation"} <= hints.keys():
        for activation in get_args(hints["activation"]):
            for depth in (2, 3):
                yield cls(depth=depth, activation=activation, width=5)


CLASSES: list[type[Settings]] = [*installed().rewards.values(), *installed().policies.values()]
SETTINGS: list[Settings] = [settings for cls in CLASSES for settings in variants(cls)]
CASES: list[tuple[Settings, str]] = [
    (chosen, label)
    for chosen in SETTINGS
    for label in (SEQUENCES if chosen.reads_prefixes else INPUTS)
]
"""Every setting with what its class may be bound to, by the labels of INPUTS or SEQUENCES."""
POLICIES: list[Settings] = [each for each in SETTINGS if isinstance(each, PolicyClass)]


def parameters_of(model: Model, replicates: int, purpose: str = "parameters") -> Tensor:
    """Draw parameters at which no activation is saturated."""
    return 0.5 * normal(purpose, replicates, model.parameters)
