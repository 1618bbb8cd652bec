/**
 * Numbers as text, exactly as `jupyter_energy/units.py` writes them: both are tested against
 * `tests/golden/units.json`, so that a page and a cell's output never disagree.
 */
import type { Measured, Range } from './protocol';

/** (lower bound in the base unit, size of the unit in the base unit, symbol), ascending. */
export type Scale = readonly (readonly [number, number, string])[];

export const ENERGY_J: Scale = [
  [0, 1e-6, 'µJ'],
  [1e-3, 1e-3, 'mJ'],
  [1, 1, 'J'],
  [1e3, 1e3, 'kJ'],
  [3600, 3600, 'Wh'],
  [3.6e6, 3.6e6, 'kWh']
];
export const POWER_W: Scale = [
  [0, 1e-3, 'mW'],
  [1, 1, 'W'],
  [1e3, 1e3, 'kW']
];
export const MASS_G: Scale = [
  [0, 1e-6, 'µg'],
  [1e-3, 1e-3, 'mg'],
  [1, 1, 'g'],
  [1e3, 1e3, 'kg'],
  [1e6, 1e6, 't']
];

/** One number with its unit, for example "12.4 J"; 0 is "0" with the base unit. */
export function quantity(value: number, scale: Scale, digits = 3): string {
  if (value === 0) {
    return `0 ${scale.find(([, size]) => size === 1)?.[2] ?? ''}`;
  }
  const [size, symbol] = unitShown(value, scale, digits);
  return `${rounded(value / size, digits)} ${symbol}`;
}

/** No sensor is as good as this: an interval so narrow is none, and has no digits left to show. */
const NO_UNCERTAINTY = 1e-12;

/** A measurement, for example "735 ± 41 J"; "< 1.2 J" where it is below its own uncertainty. */
export function measured([value, u95]: Measured, scale: Scale = ENERGY_J): string {
  if (u95 <= NO_UNCERTAINTY * Math.abs(value)) {
    return quantity(value, scale);
  }
  if (value < u95) {
    return `< ${quantity(value + u95, scale, 2)}`;
  }
  const [size, symbol] = unitFor(value, scale);
  const shown = Number(fixed(u95 / size, 1 - exponent(u95 / size)));
  const places = 1 - exponent(shown);
  const number = Number(fixed(value / size, places));
  const decimals = Math.max(0, places);
  return `${fixed(number, decimals)} ± ${fixed(shown, decimals)} ${symbol}`;
}

/** A measurement without its ±: three digits, or fewer where its uncertainty leaves fewer. */
export function measuredAlone(value: Measured, scale: Scale = ENERGY_J): string {
  const [number = '', rest] = measured(value, scale).split(' ± ');
  if (rest === undefined) {
    return number;
  }
  const known = `${number} ${rest.slice(rest.indexOf(' ') + 1)}`;
  const short = quantity(value[0], scale);
  return short.length < known.length ? short : known;
}

/** A lower bound below this share of the upper one is told as none. */
const LEAST_SHARE_OF_A_RANGE = 1e-3;

/** An estimate, for example "≈ 12 J (6.0–24 J)", "≈ 0.85 mJ (up to 65 mJ)", "up to 65 mJ"; no ±. */
export function estimated([low, mid, high]: Range, scale: Scale = ENERGY_J): string {
  if (high === 0) {
    return `≈ ${quantity(0, scale)}`;
  }
  if (mid === 0) {
    return `up to ${quantity(high, scale, 2)}`;
  }
  // middle and upper bound share a unit that suits both, so it is one for what lies between
  const [size, symbol] = unitShown(Math.sqrt(mid * high) || high, scale, 2);
  const two = (number: number): string => rounded(number / size, 2);
  // Next to nothing is nothing, in a range.
  const bounds =
    low < LEAST_SHARE_OF_A_RANGE * high ? `up to ${two(high)}` : `${two(low)}–${two(high)}`;
  return `≈ ${two(mid)} ${symbol} (${bounds} ${symbol})`;
}

