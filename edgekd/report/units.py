"""How numbers are written: the one place that turns a measured value into text."""

from __future__ import annotations

import math

from pydantic import JsonValue

TIMES = "\u00d7"
TO = "\u2013"
MINUS = "\u2212"

FINE_SAMPLES = 5000
"""Test sets of at least this many images get two decimals in an accuracy, smaller ones one."""


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, never in exponent form: `0.412`, `13.1`, `1,240`."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, decimals)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else decimals
    return f"{rounded:,.{decimals}f}".replace("-", MINUS)


def _scaled(value: float, base: str, prefixes: tuple[str, ...]) -> str:
    step = 0
    while abs(value) >= 999.5 and step < len(prefixes) - 1:
        value, step = value / 1000, step + 1
    text = f"{value:.0f}" if step == 0 else significant(value)
    return f"{text} {prefixes[step]}{base}".rstrip()


def size(value: float) -> str:
    """Bytes in decimal units: `512 B`, `26.0 MB`."""
    return _scaled(value, "B", ("", "k", "M", "G", "T"))


def count(value: float) -> str:
    """A large count: `860`, `78.0 k`, `25.6 M`, `4.09 G`."""
    return _scaled(value, "", ("", "k", "M", "G", "T"))


def integer(value: float) -> str:
    """An exact count with separators: `50,000`."""
    return f"{round(value):,}"


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{significant(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def percent(fraction: float, samples: int | None = None, *, unit: bool = True) -> str:
    """A fraction of a test set: one decimal, two when the set is large enough to mean it."""
    return f"{fraction * 100:.{_decimals(samples)}f}" + (" %" if unit else "")


def _decimals(samples: int | None) -> int:
    return 2 if samples is not None and samples >= FINE_SAMPLES else 1


def share(fraction: float) -> str:
    """A ratio in percent with two significant digits below 10 %: `0.83 %`, `9.2 %`, `34 %`, `100 %`."""
    value = fraction * 100
    return f"{significant(value, 2) if value < 9.95 else f'{value:.0f}'} %"


def points(fraction: float, samples: int | None = None) -> str:
    """A signed difference of two accuracies in percentage points, without the unit: `+1.2`."""
    return signed(fraction * 100, _decimals(samples))


def signed(value: float, decimals: int) -> str:
    """`+1.2`, `-0.4` (with a true minus), `0.0`."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def ratio(value: float) -> str:
    """`2.6x` with a true multiplication sign; two decimals below 2, where they matter."""
    return f"{value:.2f}{TIMES}" if value < 2 else f"{significant(value, 2 if value < 10 else 3)}{TIMES}"


def error(value: float) -> str:
    """A numerical error: two significant digits, exponent form when small."""
    return "0" if value == 0 else f"{value:.2g}".replace("-", MINUS)


def plain(value: float) -> str:
    """A setting that a person wrote: no more digits than it has."""
    return f"{value:g}".replace("-", MINUS)


MANY = 20
"""Longer lists of facts are cut; report.json has them in full."""


def name(key: str) -> str:
    """A key of the document in words."""
    return key.replace("_", " ")


def fact(value: JsonValue) -> str:
    """A JSON value in one line; a recipe's `{method: {option: value}}` reads `method (option: value)`."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return plain(value)
        case list():
            parts = [fact(item) for item in value]
        case dict():
            parts = [_entry(key, item) for key, item in value.items()]
        case _:
            return str(value)
    more = f" and {len(parts) - MANY} more (all are in report.json)" if len(parts) > MANY else ""
    return ", ".join(parts[:MANY]) + more if parts else "none"


def _entry(key: str, value: JsonValue) -> str:
    if isinstance(value, dict):
        return f"{key} ({fact(value)})" if value else key
    return f"{key}: {fact(value)}"


def quantity(value: float, unit: str) -> str:
    """A value with the unit that the document names."""
    match unit:
        case "bytes":
            return size(value)
        case "agreement":
            return f"{value * 100:.2f} %"
        case "points":
            return f"{value:.2f}".replace("-", MINUS) + " points"
        case "x":
            return ratio(value)
        case "relative":
            return f"{error(value)} relative"
        case _:
            return f"{significant(value)} {unit}".rstrip()
