"""How a hole's value is written: counts by the voice's number style, intervals around an estimate, cases."""

import math
import random
from collections.abc import Callable

Filter = Callable[[object, random.Random, str], object]
NUMBER_STYLES = ("plain", "comma", "mixed")
NEAR_SPREADS = (0.35, 0.8)
WIDE_SPREADS = (1.3, 2.6)


def as_text(value: object) -> str:
    """Return `value` as an abstract would write it: a list as `a, b and c`, a whole float with no point."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple):
        return _join_names([as_text(item) for item in value])
    return str(value)


def _join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _count(value: object, rng: random.Random, numbers: str) -> str:
    number = _number(value)
    if number is None or not number.is_integer():
        return as_text(value)
    comma = numbers == "comma" or (numbers == "mixed" and rng.random() < 0.5)
    return f"{int(number):,}" if comma else str(int(number))


def _size(value: object, rng: random.Random, numbers: str) -> object:
    number = _number(value)
    return value if number is None else as_text(value).removeprefix("-")


def _interval(value: object, rng: random.Random, spreads: tuple[float, float]) -> str:
    number = _number(value) or 0.0
    half = max(abs(number), 0.01) * rng.uniform(*spreads)
    decimals = _decimals(value)
    return f"{number - half:.{decimals}f} to {number + half:.{decimals}f}"


def _ratio_interval(value: object, rng: random.Random, spreads: tuple[float, float]) -> str:
    middle = math.log(max(_number(value) or 1.0, 0.01))
    half = max(abs(middle), 0.05) * rng.uniform(*spreads)
    return f"{math.exp(middle - half):.2f} to {math.exp(middle + half):.2f}"


def _decimals(value: object) -> int:
    return max(len(as_text(value).partition(".")[2]), 1 if abs(_number(value) or 0) < 10 else 0)


def _capitalise(value: object, rng: random.Random, numbers: str) -> str:
    text = as_text(value)
    return text[:1].upper() + text[1:]


def _article(value: object, rng: random.Random, numbers: str) -> str:
    text = as_text(value)
    return ("an " if text[:1].lower() in "aeiou" else "a ") + text


FILTERS: dict[str, Filter] = {
    "count": _count,
    "size": _size,
    "se": lambda value, rng, _: f"{abs(_number(value) or 0.0) / rng.uniform(2.1, 4.5):.{_decimals(value)}f}",
    "near": lambda value, rng, _: _interval(value, rng, NEAR_SPREADS),
    "wide": lambda value, rng, _: _interval(value, rng, WIDE_SPREADS),
    "near_ratio": lambda value, rng, _: _ratio_interval(value, rng, NEAR_SPREADS),
    "wide_ratio": lambda value, rng, _: _ratio_interval(value, rng, WIDE_SPREADS),
    "cap": _capitalise,
    "lower": lambda value, _rng, _: as_text(value).lower(),
    "spaced": lambda value, _rng, _: as_text(value).replace("_", " "),
    "a": _article,
}
