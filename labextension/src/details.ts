/** All that is known, in plain lines and rows: the tooltip, and the panel that a click opens. */
import type { TranslationBundle } from '@jupyterlab/translation';

import {
  duration,
  estimated,
  intensity,
  MASS_G,
  measured,
  percent,
  plain,
  POWER_W,
  quantity
} from './format';
import { isCertain } from './parse';
import type { ILiveState, Phase } from './state';
import type { Device, Live, Place, Totals } from './protocol';
import { type Look, whyNoCarbon, whyNoEnergy } from './words';

/** A figure with what it is of and where it comes from. */
export interface IRow {
  label: string;
  text: string;
  look: Look;
  detail: string;
}

/** Rows under a heading. */
export interface ISection {
  heading: string;
  rows: IRow[];
}

/** What the panel holds. */
export interface IPanel {
  /** How things stand, in sentences without their full stop. */
  lines: string[];
  sections: ISection[];
  /** A last line in small print. */
  version: string;
  /** Whether it offers to load the extension (again). */
  offersLoad: boolean;
}

/** The panel of a kernel's state. */
export function panelOf(live: ILiveState, trans: TranslationBundle): IPanel {
  const { message, phase } = live;
  if (phase !== 'live' || message === null) {
    const offersLoad = phase === 'missing' || phase === 'failed';
    return { lines: without(phase, live.reason, trans), sections: [], version: '', offersLoad };
  }
  const last = message.state === 'running' ? message : live.lastRunning;
  const power = last === null ? [] : [powerOf(last, last === message, trans)];
  const totals: ISection[] =
    live.totals === null
      ? [
          {
            heading: trans.__('Totals'),
            rows: [unknownRow(trans.__('energy'), whyNoEnergy(null, message.measuring, trans))]
          }
        ]
      : [
          totalsOf(trans.__('This session'), live.totals.session, message.measuring, trans),
          totalsOf(trans.__('All recorded time'), live.totals.notebook, message.measuring, trans)
        ];
  return {
    lines: linesOf(live, message, trans),
    sections: [...power, ...totals, placeOf(message.place, trans)],
    version:
      live.host === ''
        ? `jupyter-energy ${message.version}`
        : trans.__('%1, measured on %2', `jupyter-energy ${message.version}`, live.host),
    offersLoad: false
  };
}

/** The same in plain lines. */
export function tooltipOf(panel: IPanel): string {
  const rows = panel.sections.flatMap(({ heading, rows }) => [
    `${heading}:`,
    ...rows.map(
      row => `  ${[row.label, row.text].filter(Boolean).join(' ')}${inBrackets(row.detail)}`
    )
  ]);
  return [...panel.lines, ...rows, panel.version].filter(Boolean).join('\n');
}

function inBrackets(detail: string): string {
  return detail === '' ? '' : ` (${detail})`;
}

/** How things stand where the kernel says nothing that is understood. */
function without(phase: Phase, reason: string | null, trans: TranslationBundle): string[] {
  switch (phase) {
    case 'absent':
      return [
        trans.__('jupyter-energy is not loaded in this kernel'),
        trans.__('Click to load it, or run %load_ext jupyter_energy')
      ];
    case 'loading':
      return [trans.__('Loading jupyter-energy, as soon as the kernel is free')];
    case 'missing':
      return [
        trans.__('jupyter-energy is not installed where this kernel runs'),
        trans.__("Install jupyter-energy in this kernel's environment: %pip install jupyter-energy")
      ];
    case 'failed':
      return [trans.__('jupyter-energy did not load'), reason ?? ''].filter(Boolean);
    case 'other-version':
      return [
        trans.__('What the kernel sends about energy cannot be read here'),
        trans.__(
          'Perhaps another version of jupyter-energy runs in the kernel: install the same version there and where Jupyter runs'
        )
      ];
    default:
      return [trans.__('Waiting for the kernel')];
  }
}

function linesOf(live: ILiveState, message: Live, trans: TranslationBundle): string[] {
  const { running_s, note } = message;
  const isRunning = message.state === 'running' || live.silentFor_s !== null;
  const lines = [
    !isRunning
      ? trans.__('No cell is running')
      : running_s === null
        ? trans.__('A cell is running')
        : trans.__('A cell has been running for %1', duration(running_s))
  ];
  if (!message.measuring) {
    lines.push(
      trans.__('Only cells with %1 are measured; %2 measures every cell', '%%energy', '%energy on')
    );
  }
  if (live.silentFor_s !== null) {
    lines.push(
      trans.__(
        'No news for %1: the cell keeps Python busy, or the connection is lost',
        duration(live.silentFor_s)
      )
    );
  }
  if (message.gpu_asleep) {
    lines.push(trans.__('GPU asleep: it is not woken to be measured'));
  }
  if (note !== null) {
    lines.push(trans.__('Note: %1', note));
  }
  return lines;
}

