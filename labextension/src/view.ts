/** What is shown of what is known: figures, their looks and words. Nothing here touches the page. */
import type { TranslationBundle } from '@jupyterlab/translation';

import { type IPanel, panelOf, tooltipOf } from './details';
import { about, ENERGY_J, estimated, MASS_G, measuredAlone, POWER_W, type Scale } from './format';
import type { ILiveState, Phase } from './state';
import type { Live, Range, Totals } from './protocol';
import type { ISettings } from './settings';
import { type Look, spoken, whyNoCarbon, whyNoEnergy } from './words';

/** One figure of the item; `quiet` is a word in its place, such as "idle". */
export interface IFigure {
  name: 'power' | 'energy' | 'carbon';
  text: string;
  look: Look;
  /** Why there is none; null where there is one. */
  reason: string | null;
  /** For those who hear it. */
  spoken: string;
}

/** The state of the item as a whole, in the order in which a session usually passes them. */
export type State = Exclude<Phase, 'unknown' | 'foreign' | 'dead' | 'live'> | 'idle' | 'running';

/** Everything that the item shows; null where it shows nothing. */
export interface IView {
  state: State;
  isStale: boolean;
  /** The user's own text before the figures; may be empty. */
  title: string;
  figures: IFigure[];
  /** Null until it was shown once; then it keeps its place, so that the neighbours keep theirs. */
  gpuAsleep: { text: string; isShown: boolean } | null;
  /** The item in words, and its tooltip. */
  label: string;
  tooltip: string;
  /** What one click does. */
  action: 'load' | 'panel';
  panel: IPanel;
}

/** What lies below reads as this much, in place of ever smaller units. */
const LEAST: ReadonlyMap<Scale, readonly [number, string]> = new Map([
  [POWER_W, [1e-3, '< 1 mW']],
  [ENERGY_J, [1e-3, '< 1 mJ']],
  [MASS_G, [1e-6, '< 1 µg']]
]);

/** The view of a document's kernel, null where there is nothing to show. */
export function viewOf(
  live: ILiveState,
  settings: ISettings,
  trans: TranslationBundle
): IView | null {
  const { phase, message, silentFor_s } = live;
  if (phase === 'unknown' || phase === 'foreign' || phase === 'dead') {
    return null;
  }
  if (!settings.showPower && !settings.showEnergy && !settings.showCarbon) {
    return null;
  }
  const panel = panelOf(live, trans);
  const tooltip = tooltipOf(panel);
  if (phase !== 'live' || message === null) {
    return {
      state: phase === 'live' ? 'waiting' : phase,
      isStale: false,
      title: settings.label,
      figures: [],
      gpuAsleep: null,
      label: [trans.__('Energy'), ...panel.lines].join('. '),
      tooltip,
      action: phase === 'absent' ? 'load' : 'panel',
      panel
    };
  }
  const totals = live.totals?.[settings.total] ?? null;
  const figures = [
    ...(settings.showPower ? [power(message, silentFor_s !== null, trans)] : []),
    ...(settings.showEnergy ? [energy(totals, message, trans)] : []),
    ...(settings.showCarbon ? [carbon(totals, message, trans)] : [])
  ];
  const isStale = silentFor_s !== null;
  // a kernel that is busy and has not said why runs a cell that does not let it
  const isRunning = message.state === 'running' || isStale;
  const asleep = trans.__('GPU asleep');
  return {
    state: isRunning ? 'running' : 'idle',
    isStale,
    title: settings.label,
    figures,
    gpuAsleep: live.sawGpuAsleep ? { text: asleep, isShown: message.gpu_asleep } : null,
    label: [
      trans.__('Energy'),
      isRunning ? trans.__('a cell is running') : trans.__('no cell is running'),
      ...(isStale ? [trans.__('the figures are old')] : []),
      // "idle" has been said
      ...figures.filter(({ spoken }) => spoken !== trans.__('idle')).map(({ spoken }) => spoken),
      ...(message.gpu_asleep ? [asleep] : [])
    ].join(', '),
    tooltip,
    action: 'panel',
    panel
  };
}

