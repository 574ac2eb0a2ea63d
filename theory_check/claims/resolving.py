"""What a declared band must be able to tell apart."""

from __future__ import annotations

from theory_check.errors import InvalidArgumentError, require_positive, shortened


def require_resolving(
    argument: str, resolution: float, exponent: float, rivals: tuple[float, ...]
) -> None:
    """Refuse a band around ``exponent`` wider than a quarter of the gap to the nearest rival.

    Two intervals, one inside the band and one inside a band of the same width around the rival,
    are then at least half of the gap apart.
    """
    require_positive(argument, resolution)
    if not rivals or exponent in rivals:
        raise InvalidArgumentError(
            "rivals",
            shortened(rivals),
            f"name the exponents other than {exponent:g} that alternatives predict, the nearest first",
        )
    rival = min(rivals, key=lambda other: abs(other - exponent))
    allowed = abs(rival - exponent) / 4
    if resolution > allowed:
        raise InvalidArgumentError(
            argument,
            shortened(resolution),
            f"pass at most {allowed:g}, a quarter of the gap from {exponent:g} to its nearest rival "
            f"{rival:g}",
        )