/** Power by device: now, or when a cell last ran. */
function powerOf(message: Live, isNow: boolean, trans: TranslationBundle): ISection {
  const { over_s, measured_w, estimated_w, devices } = message;
  const rows = devices.map(device => deviceRow(device, trans));
  // a sum of one device says nothing new
  const several = (look: Look): boolean => rows.filter(row => row.look === look).length !== 1;
  if (measured_w !== null && several('measured')) {
    const text = quantity(measured_w, POWER_W);
    rows.push({ label: trans.__('measured in all'), text, look: 'measured', detail: '' });
  }
  if (estimated_w !== null && several('estimated')) {
    const text = estimated(estimated_w, POWER_W);
    rows.push({ label: trans.__('estimated in all'), text, look: 'estimated', detail: '' });
  }
  return {
    heading:
      over_s === null
        ? trans.__('Power')
        : isNow
          ? trans.__('Power, mean over %1', duration(over_s))
          : trans.__('Power when a cell last ran, mean over %1', duration(over_s)),
    rows:
      rows.length > 0
        ? rows
        : [unknownRow(trans.__('power'), trans.__('no device tells its power'))]
  };
}

function deviceRow(device: Device, trans: TranslationBundle): IRow {
  const { w, provenance, source, reason } = device;
  const label = [device.label, device.name].filter(Boolean).join(' ');
  if (w === null) {
    return unknownRow(label, reason ?? trans.__('its power is not known'));
  }
  const isEstimated = typeof w !== 'number';
  const detail = [provenanceWord(provenance, trans), source, reason ?? ''].filter(Boolean);
  return {
    label,
    text: isEstimated ? estimated(w, POWER_W) : quantity(w, POWER_W),
    look: isEstimated ? 'estimated' : 'measured',
    detail: detail.join(', ')
  };
}

function provenanceWord(provenance: string, trans: TranslationBundle): string {
  // a map: an object has a "constructor", which a message may say
  const words = new Map([
    ['measured', trans.__('measured')],
    ['vendor model', trans.__('vendor model')],
    ['integrated', trans.__('integrated from power readings')],
    ['estimated', trans.__('estimated')],
    ['none', trans.__('not measured')]
  ]);
  return words.get(provenance) ?? provenance;
}

function totalsOf(
  heading: string,
  totals: Totals,
  measuring: boolean,
  trans: TranslationBundle
): ISection {
  const rows: IRow[] = [];
  if (totals.measured_j !== null) {
    const text = measured(totals.measured_j);
    rows.push({ label: trans.__('measured'), text, look: 'measured', detail: '' });
  }
  if (totals.estimated_j !== null) {
    const text = estimated(totals.estimated_j);
    rows.push({ label: trans.__('estimated'), text, look: 'estimated', detail: '' });
  }
  if (rows.length === 0) {
    rows.push(unknownRow(trans.__('energy'), whyNoEnergy(totals, measuring, trans)));
  }
  if (totals.carbon_g !== null) {
    const share = totals.estimated_share ?? 0;
    const detail = [
      totals.kind,
      share > 0 ? shareWords(share, trans) : '',
      totals.doubtful ? trans.__('by an assumed place, a fall-back or a forecast') : ''
    ];
    rows.push({
      label: trans.__('CO₂e'),
      text: estimated(totals.carbon_g, MASS_G),
      look: share > 0 || totals.doubtful ? 'estimated' : 'computed',
      detail: detail.filter(Boolean).join(', ')
    });
  } else if (totals.runs > 0) {
    rows.push(unknownRow(trans.__('CO₂e'), whyNoCarbon(totals, measuring, trans)));
  }
  if (totals.runs === 0) {
    return { heading, rows };
  }
  const runs = trans._n('%1 run in %2', '%1 runs in %2', totals.runs, duration(totals.duration_s));
  return { heading: `${heading}, ${runs}`, rows };
}

function shareWords(share: number, trans: TranslationBundle): string {
  return share >= 1
    ? trans.__('all from estimates')
    : trans.__('%1 of it from estimates', percent(share));
}

/** Where the grams come from: place, factor, kind, source, year. */
function placeOf(place: Place | null, trans: TranslationBundle): ISection {
  const heading = trans.__('Carbon intensity');
  if (place === null) {
    const why = trans.__('set your place with %1', '%energy zone FR');
    return { heading, rows: [unknownRow(trans.__('place'), why)] };
  }
  const { name, zone, how, pue, kind, source, year, held, note } = place;
  const isNamed = zone !== '' && zone.toLowerCase() !== name.toLowerCase();
  const detail = [
    kind,
    held,
    source === '' || held !== '' ? source : `${source} ${year}`,
    pue === 1 ? '' : `PUE ${plain(pue)}`,
    howWords(how, zone, trans),
    note
  ];
  return {
    heading,
    rows: [
      {
        label: isNamed ? `${name} (${zone})` : name,
        text: intensity(place.g_per_kwh),
        look: isCertain(place) ? 'computed' : 'estimated',
        detail: detail.filter(Boolean).join(', ')
      }
    ]
  };
}

function howWords(how: string, zone: string, trans: TranslationBundle): string {
  switch (how) {
    case 'set':
      return '';
    case 'guessed':
      return trans.__('place guessed: pin it with %1', `%energy zone ${zone || 'FR'}`);
    case 'assumed':
      return trans.__('place assumed: set yours with %1', '%energy zone FR');
    default:
      return how;
  }
}

function unknownRow(label: string, reason: string): IRow {
  return { label, text: '–', look: 'unknown', detail: reason };
}
