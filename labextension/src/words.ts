/** Words that both the item and its details use. */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Totals } from './protocol';

/** As in a cell's output: CO₂e of measured energy is `computed`, never measured. */
export type Look = 'measured' | 'estimated' | 'computed' | 'unknown' | 'quiet';

/** "≈ 27 W" as "about 27 watts". */
export function spoken(text: string, trans: TranslationBundle): string {
  const words: Readonly<Record<string, string>> = {
    '≈': trans.__('about'),
    '<': trans.__('less than'),
    mW: trans.__('milliwatts'),
    W: trans.__('watts'),
    kW: trans.__('kilowatts'),
    µJ: trans.__('microjoules'),
    mJ: trans.__('millijoules'),
    J: trans.__('joules'),
    kJ: trans.__('kilojoules'),
    Wh: trans.__('watt-hours'),
    kWh: trans.__('kilowatt-hours'),
    µg: trans.__('micrograms'),
    mg: trans.__('milligrams'),
    g: trans.__('grams'),
    kg: trans.__('kilograms'),
    t: trans.__('tonnes')
  };
  return text
    .split(' ')
    .map(word => words[word] ?? word)
    .join(' ');
}

/** Why there is no energy. */
export function whyNoEnergy(
  totals: Totals | null,
  measuring: boolean,
  trans: TranslationBundle
): string {
  if (totals === null) {
    return trans.__('the kernel has told nothing of this document yet');
  }
  if (totals.runs > 0) {
    return trans.__('no energy was measured or estimated');
  }
  return measuring
    ? trans.__('nothing measured yet: run a cell')
    : trans.__(
        'nothing measured yet: put %1 on the first line of a cell, or type %2',
        '%%energy',
        '%energy on'
      );
}

/** Why there are no grams. */
export function whyNoCarbon(
  totals: Totals | null,
  measuring: boolean,
  trans: TranslationBundle
): string {
  if (totals?.kind) {
    return trans.__(
      'its grams are by several kinds of intensity, which do not add: %1',
      totals.kind
    );
  }
  return totals?.measured_j || totals?.estimated_j
    ? trans.__('no carbon intensity is known; set your place with %energy zone FR')
    : whyNoEnergy(totals, measuring, trans);
}
