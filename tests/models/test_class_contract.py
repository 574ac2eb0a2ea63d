"""What every reward and policy class keeps; a class is enrolled by its file in ``models/``."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.model_cases import (
    CASES,
    CLASSES,
    INPUTS,
    SEQUENCES,
    SETTINGS,
    Settings,
    inputs_for,
    normal,
    parameters_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import theory_check.models
from theory_check.models import (
    Linear,
    RewardClass,
)
from theory_check.testing import check_class, failures

EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
EVERY_SETTING = pytest.mark.parametrize("chosen", SETTINGS, ids=str)
EVERY_CASE = pytest.mark.parametrize(("chosen", "label"), CASES, ids=lambda part: str(part))


@pytest.mark.every_case
@EVERY_SETTING
def test_it_keeps_the_contract(chosen: Settings) -> None:
    assert failures(check_class(chosen)) == ()


@EVERY_SETTING
def test_every_parameter_counts(chosen: Settings) -> None:
    """The number of parameters is that of the parameters on which the table depends.

    A parameter without influence has derivative 0 everywhere; units of a relu network can be off at
    one draw, not at each of 40 (probability below 2**-40 per unit).
    """
    model = chosen.bind(inputs_for(chosen, steps=2))
    parameters = parameters_of(model, 40)
    cotangent = normal("cotangent", *model.table(parameters).shape)
    gradient = model.pullback(parameters, cotangent)
    assert gradient.shape == (40, model.parameters)
    assert bool((gradient != 0).any(0).all())


@pytest.mark.slow
@EVERY_CASE
def test_pullback_is_linear_in_the_cotangent(chosen: Settings, label: str) -> None:
    model = chosen.bind({**INPUTS, **SEQUENCES}[label])
    parameters = parameters_of(model, 2)
    shape = model.table(parameters).shape
    first, second = normal("first", *shape), normal("second", *shape)
    found = model.pullback(parameters, 2.0 * first - 3.0 * second)
    expected = 2.0 * model.pullback(parameters, first) - 3.0 * model.pullback(parameters, second)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.slow
@EVERY_SETTING
def test_replicates_do_not_influence_one_another(chosen: Settings) -> None:
    model = chosen.bind(inputs_for(chosen))
    parameters = parameters_of(model, 3)
    before = model.table(parameters)
    changed = parameters.clone()
    changed[1] += 1.0
    after = model.table(changed)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    # A single constant, such as the bias of a policy with one action, would change nothing.
    assert not torch.equal(after[1], before[1])


@EVERY_SETTING
def test_numbers_follow_parameters_that_are_written_to(chosen: Settings) -> None:
    """Nothing remembered from an earlier call is used for other parameters."""
    model = chosen.bind(inputs_for(chosen, steps=2))
    fresh = chosen.bind(inputs_for(chosen, steps=2))
    parameters = parameters_of(model, 2)
    table = model.table(parameters)
    cotangent = normal("cotangent", *table.shape)
    kept = table.clone()
    table.zero_()  # by a careless caller
    assert torch.equal(model.table(parameters), kept)
    model.pullback(parameters, cotangent)
    parameters.mul_(1.5)
    assert torch.equal(model.table(parameters), fresh.table(parameters.clone()))
    parameters[0] -= 0.25
    expected = fresh.pullback(parameters.clone(), cotangent)
    assert torch.equal(model.pullback(parameters, cotangent), expected)
    parameters.requires_grad_()
    assert model.table(parameters).requires_grad
    with torch.inference_mode():
        assert torch.equal(model.table(parameters.detach().clone()), model.table(parameters))


@EVERY_SETTING
def test_the_start_is_a_function_of_the_noise(chosen: Settings) -> None:
    model = chosen.bind(inputs_for(chosen, steps=2))
    noise = normal("noise", 3, model.parameters)
    kept = noise.clone()
    start = model.initial(noise)
    assert start.shape == (3, model.parameters)
    assert start.dtype == torch.float64
    assert torch.equal(start, model.initial(noise.clone()))
    assert torch.equal(noise, kept)
    torch.testing.assert_close(model.initial(noise[1:2]), start[1:2], rtol=1e-15, atol=0)
    if isinstance(chosen, RewardClass):
        assert not torch.equal(start[0], start[1])
    start[0] += 1.0  # replicates own their parameters
    assert torch.equal(start[1:], model.initial(kept)[1:])


@EVERY_CLASS
def test_a_class_is_a_value(cls: type[Settings]) -> None:
    """Frozen, comparable, with defaults for every setting, and public under its own name."""
    assert cls() == cls()
    assert hash(cls()) == hash(cls())
    assert getattr(theory_check.models, cls.__name__) is cls
    assert isinstance(cls.name, str)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(cls(), field.name, field.default)


@EVERY_CLASS
def test_equal_observations_are_treated_alike(cls: type[Settings]) -> None:
    """But by classes that are told the state itself: linear in given features, or tabular."""
    seen = inputs_for(cls, steps=2)
    observations, reference = seen.observations.clone(), seen.log_reference.clone()
    observations[-1], reference[:, -1] = observations[-2], reference[:, -2]
    written = seen.prefixes
    if written is not None:  # the last two states are longest prefixes
        tokens = written.tokens.clone()
        tokens[-1] = tokens[-2]
        written = dataclasses.replace(written, tokens=tokens)
    twins = dataclasses.replace(
        seen, observations=observations, log_reference=reference, prefixes=written
    )
    model = cls().bind(twins)
    parameters = parameters_of(model, 2)
    table = model.table(parameters)
    alike = torch.equal(table[..., -1, :], table[..., -2, :])
    assert alike == (cls.name not in (Linear.name, "tabular"))
    assert not torch.equal(table[..., -3, :], table[..., -2, :])
    cotangent = normal("cotangent", *table.shape)
    swapped = cotangent.clone()
    swapped[..., -2:, :] = cotangent[..., -2:, :].flip(-2)
    pulled = model.pullback(parameters, cotangent), model.pullback(parameters, swapped)
    assert torch.allclose(*pulled, rtol=1e-12, atol=1e-13) == alike


@settings(deadline=None, max_examples=60)
@given(
    chosen=st.sampled_from(SETTINGS),
    steps=st.integers(1, 3),
    states=st.integers(1, 6),
    actions=st.integers(1, 4),
    observation=st.one_of(st.none(), st.integers(1, 4)),
    replicates=st.integers(1, 5),
)
def test_any_size(
    chosen: Settings,
    steps: int,
    states: int,
    actions: int,
    observation: int | None,
    replicates: int,
) -> None:
    """Pullback and independence of replicates, at sizes nobody chose."""
    model = chosen.bind(inputs_for(chosen, steps, states, actions, observation))
    parameters = parameters_of(model, replicates)
    leaf = parameters.clone().requires_grad_()
    table = model.table(leaf)
    cotangent = normal("cotangent", *table.shape)
    (expected,) = torch.autograd.grad((table * cotangent).sum(), leaf)
    found = model.pullback(parameters, cotangent)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    last = slice(replicates - 1, replicates)
    torch.testing.assert_close(
        model.table(parameters[last]), table[last].detach(), rtol=1e-12, atol=1e-14
    )
