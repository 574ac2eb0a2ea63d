"""Labels of axes as text: mathtext of figures in letters that a page and a screen reader have."""

from __future__ import annotations

import re
from collections.abc import Mapping

LETTERS: Mapping[str, str] = {
    "nabla": "∇",
    "Phi": "Φ",
    "phi": "φ",
    "sigma": "σ",
    "lambda": "λ",
    "epsilon": "ε",
    "varepsilon": "ε",
    "mu": "μ",
    "pi": "π",
    "rho": "ρ",
    "tau": "τ",
    "leq": "≤",
    "sum": "Σ",
    "cdot": "·",
    "|": "‖",
    "min": "min",
    "max": "max",
    "log": "log ",
    "hat": "^",
}
"""By the command of mathtext, without its backslash; others are shown by their names."""

_GROUP = re.compile(r"\\(?:mathrm|mathbb|mathcal|text)\s*(?:\{([^{}]*)\}|(\w))")
_HAT = re.compile(r"\\hat\s*(?:\{(\w)\}|(\w))")
_COMMAND = re.compile(r"\\([A-Za-z]+|\|)")
_SPACE = re.compile(r"\\[,;:! ]")
_SCRIPT = re.compile(r"([_^])\{([^{}]*)\}")
_POWERS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def plain(symbol: str) -> str:
    """Return a label in mathtext as text, such as ``‖∇Φ‖², mean of the second half``.

    Parameters
    ----------
    symbol
        With formulas between dollar signs, or without any.
    """
    text = symbol.replace("$", "")
    text = _GROUP.sub(lambda found: found[1] or found[2], text)
    text = _HAT.sub(lambda found: f"{found[1] or found[2]}\N{COMBINING CIRCUMFLEX ACCENT}", text)
    text = _SPACE.sub(" ", text)
    text = _COMMAND.sub(lambda found: LETTERS.get(found[1], found[1]), text)
    text = _SCRIPT.sub(_script, text)
    text = re.sub(r"\^([0-9])", lambda found: found[1].translate(_POWERS), text)
    text = text.replace("^*", "*").replace("{", "").replace("}", "")
    text = text.replace(" - ", " − ")
    return re.sub(r"(?<=[∇Σ(]) (?=\S)", "", re.sub(r"\s+", " ", text)).strip()


def _script(found: re.Match[str]) -> str:
    mark, inner = found[1], found[2].strip()
    if mark == "^" and re.fullmatch(r"-?[0-9]+", inner):
        return inner.translate(_POWERS)
    return f"{mark}{inner}" if re.fullmatch(r"\w+", inner) else f"{mark}({inner})"
