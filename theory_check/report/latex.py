"""Text as LaTeX shows it, whatever characters it has."""

from __future__ import annotations

import re
from types import MappingProxyType

_NAMES = {
    "αβγδεζηθικλμ": r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu",
    "νξπρστυφχψω": r"\nu \xi \pi \rho \sigma \tau \upsilon \varphi \chi \psi \omega",
    "ΓΔΘΛΞΠΣΦΨΩ": r"\Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Phi \Psi \Omega",
    "‖∥∇∂±×·∞√∑∫": r"\Vert \parallel \nabla \partial \pm \times \cdot \infty \surd \sum \int",
    "≤≥≠≈∈→∝⟨⟩": r"\le \ge \neq \approx \in \to \propto \langle \rangle",
}
_MATHEMATICS = {
    shown: command
    for several, commands in _NAMES.items()
    for shown, command in zip(several, commands.split(), strict=True)
}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))

ESCAPES = MappingProxyType(
    {
        "\\": r"\textbackslash{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        "−": r"\ensuremath{-}",
        "–": r"\textendash{}",
        "—": r"\textemdash{}",
        "…": r"\ldots{}",
        **{shown: rf"\ensuremath{{{command}}}" for shown, command in _MATHEMATICS.items()},
        **{shown: rf"\ensuremath{{^{{{digit}}}}}" for shown, digit in _RAISED.items()},
    }
)
"""What stands for characters that mean something to LaTeX, or that its fonts have not."""

_LAST_KNOWN = "\u017f"
"""The accented letters up to this one are known to LaTeX without another package."""


def escaped(text: str) -> str:
    """Return text as LaTeX shows it.

    A character that no LaTeX would show without further packages stands as its number: ``U+4E2D``. Line
    breaks become spaces, and hyphens that follow each other stay apart, as in the options of commands.
    """
    shown = "".join(_escaped(character) for character in " ".join(text.split()))
    return re.sub("-(?=-)", "-{}", shown)


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    known = character.isprintable() and (character.isascii() or _is_accented_letter(character))
    return character if known else f"U+{ord(character):04X}"


def _is_accented_letter(character: str) -> bool:
    return character.isalpha() and "\u00c0" <= character <= _LAST_KNOWN


def row_of(cells: tuple[str, ...]) -> str:
    r"""Return a row of a table.

    A command such as ``\\`` or ``\midrule`` before it reads a bracket or a star as its argument, so that
    neither may be the first character.
    """
    row = " & ".join(map(escaped, cells)) + r" \\"
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def comment_of(text: str) -> str:
    """Return a comment, on one line whatever the text."""
    return f"% {' '.join(text.split())}"
