import { describe, expect, it } from 'vitest';

import * as format from '../src/format';
import { units } from './golden';

const SCALES = { energy: format.ENERGY_J, power: format.POWER_W, mass: format.MASS_G };

function shown(call: string, scale: format.Scale, numbers: number[]): string {
  const [first = NaN, second = NaN, third = NaN] = numbers;
  switch (call) {
    case 'measured':
      return format.measured([first, second], scale);
    case 'estimated':
      return format.estimated([first, second, third], scale);
    case 'quantity':
      return format.quantity(first, scale);
    case 'about':
      return format.about(first, scale);
    case 'duration':
      return format.duration(first);
    case 'intensity':
      return format.intensity(first);
    case 'percent':
      return format.percent(first);
    case 'plain':
      return format.plain(first);
    default:
      throw new Error(`the golden file asks for ${call}, which this test does not know`);
  }
}

describe('numbers as text', () => {
  it('reads as Python writes them, every one of the golden file', () => {
    const mine = units.map(({ call, scale, arguments: numbers }) =>
      shown(call, SCALES[scale ?? 'energy'], numbers)
    );
    expect(mine).toEqual(units.map(({ text }) => text));
  });

  it('rounds an exact tie to the even neighbour, as Python does', () => {
    expect([0.125, 0.375, 2.5, 3.5].map(x => format.quantity(x, format.POWER_W, 1))).toEqual([
      '100 mW',
      '400 mW',
      '2 W',
      '4 W'
    ]);
    expect([0.125, 0.375].map(format.percent)).toEqual(['12 %', '38 %']);
    expect(format.quantity(1250, [[0, 1, 'J']], 2)).toBe('1200 J');
    expect(format.quantity(1350, [[0, 1, 'J']], 2)).toBe('1400 J');
  });

  it('writes numbers of any size without an exponent', () => {
    expect(format.quantity(1e30, format.ENERGY_J)).toMatch(/^278\d{21} kWh$/);
    expect(format.quantity(9.99999e20, [[0, 1, 'J']])).toBe('1000000000000000000000 J');
  });

  it('shows a measurement alone with no more digits than its uncertainty leaves', () => {
    expect(format.measuredAlone([1234567, 51234])).toBe('343 Wh');
    expect(format.measuredAlone([100, 40])).toBe('100 J');
    expect(format.measuredAlone([4.1, 0.8])).toBe('4.10 J');
    expect(format.measuredAlone([12.34, 3])).toBe('12.3 J');
    expect(format.measuredAlone([0.02, 1.2])).toBe('< 1.2 J');
    expect(format.measuredAlone([42, 0])).toBe('42.0 J');
  });
});
