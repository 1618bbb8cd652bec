/** The messages that both halves are tested with, by the names of their files. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ILive, Live, Totals } from '../src/protocol';

const GOLDEN = join(dirname(fileURLToPath(import.meta.url)), '../../tests/golden');

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(GOLDEN, name), 'utf-8'));
}

/** A fresh copy each time, so that a test may change it. */
export function golden(name: string): ILive {
  return read(`live/${name}.json`) as ILive;
}

/** The same with what was left out, because it is plain, filled in. */
export function whole(name: string): Live {
  const sent = golden(name);
  const devices = sent.devices.map(device => ({ name: '', reason: null, ...device }));
  const plain = { measuring: true, notebooks: 1, host: '', gpu_asleep: false, note: null };
  const place = sent.place && { held: '', note: '', ...sent.place };
  const [notebook, session] = [sent.notebook, sent.session].map(totals => ({
    kind: totals.carbon_g && (place?.kind ?? null),
    doubtful: totals.carbon_g !== null && (place?.how !== 'set' || place.note !== ''),
    ...totals
  })) as [Totals, Totals];
  return { ...plain, ...sent, devices, notebook, session, place };
}

export const names: string[] = readdirSync(join(GOLDEN, 'live'))
  .filter(name => name.endsWith('.json'))
  .map(name => name.slice(0, -'.json'.length))
  .sort();

/** A number as text: a function of `format.ts`, what it is given and what it must give. */
export interface IUnitsExample {
  call: string;
  scale: 'energy' | 'power' | 'mass' | null;
  arguments: number[];
  text: string;
}

export const units = read('units.json') as IUnitsExample[];
