"""Units: every conversion and every rendering of a number.

Inside the package: s, W, J, g CO2e, g/kWh. The functions here are the only place where a
number becomes text, so that a cell, the summary and the shell never disagree.
"""

from __future__ import annotations

import math
import re

from .errors import WrongUse
from .uncertainty import Range, Uncertain

J_PER_WH = 3600.0
J_PER_KWH = 3.6e6
UJ_PER_J = 1e6
MJ_PER_J = 1e3  # NVML counts in millijoules
MW_PER_W = 1e3  # and gives power in milliwatts
NS_PER_S = 1e9

# (lower bound in the base unit, size of the unit in the base unit, symbol)
Scale = tuple[tuple[float, float, str], ...]
ENERGY_J: Scale = (
    (0.0, 1e-6, "µJ"),
    (1e-3, 1e-3, "mJ"),
    (1.0, 1.0, "J"),
    (1e3, 1e3, "kJ"),
    (J_PER_WH, J_PER_WH, "Wh"),
    (J_PER_KWH, J_PER_KWH, "kWh"),
)
POWER_W: Scale = ((0.0, 1e-3, "mW"), (1.0, 1.0, "W"), (1e3, 1e3, "kW"))
MASS_G: Scale = (
    (0.0, 1e-6, "µg"),
    (1e-3, 1e-3, "mg"),
    (1.0, 1.0, "g"),
    (1e3, 1e3, "kg"),
    (1e6, 1e6, "t"),
)
NOT_MEASURED = "not measured"


def scale_for(value: float, scale: Scale) -> tuple[float, str]:
    """The unit that suits a value given in the base unit: (its size in the base unit, symbol)."""
    chosen = scale[0]
    for step in scale:
        if abs(value) >= step[0]:
            chosen = step
    return chosen[1], chosen[2]


def _decimals(number: float, digits: int) -> int:
    """How many decimals show `number` with that many significant digits; at least 0."""
    if number == 0 or not math.isfinite(number):
        return 0
    return max(0, digits - 1 - math.floor(math.log10(abs(number))))


def _rounded(number: float, digits: int) -> str:
    """A number with that many significant digits, without an exponent; 0 stays "0"."""
    if number == 0:
        return "0"
    magnitude = digits - 1 - math.floor(math.log10(abs(number)))
    number = round(number, magnitude)
    # Rounding can carry: 9.96 with two digits is 10, not 10.0.
    return f"{number:.{_decimals(number, digits)}f}"


def quantity(value: float, scale: Scale, digits: int = 3) -> str:
    """One number with its unit, for example "12.4 J"; 0 is "0" with the base unit."""
    if value == 0:
        return f"0 {next(symbol for _, size, symbol in scale if size == 1.0)}"
    size, symbol = _scale_shown(value, scale, digits)
    return f"{_rounded(value / size, digits)} {symbol}"


def _scale_shown(value: float, scale: Scale, digits: int) -> tuple[float, str]:
    """The unit that suits what is shown: 999.7 mJ in two digits is 1.0 J, not 1000 mJ."""
    size, _ = scale_for(value, scale)
    return scale_for(float(_rounded(value / size, digits)) * size, scale)


def two_digits(number: float) -> str:
    """A number alone with two significant digits, for a bound of what is shown with its unit."""
    return _rounded(number, 2)


# No sensor is as good as this: an interval so narrow is none, and has no digits left to show.
NO_UNCERTAINTY = 1e-12


def measured(value: Uncertain, scale: Scale = ENERGY_J) -> str:
    """A measurement, for example "735 ± 41 J": two significant digits of uncertainty (95 %).

    A value below its own uncertainty is "< 1.2 J": the sensor cannot tell it from nothing.
    """
    u95 = value.u95
    if u95 <= NO_UNCERTAINTY * abs(value.value):
        return quantity(value.value, scale)
    if value.value < u95:
        return f"< {quantity(value.value + u95, scale, 2)}"
    size, symbol = scale_for(value.value, scale)
    shown = round(u95 / size, 1 - math.floor(math.log10(u95 / size)))
    places = 1 - math.floor(math.log10(shown))
    number = round(value.value / size, places)
    decimals = max(0, places)
    return f"{number:.{decimals}f} ± {shown:.{decimals}f} {symbol}"


def measured_alone(value: Uncertain, scale: Scale = ENERGY_J) -> str:
    """A measurement without its ±: three digits, or fewer where its uncertainty leaves fewer."""
    number, _, rest = measured(value, scale).partition(" ± ")
    if not rest:
        return number
    known = f"{number} {rest.partition(' ')[2]}"
    return min(known, quantity(value.value, scale), key=len)


