"""Problems kept in files under a label, such as the worst instances of ``theory-check worst-case``.

One JSON file holds the arrays of one problem. Its numbers are written with as many digits as tell
float64 apart, so that what is loaded is what was saved, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np
import torch
from torch import Tensor

from theory_check.arrays import as_numbers
from theory_check.errors import (
    InvalidArgumentError,
    is_number,
    nearest,
    require_choice,
    shortened,
)
from theory_check.files import as_path, read_file
from theory_check.models import Linear, Tabular
from theory_check.models.base import Prefixes
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.problem_tables import ARRAYS

FORMAT = "theory-check problem 1"
INSTANCES = Path(__file__).parent / "instances"
"""The files that the package brings; their stems are the labels."""

SCALARS = ("horizon", "discount", "kl_weight", "segment_length", "objective")
_DIGEST = re.compile("[0-9a-f]{64}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def stored(
    file: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    objective: Objective | None = None,
    kl_weight: float | None = None,
) -> Problem:
    """Load a problem from a file, or from the package by its label.

    The true reward is the one in the file; it need not lie in the span of the features. No optimal
    value is declared beyond what every problem declares.

    Parameters
    ----------
    file
        Path of a JSON file, relative ones from the current directory; or the label of a problem that the
        package brings, see :func:`labels`.
    sha256
        SHA-256 of the file's content. A file with another content is refused; experiment files have
        it filled in when they are read, so that stored results belong to a content, not to a name.
    objective, kl_weight
        Instead of those in the file.

    Raises
    ------
    InvalidArgumentError
        For a file that does not exist, has another content or holds no problem.

    Examples
    --------
    >>> problem = stored(file="random-garnet")
    """
    path = _path(file)
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    require_digest(sha256)
    if sha256 is not None and sha256 != found:
        raise InvalidArgumentError(
            "sha256",
            shortened(sha256),
            f"{path} has {found}; restore the file, or leave sha256 out",
        )
    problem = _problem(content, path)
    return replace(
        problem,
        objective=problem.objective if objective is None else objective,
        kl_weight=problem.kl_weight if kl_weight is None else kl_weight,
    )


def pinned(
    *, file: str | os.PathLike[str], sha256: str | None = None, **others: Any
) -> dict[str, Any]:
    """Return the arguments of :func:`stored` with the hash of what the file holds now."""
    held = hashlib.sha256(_content(_path(file))).hexdigest() if sha256 is None else sha256
    return {"file": os.fspath(file), "sha256": held, **others}


def require_digest(sha256: object) -> None:
    """Refuse what is neither None nor 64 hexadecimal digits."""
    if sha256 is not None and (not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256)):
        raise InvalidArgumentError(
            "sha256",
            shortened(sha256),
            "pass the 64 hexadecimal digits of a content, or leave it out",
        )


def labels() -> tuple[str, ...]:
    """Return the labels of the problems that the package brings."""
    return tuple(sorted(path.stem for path in INSTANCES.glob("*.json")))


def origin(file: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Return where a stored problem came from, as its file says; empty if it says nothing."""
    path = _path(file)
    return _record(_content(path), path)["origin"]  # type: ignore[no-any-return]


def require_label(argument: str, label: object) -> None:
    """Refuse what cannot be the stem of a file."""
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise InvalidArgumentError(
            argument,
            shortened(label),
            "pass letters, digits, '.', '_' and '-', at most 200, beginning with one of the first two",
        )


def as_record(problem: Problem, label: str, origin: Mapping[str, Any]) -> str:
    """Return the text of the file that holds ``problem``.

    Parameters
    ----------
    problem
        A problem of linear rewards, tabular policies and Bradley-Terry labels at temperature 1; of
        others nothing is stored.
    label
        Its name.
    origin
        Where it comes from, as JSON data.
    """
    require_label("label", label)
    if (problem.reward_class, problem.policy_class) != (Linear(), Tabular()):
        raise InvalidArgumentError(
            "problem",
            f"classes {problem.reward_class} and {problem.policy_class}",
            "store it with its own linear and tabular class, and name others where it is loaded",
        )
    if not problem.preferences.standard:
        raise InvalidArgumentError(
            "problem",
            f"labels of the law {problem.preferences}",
            'store it with with_preferences("bradley-terry"), and name the law where it is loaded',
        )
    if problem.action_mask is not None:
        raise InvalidArgumentError(
            "problem",
            "an action_mask, for which the file has no place",
            "store a problem in whose states all actions exist",
        )
    if problem.layers is not None:
        raise InvalidArgumentError(
            "problem",
            "layers of states, for which the file has no place",
            "store the parameters of its family, which build it again",
        )
    tables = {name: getattr(problem, name) for name in ARRAYS}
    tables["transitions"] = problem.dynamics.dense("a stored file")
    arrays = {name: values.tolist() for name, values in tables.items()}
    scalars = {name: getattr(problem, name) for name in SCALARS}
    record = {"format": FORMAT, "label": label, "origin": dict(origin)}
    return json.dumps(record | {"problem": scalars | arrays}, indent=1, allow_nan=False) + "\n"