/** The measured power where there is any, as a cell's mean is; the estimate is in the details. */
function power(message: Live, isStale: boolean, trans: TranslationBundle): IFigure {
  const name = trans.__('power');
  const { measured_w, estimated_w } = message;
  if (message.state !== 'running' && isStale) {
    return unknown('power', name, '– W', trans.__('no news of the cell'), trans);
  }
  if (message.state !== 'running') {
    const text = message.measuring ? trans.__('idle') : trans.__('off');
    const words = message.measuring ? '' : trans.__('measuring is off');
    return { name: 'power', text, look: 'quiet', reason: null, spoken: words || text };
  }
  if (measured_w !== null) {
    return known('power', name, short(measured_w, POWER_W), 'measured', trans);
  }
  if (estimated_w !== null) {
    return known('power', name, shortAbout(estimated_w, POWER_W), 'estimated', trans);
  }
  const reason =
    message.devices.find(device => device.reason !== null)?.reason ??
    (message.over_s === null
      ? trans.__('the cell has just begun')
      : trans.__('no device tells its power'));
  return unknown('power', name, '– W', reason, trans);
}

function energy(totals: Totals | null, message: Live, trans: TranslationBundle): IFigure {
  const name = trans.__('energy');
  if (totals?.measured_j) {
    const [value, u95] = totals.measured_j;
    // a bound keeps its own size: "< 1.2 J" says more than that it is small
    const text = value < u95 ? measuredAlone([value, u95]) : short(value, ENERGY_J, u95);
    return known('energy', name, text, 'measured', trans);
  }
  if (totals?.estimated_j) {
    return known('energy', name, shortAbout(totals.estimated_j, ENERGY_J), 'estimated', trans);
  }
  return unknown('energy', name, '– J', whyNoEnergy(totals, message.measuring, trans), trans);
}

/** Grams are never measured; an estimate, a place that nobody set, a fall-back make them estimated. */
function carbon(totals: Totals | null, message: Live, trans: TranslationBundle): IFigure {
  const name = trans.__('CO₂e');
  if (totals?.carbon_g) {
    const isEstimated = (totals.estimated_share ?? 0) > 0 || totals.doubtful;
    const look = isEstimated ? 'estimated' : 'computed';
    return known('carbon', name, shortAbout(totals.carbon_g, MASS_G), look, trans);
  }
  return unknown('carbon', name, '– g', whyNoCarbon(totals, message.measuring, trans), trans);
}

function known(
  figure: IFigure['name'],
  name: string,
  text: string,
  look: Look,
  trans: TranslationBundle
): IFigure {
  const words = `${name} ${spoken(text, trans)}`;
  const said = {
    measured: trans.__('%1 measured', words),
    estimated: trans.__('%1 estimated', words),
    computed: trans.__('%1 computed from measured energy', words),
    unknown: words,
    quiet: words
  };
  return { name: figure, text, look, reason: null, spoken: said[look] };
}

function unknown(
  figure: IFigure['name'],
  name: string,
  text: string,
  reason: string,
  trans: TranslationBundle
): IFigure {
  const words = trans.__('%1 not known: %2', name, reason);
  return { name: figure, text, look: 'unknown', reason, spoken: words };
}

function short(value: number, scale: Scale, u95 = 0): string {
  return least(value, scale) ?? measuredAlone([value, u95], scale);
}

/** The middle of an estimate; where that is nothing, what it is at most. */
function shortAbout(range: Range, scale: Scale): string {
  const [, mid, high] = range;
  return mid === 0 && high > 0 ? estimated(range, scale) : (least(mid, scale) ?? about(mid, scale));
}

/** "< 1 mJ" for what is there and smaller than that; 0 is told as 0, by those who know it. */
function least(value: number, scale: Scale): string | null {
  const [bound, text] = LEAST.get(scale) ?? [0, ''];
  return value > 0 && value < bound ? text : null;
}