# A lower bound below this share of the upper one is told as none.
LEAST_SHARE_OF_A_RANGE = 1e-3


def estimated(value: Range, scale: Scale = ENERGY_J) -> str:
    """An estimate, for example "≈ 12 J (6.0–24 J)": never a ±, never three digits.

    One that may as well be nothing says "≈ 0.85 mJ (up to 65 mJ)", and one whose middle is nothing
    "up to 65 mJ".
    """
    if value.high == 0:
        return f"≈ {quantity(0, scale)}"
    if value.mid == 0:
        return f"up to {quantity(value.high, scale, 2)}"
    # Middle and upper bound share a unit that suits both, so it is one for what lies between.
    size, symbol = _scale_shown(math.sqrt(value.mid * value.high) or value.high, scale, 2)

    def two(number: float) -> str:
        return _rounded(number / size, 2)

    # Next to nothing is nothing, in a range.
    from_nothing = value.low < LEAST_SHARE_OF_A_RANGE * value.high
    bounds = f"up to {two(value.high)}" if from_nothing else f"{two(value.low)}–{two(value.high)}"
    return f"≈ {two(value.mid)} {symbol} ({bounds} {symbol})"


def about(value: float, scale: Scale) -> str:
    """The middle of an estimate where a column has no room for its range, for example "≈ 2.9 W"."""
    return f"≈ {quantity(value, scale, 2)}"


def percent(fraction: float) -> str:
    """A share, for example "62 %"; what is there but rounds to nothing is "< 1 %"."""
    if 0 < fraction < 0.005:
        return "< 1 %"
    return f"{fraction * 100:.0f} %"


def intensity(g_per_kwh: float) -> str:
    """A carbon intensity, for example "44.3 g/kWh"."""
    return f"{_rounded(g_per_kwh, 3)} g/kWh"


def plain(number: float) -> str:
    """A number without a unit, such as a PUE, with three significant digits: "1.2", "1.56"."""
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """A duration, for example "2.31 s", "4 min 12 s" or "1 h 05 min"."""
    if seconds < 0.9995:
        return f"{_rounded(seconds * 1e3, 3)} ms"
    if seconds < 60:
        return f"{_rounded(seconds, 3)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def carbon_g(energy_j: float, g_per_kwh: float, pue: float = 1.0) -> float:
    """Grams of CO2e of an energy in J: E · I · PUE (ISO/IEC 21031, the O of the SCI)."""
    return energy_j / J_PER_KWH * g_per_kwh * pue


_LIMIT = re.compile(r"^\s*((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]+)\s*$", re.ASCII)
# Any case will do but that of m and M, which are a factor of 10⁹ apart.
_LIMIT_SIZES = {
    "mj": 1e-3,
    "j": 1.0,
    "kj": 1e3,
    "Mj": 1e6,
    "mwh": 3.6,
    "wh": J_PER_WH,
    "kwh": J_PER_KWH,
    "Mwh": 1e3 * J_PER_KWH,
    "mg": 1e-3,
    "g": 1.0,
    "kg": 1e3,
}


def parse_limit(text: str) -> tuple[float, str]:
    """A limit such as "5Wh", "20 kJ" or "3g" as (size, "J") or (size, "g").

    Raises WrongUse without a number or a unit.
    """
    found = _LIMIT.match(text)
    number, unit = found.groups() if found else ("", "")
    unit = unit[:1] + unit[1:].lower() if unit[:1] in "mM" else unit.lower()
    size = float(number or "nan") * _LIMIT_SIZES.get(unit, math.nan)
    if not math.isfinite(size):  # nothing would ever pass 1e400 Wh
        raise WrongUse(
            f"{text!r:.60} is no limit: write a number and a unit, such as 5Wh, 20kJ or 3g"
        )
    return size, "g" if unit.endswith("g") else "J"


_DURATION = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*$", re.ASCII)
DURATION_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str, bare: str = "h") -> float:
    """A duration such as "90min", "6h", "2d" or "6" in s; a `bare` number is in that unit.

    Raises WrongUse for what is none.
    """
    found = _DURATION.match(text)
    number, unit = found.groups() if found else ("nan", bare)
    seconds = float(number) * DURATION_S.get(unit.lower() or bare, math.nan)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise WrongUse(f"{text!r:.60} is no duration: write such as 6h, 90min, 30s or 2d")
    return seconds