def content_digest(problem: Problem) -> str:
    """Return the SHA-256 of the arrays and scalars of a problem.

    With layers and prefixes, of problems that have them. Its name, its classes and the law of its labels
    do not count, nor whether its kernel is held as a table or as a sparse matrix, which is written out
    block by block.
    """
    scalars = {name: getattr(problem, name) for name in SCALARS}
    # Numbers of numpy are written as those of Python that they are.
    text = json.dumps(scalars, sort_keys=True, default=lambda number: number.item())
    digest = hashlib.sha256(text.encode())
    if problem.layers is not None:
        digest.update(f"layers {tuple(map(int, problem.layers))}".encode())
    if problem.prefixes is not None:
        digest.update(_digest_of(problem.prefixes))
    for name in ARRAYS:
        values = getattr(problem, name)
        blocks = problem.dynamics.blocks() if name == "transitions" else (values,)
        digest.update(f"{name} {tuple(values.shape)}".encode())
        for block in blocks:
            numbers = block.detach().cpu().contiguous().numpy().astype("<f8")
            digest.update(numbers.tobytes())
    return digest.hexdigest()


def _digest_of(prefixes: Prefixes) -> bytes:
    """Return what is written in every state as bytes."""
    sizes = f"prefixes {prefixes.vocabulary} {prefixes.length} {prefixes.end}"
    written = (prefixes.prompts[:, None].cpu(), prefixes.tokens.cpu())
    return sizes.encode() + torch.cat(written, dim=1).numpy().astype("<i8").tobytes()


def problem_identity(problem: Problem) -> tuple[object, ...] | None:
    """Return what is computed of a problem alone depends on, its classes apart, to know it again.

    None where a derived class may bring more than its content.
    """
    if type(problem) is not Problem:
        return None
    return content_digest(problem), problem.realisable, problem.preferences


@dataclass(frozen=True, eq=False)
class GivenProblem:
    """A problem that was built by hand, in the place of the function of a family.

    Parameters
    ----------
    problem
        The problem.
    """

    problem: Problem

    def __call__(self, **identity: Any) -> Problem:
        """Return the problem, whatever identifies it."""
        return self.problem


def _path(file: str | os.PathLike[str]) -> Path:
    path = as_path("file", file, "pass the path of a JSON file, or a label")
    packaged = INSTANCES / f"{os.fspath(file)}.json"
    is_label = path.name == os.fspath(file) and path.suffix != ".json"
    # Those of os.path do not raise where a name is too long for a file.
    found = os.path.isfile(path) or not os.path.isfile(packaged)
    return path if found or not is_label else packaged


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise InvalidArgumentError(
            "file",
            f"{str(path)!r} ({error.strerror})",
            f"pass the path of a JSON file, or a label; {nearest(path.name, labels())}",
        ) from error


def _problem(content: bytes, path: Path) -> Problem:
    record = _record(content, path)
    table = record["problem"]
    try:
        require_horizon(table["horizon"], table["discount"], table["segment_length"])
        require_choice("objective", table["objective"], get_args(Objective))
        return Problem(
            transitions=_tensor("transitions", table["transitions"]),
            initial=_tensor("initial", table["initial"]),
            features=_tensor("features", table["features"]),
            observations=_tensor("observations", table["observations"]),
            true_reward=_tensor("true_reward", table["true_reward"]),
            reference_policy=_tensor("reference_policy", table["reference_policy"]),
            horizon=table["horizon"],
            discount=_number("discount", table["discount"]),
            kl_weight=_number("kl_weight", table["kl_weight"]),
            segment_length=table["segment_length"],
            objective=table["objective"],
            name=record["label"],
        )
    except InvalidArgumentError as error:
        # The argument is in the file; the user's own argument is the file.
        raise InvalidArgumentError(
            "file", f"{str(path)!r}, whose {error.argument} is {error.received}", error.remedy
        ) from error


def _record(content: bytes, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:  # undecodable text is one as well
        _refuse(path, f"is no JSON ({error})")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        _refuse(path, f'has no "format": "{FORMAT}"')
    label = record.get("label")
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        _refuse(path, f"has the label {label!r}")
    if not isinstance(record.get("origin"), dict):
        _refuse(path, "has no table origin")
    table = record.get("problem")
    if not isinstance(table, dict):
        _refuse(path, "has no table problem")
    wanted = {*ARRAYS, *SCALARS}
    if odd := sorted(wanted ^ table.keys()):
        kind = "lacks" if odd[0] in wanted else "has the unknown key"
        _refuse(path, f"{kind} problem.{odd[0]}")
    return record


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InvalidArgumentError(
        "file", f"{str(path)!r}, which {reason}", "pass a file that theory-check worst-case wrote"
    )


def _tensor(argument: str, values: object) -> Tensor:
    remedy = "pass a rectangular array of numbers"
    if not isinstance(values, list):
        raise InvalidArgumentError(argument, f"of type {type(values).__name__}", remedy)
    array = as_numbers(argument, values, remedy, truth_values=False)
    return torch.from_numpy(array.astype(np.float64))


def _number(argument: str, value: object) -> float:
    if not is_number(value):
        raise InvalidArgumentError(argument, shortened(value), "pass a number")
    return float(value)
