/** The messages that both halves are tested with, by the names of their files. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ILive } from '../src/protocol';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), '../../tests/golden/live');

/** A fresh copy each time, so that a test may change it. */
export function golden(name: string): ILive {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf-8')) as ILive;
}

export const names: string[] = readdirSync(FOLDER)
  .filter(name => name.endsWith('.json'))
  .map(name => name.slice(0, -'.json'.length))
  .sort();
