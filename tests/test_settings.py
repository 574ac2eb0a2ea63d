"""Every setting of every component refuses what it cannot be: from annotations, with no list of classes.

What a type of setting has to refuse stands here, apart from the checks that annotations name, so that an
annotation that takes too much is found.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from helpers.methods import METHODS, SCALES, configured

from theory_check.advice.advisor import AdviceRequest
from theory_check.catalogue import Catalogue, installed
from theory_check.errors import InvalidArgumentError, require_positive, shortened
from theory_check.measurements.comparison import Comparison
from theory_check.problems.preferences import LAWS
from theory_check.runs import load_experiment
from theory_check.runs.execute import RunOptions
from theory_check.settings import (
    Accuracies,
    Check,
    Flag,
    Fraction,
    NonNegative,
    Positive,
    PositiveInteger,
    PositiveShare,
    Settings,
    instance_of,
    one_of,
)
from theory_check.solvers.method import Method
from theory_check.solvers.schedules import ScheduleConstants
from theory_check.tuning.reference_descent import ReferenceDescent
from theory_check.worst_cases.spaces import SPACES

MALFORMED: Mapping[Any, tuple[object, ...]] = {
    float: (None, "text", True, [], math.nan, math.inf, -1.0, 0.0),
    int: (None, "text", True, [], math.nan, 1.5, -1, 0),
    bool: (None, "False", 1, 0, []),
    str: ("no such name", 3, True),
    Method: (None, "penalty", 3, Method),
    Catalogue: (None, "text", Catalogue),
}
"""By the type of a setting. One without units of its own is never 0, but for those that follow."""

TAKES_ZERO = {
    "output_scale",
    "support_seed",
    "random_share",
    "tie",
    "repetition",
    "perturbation",
    "pulls",
}
MAY_BE_EMPTY = {"held", "start", "setting"}
REFUSED_AS_A_WHOLE = {"held", "targets"}
CHECKED_ELSEWHERE = {"solver", "constants", "store", "reward", "policy"}
"""Components within components, and a path."""


def malformed(hint: Any, argument: str, setting: str) -> Iterator[tuple[str, object, object]]:
    """Yield what has to be named, the value, and the part of it that is wrong."""
    origin, members = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and len(members) == 2 and type(None) in members:
        (inner,) = (each for each in members if each is not type(None))
        yield from (each for each in malformed(inner, argument, setting) if each[1] is not None)
    elif origin in (tuple, Sequence, Mapping):
        yield from ((argument, each, each) for each in (None, "text", 3))
        if setting not in MAY_BE_EMPTY:
            yield argument, (), "an empty list"
        place = f"{argument}.sigma" if origin is Mapping else f"{argument}[0]"
        place = argument if setting in REFUSED_AS_A_WHOLE else place
        member = members[1] if origin is Mapping else members[0]
        for named, value, wrong in malformed(member, place, setting):
            yield named, {"sigma": value} if origin is Mapping else (value,), wrong
    elif origin is Literal:
        yield from ((argument, each, each) for each in (None, "text", 1, True, []))
    else:
        for value in MALFORMED.get(hint, ()):
            if value != 0 or isinstance(value, bool) or setting not in TAKES_ZERO:
                yield argument, value, value


def faults(valid: Any) -> list[str]:
    """Return which malformed settings a component takes, or refuses under another name."""
    found = []
    hints = get_type_hints(type(valid))
    for each in dataclasses.fields(valid):
        for argument, value, wrong in malformed(hints[each.name], each.name, each.name):
            changed = copy.copy(valid)
            # Past the type checker that stands before some rooms in these tests, and not for users.
            object.__setattr__(changed, each.name, value)
            if fault := _fault(changed, argument, wrong):
                found.append(f"{each.name} = {value!r}: {fault}")
    return found


def _fault(changed: Any, argument: str, wrong: object) -> str:
    try:
        changed.__post_init__()
    except InvalidArgumentError as error:
        if error.argument != argument:
            return f"named {error.argument}"
        received = wrong if isinstance(wrong, str) else shortened(wrong)
        return "" if received in error.received or error.received == "()" else error.received
    except Exception as error:
        return repr(error)
    return "taken"


@cache
def components() -> dict[type, Any]:
    """Return a valid instance of every class of settings that the catalogue finds, and of the others."""
    shipped = installed()
    found: list[Any] = [configured(method) for method in shipped.methods.values()]
    found += [cls() for cls in (*shipped.rewards.values(), *shipped.policies.values())]
    for file in shipped.experiments.values():
        kind = shipped.measurements[tomllib.loads(file.read_text(encoding="utf-8"))["measurement"]]
        if kind not in map(type, found):
            found.append(load_experiment(file, shipped).cells()[0].measurement)
    found.append(Comparison(shipped.methods["penalty"], targets=(0.5,), tuning_target=0.5))
    found += [cls() for cls in (*SPACES.values(), *LAWS.values())]
    found += [ScheduleConstants(*[1.0] * 7), SCALES, AdviceRequest(0.1), RunOptions()]
    found.append(ReferenceDescent(step_size=0.1, samples=2))
    return {type(each): each for each in found}


def test_every_setting_refuses_what_it_cannot_be() -> None:
    found = {}
    for cls, valid in components().items():
        valid.__post_init__()
        found[cls.__name__] = faults(valid)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_no_class_of_settings_is_left_out() -> None:
    """Neither one of the catalogue nor any other of the package that derives from ``Settings``."""
    shipped = installed()
    rooms = (shipped.solvers, shipped.measurements, shipped.rewards, shipped.policies)
    expected = set(itertools.chain.from_iterable(room.values() for room in rooms))
    assert expected <= components().keys()
    assert all(issubclass(cls, Settings) for cls in expected)
    assert {cls for cls in _descendants(Settings) if _is_shipped(cls)} <= components().keys()


def test_no_setting_is_left_out() -> None:
    untried = {
        each.name
        for cls in components()
        for each in dataclasses.fields(cls)
        if not any(malformed(get_type_hints(cls)[each.name], each.name, each.name))
    }
    assert untried == CHECKED_ELSEWHERE


def _descendants(cls: type) -> Iterator[type]:
    for each in cls.__subclasses__():
        yield each
        yield from _descendants(each)


def _is_shipped(cls: type) -> bool:
    """Return whether the package holds the class, and none that derives from it and is tried instead.

    A module that was made for a test and forgotten leaves its classes among the descendants.
    """
    held = getattr(sys.modules.get(cls.__module__), cls.__name__, None)
    return cls.__module__.startswith("theory_check.") and held is cls and not cls.__subclasses__()


@METHODS
def test_what_is_refused_is_refused_when_it_is_made(method: Method) -> None:
    """Not only by the call of ``__post_init__`` with which the others are tried."""
    solver = configured(method)
    for each in dataclasses.fields(solver):
        if isinstance(getattr(solver, each.name), float):
            with pytest.raises(InvalidArgumentError, match=f"^{each.name}: received -1.0; pass a"):
                dataclasses.replace(solver, **{each.name: -1.0})


@dataclass(frozen=True)
class Everything(Settings):
    """One field for each way in which an annotation is looked into."""

    sigma: Positive = 1.0
    steps: PositiveInteger | None = None
    share: PositiveShare = 1.0
    fraction: Fraction = 0.5
    shift: NonNegative = 0.0
    fast: Flag = False
    sigmas: tuple[Positive, ...] = (0.1, 0.2)
    widths: Sequence[PositiveInteger] = (1,)
    limits: tuple[Positive, ...] | None = None
    start: Mapping[str, Positive] = field(default_factory=dict)
    coupling: Literal["independent", "shared"] = "shared"
    couplings: tuple[Literal["independent", "shared"], ...] = ("shared",)
    targets: Accuracies = (0.5,)
    backend: Annotated[str, one_of({"loky": 1, "dask": 2})] = "loky"
    owner: Annotated[Settings, instance_of(Settings, "pass settings")] = Settings()  # noqa: RUF009
    unchecked: float = -1.0
    pair: tuple[float, float] = (-1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": 0.0}, "sigma: received 0.0; pass a finite number greater than 0"),
        ({"steps": 0}, "steps: received 0; pass an integer of at least 1 and below 2**62"),
        ({"share": 1.5}, "share: received 1.5; pass a share of at most 1"),
        ({"share": 0.0}, "share: received 0.0; pass a finite number greater than 0"),
        ({"fraction": 1.0}, "fraction: received 1.0; pass an accuracy between 0 and 1"),
        (
            {"shift": -1.0},
            "shift: received -1.0; pass a finite number of at least 0 and at most 1e",
        ),
        ({"fast": 1}, "fast: received 1; pass True or False"),
        ({"sigmas": ()}, "sigmas: received an empty list; pass at least one value"),
        ({"sigmas": 0.1}, "sigmas: received 0.1; pass a list or tuple"),
        ({"sigmas": (0.1, -2.0)}, "sigmas[1]: received -2.0; pass a finite number greater than 0"),
        ({"widths": [1, 2, 0]}, "widths[2]: received 0; pass an integer"),
        ({"limits": (0.0,)}, "limits[0]: received 0.0; pass a finite"),
        ({"start": {"a": 1.0, "b": 0.0}}, "start.b: received 0.0; pass a finite number greater"),
        ({"start": 3}, "start: received 3; pass a table of names and values"),
        ({"coupling": "sharde"}, "coupling: received 'sharde'; did you mean 'shared'?"),
        ({"couplings": ("shared", "no")}, "couplings[1]: received 'no'; "),
        ({"targets": (0.5, 1.0)}, "targets: received (0.5, 1.0); pass accuracies between 0 and 1"),
        ({"backend": "lok"}, "backend: received 'lok'; did you mean 'loky'? known: dask, loky"),
        ({"owner": 3}, "owner: received 3; pass settings"),
    ],
)
def test_a_refusal_names_the_part_that_is_wrong(changes: dict[str, Any], message: str) -> None:
    Everything()
    with pytest.raises(InvalidArgumentError) as caught:
        Everything(**changes)
    assert str(caught.value).startswith(message)


def test_the_fields_of_a_base_are_checked_and_rules_come_behind_them() -> None:
    @dataclass(frozen=True)
    class Ordered(Everything):
        upper: Annotated[float, Check(require_positive)] = 2.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.upper <= self.sigma:
                raise InvalidArgumentError("upper", self.upper, "pass more than sigma")

    for changes, argument in (
        ({"sigma": "1"}, "sigma"),  # which the rule could not compare
        ({"upper": 0.0}, "upper"),
        ({"upper": 1.0}, "upper"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            Ordered(**changes)  # type: ignore[arg-type]
        assert caught.value.argument == argument
    assert Ordered(upper=1.5).upper == 1.5


@dataclass(frozen=True)
class TakesZero(Settings):
    """Planted: a step of 0 does nothing."""

    step_size: NonNegative = 1.0


@dataclass(frozen=True)
class Unannotated(Settings):
    """Planted: members of ``sigmas`` are not looked at."""

    sigmas: tuple[float, ...] = (1.0,)
    coupling: Literal["shared"] = "shared"


@dataclass(frozen=True)
class Forgetful(Settings):
    """Planted: the fields are no longer checked."""

    step_size: Positive = 1.0

    def __post_init__(self) -> None:
        """Forget the base."""


def _misnamed(_: str, value: object) -> None:
    require_positive("step", value)


@dataclass(frozen=True)
class Misnaming(Settings):
    """Planted: another argument is named."""

    steps: Annotated[int, Check(_misnamed)] = 1


def test_planted_mistakes_are_found() -> None:
    assert faults(TakesZero()) == ["step_size = 0.0: taken"]
    every_number = [f"step_size = {value!r}: taken" for value in MALFORMED[float]]
    assert faults(Forgetful()) == every_number
    members = [f"sigmas = {(value,)!r}: taken" for value in MALFORMED[float]]
    wholes = [f"sigmas = {value!r}: taken" for value in (None, "text", 3, ())]
    assert faults(Unannotated()) == wholes + members
    found = faults(Misnaming())
    assert "steps = -1: named step" in found
    assert "steps = 1.5: taken" in found
    assert len(found) == len(MALFORMED[int])


def test_a_file_is_told_the_type_without_the_check(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = (
        'measurement = "penalty-bias"\ndescription = "Mine."\nseeds = 1\n[settings]\nsigmas = {}\n'
        '[problems.mine]\nfamily = "quadratic"\n'
    )
    for written, message in (
        ("1.0", "settings.sigmas: received 1.0; pass a value of type tuple[float, ...]"),
        ('["a"]', "settings.sigmas[0]: received 'a'; pass a value of type float"),
        ("[0.1, 0]", "settings.sigmas[1]: received 0.0; pass a finite number greater than 0"),
        ("[]", "settings.sigmas: received an empty list; pass at least one value"),
    ):
        file.write_text(text.format(written), encoding="utf-8")
        with pytest.raises(InvalidArgumentError) as caught:
            load_experiment(file)
        assert str(caught.value) == f"{file}: {message}"
