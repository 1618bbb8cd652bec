import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { clean, parseLive } from '../src/parse';
import { golden, names, whole } from './golden';

/** A copy of a message in which what lies at `path` is another value. */
function changed(name: string, path: (string | number)[], value: unknown): unknown {
  const message: unknown = golden(name);
  let inside = message as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) {
    inside = inside[key] as Record<string | number, unknown>;
  }
  inside[path.at(-1) ?? ''] = value;
  return message;
}

/** Every path to a value inside a message. */
function paths(value: unknown, before: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) {
    return [before];
  }
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const inside = value as Record<string | number, unknown>;
  return [before, ...keys.flatMap(key => paths(inside[key], [...before, key]))].filter(
    path => path.length > 0
  );
}

describe('a message of the kernel', () => {
  it.each(names)('is read as it is written, and what is plain is filled in: %s', name => {
    expect(parseLive(golden(name))).toEqual(whole(name));
  });

  it('may have fields that this version does not know, and they are left out', () => {
    expect(parseLive({ ...golden('idle'), trees: 3 })).toEqual(whole('idle'));
  });

  it('names whose data a figure is to the end, as licences ask', () => {
    const source =
      'Energy-Charts (CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de)';
    expect(parseLive(changed('idle', ['place', 'source'], source))?.place?.source).toBe(source);
  });

  it('is refused when it is of another version', () => {
    for (const v of [0, 2, '1', null, undefined, 1.5]) {
      expect(parseLive({ ...golden('idle'), v })).toBeNull();
    }
  });

  it('is refused when it is no object', () => {
    for (const data of [undefined, null, 1, 'idle', [], [golden('idle')], () => 1]) {
      expect(parseLive(data)).toBeNull();
    }
  });

  it('is refused when any field is missing', () => {
    for (const path of paths(golden('running_mixed'))) {
      expect([path, parseLive(changed('running_mixed', path, undefined))]).toEqual([path, null]);
    }
  });

  it('is refused when a field is of another kind', () => {
    for (const path of paths(golden('running_mixed'))) {
      for (const value of [{}, [[]], Symbol('no'), NaN, -1, Infinity]) {
        expect([path, parseLive(changed('running_mixed', path, value))]).toEqual([path, null]);
      }
    }
  });

  it('is refused when a range does not rise or has not three numbers', () => {
    for (const value of [[3, 2, 1], [1, 3, 2], [1, 2], [1, 2, 3, 4], [], 'abc']) {
      expect(parseLive(changed('running_estimated', ['estimated_w'], value))).toBeNull();
    }
  });

  it('is refused when its next message would be awaited for ever or not at all', () => {
    for (const every_s of [0, 1e9]) {
      expect(parseLive({ ...golden('idle'), every_s })).toBeNull();
    }
  });

  it('is refused when more than all of its grams come from estimates', () => {
    expect(parseLive(changed('idle', ['notebook', 'estimated_share'], 1.01))).toBeNull();
  });

  it('never makes the reader throw, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.nat(),
        fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }),
        (name, which, value) => {
          const all = paths(golden(name));
          parseLive(changed(name, all[which % all.length] ?? [], value));
          parseLive(value);
        }
      )
    );
  });

  it('never gives a number that is not finite, nor a text of several lines', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(), fc.anything(), (name, which, value) => {
        const all = paths(golden(name)).filter(path => path[0] !== 'path');
        const read = parseLive(changed(name, all[which % all.length] ?? [], value));
        for (const path of paths(read)) {
          let found: unknown = read;
          for (const key of path) {
            found = (found as Record<string | number, unknown>)[key];
          }
          expect(found).not.toBe(NaN);
          if (path[0] !== 'path' && typeof found === 'string') {
            expect(found).not.toMatch(/[\n\r\u202e]/u);
            expect(found.length).toBeLessThan(330);
          }
        }
      })
    );
  });
});

describe("somebody else's text", () => {
  it('is put on one line, and what would turn it around is made visible', () => {
    expect(clean(' GPU\n\t0 \u202e80GB\u0000\ud800 ', 40)).toBe('GPU 0 \ufffd80GB\ufffd\ufffd');
  });

  it('is cut where it is too long, never within a character', () => {
    expect(clean('123456', 5)).toBe('1234…');
    expect(clean('12345', 5)).toBe('12345');
    expect(clean('🌍🌍🌍', 2)).toBe('🌍…');
    expect(clean(`${' '.repeat(99)}a`, 5)).toBe('…');
  });
});