/** The middle of an estimate where there is no room for its range, for example "≈ 2.9 W". */
export function about(value: number, scale: Scale): string {
  return `≈ ${quantity(value, scale, 2)}`;
}

/** A share, for example "62 %"; what is there but rounds to nothing is "< 1 %". */
export function percent(fraction: number): string {
  return fraction > 0 && fraction < 0.005 ? '< 1 %' : `${fixed(fraction * 100, 0)} %`;
}

/** A carbon intensity, for example "44.3 g/kWh". */
export function intensity(gPerKwh: number): string {
  return `${rounded(gPerKwh, 3)} g/kWh`;
}

/** A number without a unit, such as a PUE, with three significant digits: "1.2", "1.56". */
export function plain(number: number): string {
  return String(Number(rounded(number, 3)));
}

/** A duration, for example "2.31 s", "4 min 12 s" or "1 h 05 min". */
export function duration(seconds: number): string {
  if (seconds < 0.9995) {
    return `${rounded(seconds * 1e3, 3)} ms`;
  }
  if (seconds < 60) {
    return `${rounded(seconds, 3)} s`;
  }
  const whole = Number(fixed(seconds, 0));
  const two = (number: number): string => String(number).padStart(2, '0');
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
    : `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** The unit that suits a value given in the base unit: [its size in the base unit, symbol]. */
function unitFor(value: number, scale: Scale): [number, string] {
  let chosen: [number, string] = [1, ''];
  for (const [index, [bound, size, symbol]] of scale.entries()) {
    if (index === 0 || Math.abs(value) >= bound) {
      chosen = [size, symbol];
    }
  }
  return chosen;
}

/** The unit that suits what is shown: 999.7 mJ in two digits is 1.0 J, not 1000 mJ. */
function unitShown(value: number, scale: Scale, digits: number): [number, string] {
  const [size] = unitFor(value, scale);
  return unitFor(Number(rounded(value / size, digits)) * size, scale);
}

/** ⌊log₁₀ |number|⌋, without the rounding error of a logarithm. */
function exponent(number: number): number {
  return Number(number.toExponential().split('e')[1]);
}

/** A number with that many significant digits, without an exponent; 0 stays "0". */
function rounded(value: number, digits: number): string {
  if (value === 0) {
    return '0';
  }
  const number = Number(fixed(value, digits - 1 - exponent(value)));
  // rounding can carry: 9.96 with two digits is 10, not 10.0
  return fixed(number, number === 0 ? 0 : Math.max(0, digits - 1 - exponent(number)));
}

/**
 * A number to so many decimals (negative: tens, hundreds). A tie goes to the even neighbour as in
 * Python, where `toFixed` takes the larger one; both see the exact value of the binary number.
 */
function fixed(value: number, places: number): string {
  const size = Math.abs(value);
  const [whole = '', fraction = ''] =
    size < 1e21 ? size.toFixed(100).split('.') : [BigInt(size).toString()];
  const keep = Math.max(0, whole.length + places);
  // the zero in front is there where no digit of the number is kept
  const digits = `0${whole}${fraction}`;
  const head = digits.slice(0, keep + 1).padEnd(keep + 1, '0');
  const tail = digits.slice(keep + 1);
  const half = '5'.padEnd(tail.length, '0');
  const isOdd = Number(head.slice(-1)) % 2 === 1;
  const up = whole.length + places >= 0 && (tail > half || (tail === half && isOdd));
  const kept = BigInt(head) + (up ? 1n : 0n);
  const sign = value < 0 && kept > 0n ? '-' : '';
  if (places <= 0) {
    return `${sign}${kept * 10n ** BigInt(-places)}`;
  }
  const text = kept.toString().padStart(places + 1, '0');
  return `${sign}${text.slice(0, -places)}.${text.slice(-places)}`;
}
