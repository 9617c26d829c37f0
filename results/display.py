"""How values and foreign names are shown as text. What is not known is a dash, never a zero."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Protocol

DASH: Final = "–"
MINUS: Final = "\u2212"
GLUE: Final = "\u00a0"
"""A space at which no line breaks."""

LONGEST_NAME: Final = 60

_INVISIBLE: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

_BROAD: Final = frozenset("ABCDEGHKNOQRSUVX&<>=+~^#⟨⟩")

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", "|": "&#124;"}
_MARKUP: Final = re.compile(r"[\\`*~$|]|&(?=[\w#])|<(?=[\w/!?])|\](?=[(\[:])|(?<!\w)_|_(?!\w)")


class Interval(Protocol):
    """Anything with a mean and, perhaps, limits."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def name(text: object, longest: int = LONGEST_NAME) -> str:
    """A name from a row as visible text: control and direction marks are spelled out, long names are cut.

    The result is not escaped: the template escapes it for HTML, ``markdown`` for Markdown.
    """
    if text is None:
        return DASH
    seen = str(text)
    if not seen.replace(GLUE, " ").isprintable():  # quick, and true of nearly all names
        seen = "".join(f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _INVISIBLE else c for c in seen)
    return seen if len(seen) <= longest else seen[: longest - 1] + "…"


def short(text: object, letters: int) -> str:
    """A name cut to the width of so many ordinary letters, for a place that does not grow: wide letters count more."""
    shown, left = name(text), float(letters)
    for index, letter in enumerate(shown):
        left -= 1.8 if letter in "WMmw@%" or unicodedata.east_asian_width(letter) in "WF" else 1.0
        left -= 0.4 if letter in _BROAD else 0.0
        if left < 0:
            return f"{shown[: max(1, index - 1)]}…"
    return shown


def markdown(text: object) -> str:
    """Any text as the content of a Markdown line or table cell: nothing in it is markup."""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), name(text, longest=2000))


def number(value: object, digits: int = 3) -> str:
    """A number with so many significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:,.{_decimals(abs(value), digits)}f}".replace("-", MINUS)
    return f"{value:.{digits - 1}e}".replace("-", MINUS)


def count(value: object) -> str:
    """A whole number with separators; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    return f"{round(value):,}"


def spanned(mean: object, low: object, high: object, sign: bool = False) -> str:
    """A mean with its interval, if it has one, at a precision that suits the interval's width."""
    if not _is_finite(mean, low, high):
        return signed(mean) if sign else number(mean)
    assert isinstance(mean, (int, float))
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    text, left, right = _alike((mean, low, high), high - low)
    return f"{'+' if sign and mean > 0 else ''}{text} [{left},{GLUE}{right}]"


def signed(value: object, digits: int = 3) -> str:
    """A difference: as ``number``, with its sign."""
    text = number(value, digits)
    return f"+{text}" if isinstance(value, (int, float)) and value > 0 and text != DASH else text


def interval(low: object, high: object) -> str:
    """``[low, high]`` at a precision that suits its width; a dash where there is no interval."""
    if not _is_finite(low, high):
        return DASH
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    left, right = _alike((low, high), high - low)
    return f"[{left},{GLUE}{right}]"


def estimate(found: Interval | None) -> str:
    """A mean with its interval; a dash where there is none."""
    return DASH if found is None else spanned(found.mean, found.low, found.high)


def percent(value: object) -> str:
    """A share as per cent; a dash where there is none. What is nearly nothing or nearly all is never said to be so."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    if 0 < value < 0.005 or 0.995 <= value < 1:
        return f"< 1{GLUE}%" if value < 0.5 else f"> 99{GLUE}%"
    return f"{100 * value:.0f}{GLUE}%".replace("-", MINUS)


def p_value(value: object) -> str:
    """A p value with two digits; below 0.001 only that."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def scaled(value: object, unit: str) -> str:
    """A cost with a prefix that a person reads: seconds, bytes, flops or joules."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    if unit == "seconds":
        return f"{number(value * 1000, 2)}{GLUE}ms" if 0 < abs(value) < 0.1 else f"{number(value)}{GLUE}s"
    base, units = {
        "bytes": (1024.0, ("B", "KiB", "MiB", "GiB", "TiB")),
        "flops": (1000.0, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP")),
        "joules": (1000.0, ("J", "kJ", "MJ", "GJ", "TJ")),
    }[unit]
    power = 0
    while abs(value) >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{number(value)}{GLUE}{units[power]}"


def plural(number_of: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{number_of:,} {noun}" if number_of == 1 else f"{number_of:,} {noun}s"


def _is_finite(*values: object) -> bool:
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def _decimals(size: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(size)))


def _alike(values: Sequence[float], width: float) -> list[str]:
    """Values to the same place, the second digit of half the width; with powers of ten where they are far from 1."""
    size = max(map(abs, values))
    if size == 0:
        return ["0"] * len(values)
    # Where nothing is between low and high, four digits of the value itself.
    most = math.floor(math.log10(size))
    finest = math.floor(math.log10(width) - math.log10(2)) - 1 if 0 < width < math.inf else most - 3
    finest = max(finest, most - 15)
    plain = [_fixed(value, max(0, -finest)) for value in values]
    if size < 1e6 and finest >= -6:
        return plain
    powers = [_power(value, finest) for value in values]
    return min(plain, powers, key=lambda texts: sum(map(len, texts)))


def _fixed(value: float, places: int) -> str:
    text = f"{value:,.{places}f}" if abs(value) >= 1e6 else f"{value:.{places}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) != 0 else text.lstrip("-")


def _power(value: float, finest: int) -> str:
    """A number with a power of ten, down to the digit that stands for ten to the power ``finest``."""
    if value == 0 or abs(value) < 10.0**finest / 2:
        return "0"
    return f"{value:.{max(0, math.floor(math.log10(abs(value))) - finest)}e}".replace("-", MINUS)
