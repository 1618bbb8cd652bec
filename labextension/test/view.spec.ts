import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';

import type { Live } from '../src/protocol';
import { DEFAULTS, type ISettings, readSettings } from '../src/settings';
import type { ILiveState, Phase } from '../src/state';
import { type IView, viewOf } from '../src/view';
import { names, whole } from './golden';

const trans = nullTranslator.load('');

function state(
  phase: Phase,
  message: Live | null = null,
  more: Partial<ILiveState> = {}
): ILiveState {
  const totals = message && { notebook: message.notebook, session: message.session };
  const sawGpuAsleep = message?.gpu_asleep ?? false;
  const host = message?.host ?? '';
  const lastRunning = null;
  return {
    phase,
    reason: null,
    message,
    lastRunning,
    totals,
    silentFor_s: null,
    host,
    sawGpuAsleep,
    ...more
  };
}

function view(
  message: Live,
  settings: Partial<ISettings> = {},
  more: Partial<ILiveState> = {}
): IView {
  const found = viewOf(state('live', message, more), { ...DEFAULTS, ...settings }, trans);
  if (found === null) {
    throw new Error('nothing is shown');
  }
  return found;
}

/** The figures as one reads them, with their looks. */
function read(shown: IView): string[] {
  return shown.figures.map(({ text, look }) => `${text} ${look}`);
}

describe('the figures', () => {
  it.each([
    ['running_measured', ['377 W measured', '343 Wh measured', '≈ 15 g computed']],
    ['running_estimated', ['≈ 27 W estimated', '≈ 530 mJ estimated', '≈ 6.5 µg estimated']],
    ['running_mixed', ['312 W measured', '70.0 Wh measured', '≈ 3.4 g estimated']],
    ['many_gpus', ['5.12 kW measured', '51.1 kWh measured', '≈ 2.3 kg computed']],
    ['gpu_asleep', ['8.20 W measured', '4.10 J measured', '≈ 50 µg computed']],
    ['idle', ['idle quiet', '343 Wh measured', '≈ 15 g computed']],
    ['off', ['off quiet', '≈ 530 mJ estimated', '≈ 6.5 µg estimated']],
    ['no_path', ['idle quiet', '≈ 530 mJ estimated', '≈ 6.5 µg estimated']],
    ['fallen_back', ['idle quiet', '65.2 Wh measured', '– g unknown']],
    ['nothing_yet', ['idle quiet', '– J unknown', '– g unknown']],
    ['nothing_known', ['– W unknown', '– J unknown', '– g unknown']],
    ['below_resolution', ['idle quiet', '< 1.2 J measured', '< 1 µg computed']]
  ])('of %s are what a person is to read', (name, expected) => {
    expect(read(view(whole(name)))).toEqual(expected);
  });

  it('of every golden message are pinned above, but of the one that says goodbye', () => {
    expect(names).toEqual(
      [
        ...['below_resolution', 'fallen_back', 'gone', 'gpu_asleep', 'idle', 'many_gpus'],
        ...['no_path', 'nothing_known', 'nothing_yet', 'off'],
        ...['running_estimated', 'running_measured', 'running_mixed']
      ].sort()
    );
  });

  it('of estimates around nothing are what these are at most', () => {
    const found = view({ ...whole('running_estimated'), estimated_w: [0, 0, 0.058] });
    expect(read(found)[0]).toBe('up to 58 mW estimated');
  });

  it.each(names.filter(name => name !== 'gone'))('of %s are never 0', name => {
    for (const { text } of view(whole(name)).figures) {
      expect(text).not.toMatch(/(^|\s)0(\.0*)?(\s|$)/);
    }
  });

  it('of the session are shown where the user wants those', () => {
    expect(read(view(whole('idle'), { total: 'session' }))).toEqual([
      'idle quiet',
      '6.52 Wh measured',
      '≈ 290 mg computed'
    ]);
  });

  it('do not say idle of a kernel that is busy and silent', () => {
    const shown = view(whole('idle'), {}, { silentFor_s: 4 });
    expect(read(shown)[0]).toBe('– W unknown');
    expect(shown.state).toBe('running');
    expect(shown.panel.lines[0]).toBe('A cell is running');
  });

  it('have the text before them that the user wants', () => {
    expect(view(whole('idle'), { label: 'Energy' }).title).toBe('Energy');
    expect(readSettings({ label: '\u202eE'.repeat(20) }).label).toMatch(/^\ufffdE.*…$/);
    expect(readSettings({ label: 7 }).label).toBe('');
  });

  it('that the user does not want are not there', () => {
    const only = { showPower: false, showCarbon: false };
    expect(view(whole('idle'), only).figures.map(({ name }) => name)).toEqual(['energy']);
    const none = { showPower: false, showEnergy: false, showCarbon: false };
    expect(viewOf(state('live', whole('idle')), { ...DEFAULTS, ...none }, trans)).toBeNull();
  });

  it('of another document are not taken for those of this one', () => {
    expect(read(view(whole('running_measured'), {}, { totals: null }))).toEqual([
      '377 W measured',
      '– J unknown',
      '– g unknown'
    ]);
  });

  it('have grams that look as what they were made with, whatever the place is now', () => {
    const { place, notebook, ...rest } = whole('idle');
    const note = 'Energy-Charts did not answer: the yearly factor';
    const fallenBack = place && { ...place, note };
    const doubtful = { ...notebook, doubtful: true };
    expect(read(view({ ...rest, notebook: doubtful, place }))[2]).toBe('≈ 15 g estimated');
    expect(read(view({ ...rest, notebook, place: fallenBack }))[2]).toBe('≈ 15 g computed');
  });

  it('have no grams of two kinds of intensity, and say so', () => {
    expect(view(whole('fallen_back')).label).toContain(
      'CO₂e not known: its grams are by several kinds of intensity, which do not add: average, marginal'
    );
  });

  it('say "less than" in place of ever smaller units', () => {
    const tiny = { ...whole('running_measured'), measured_w: 1e-5 };
    tiny.notebook = { ...tiny.notebook, measured_j: [1e-5, 1e-7], carbon_g: [0, 1e-9, 1e-8] };
    expect(view(tiny).figures.map(({ text }) => text)).toEqual(['< 1 mW', '< 1 mJ', '< 1 µg']);
  });

  it('that are unknown have a reason', () => {
    const reasons = view(whole('nothing_known')).figures.map(({ reason }) => reason);
    expect(reasons).toEqual([
      'permission denied',
      'no energy was measured or estimated',
      'no energy was measured or estimated'
    ]);
    expect(view(whole('nothing_yet')).figures[1]?.reason).toBe('nothing measured yet: run a cell');
  });
});

describe('the item', () => {
  it.each(['unknown', 'foreign', 'dead'] as const)(
    'shows nothing for a kernel that is %s',
    phase => {
      expect(viewOf(state(phase), DEFAULTS, trans)).toBeNull();
    }
  );

  it.each([
    ['waiting', 'panel', /^Waiting for the kernel$/],
    ['absent', 'load', /run %load_ext jupyter_energy/],
    ['loading', 'panel', /^Loading/],
    ['missing', 'panel', /%pip install jupyter-energy/],
    ['failed', 'panel', /^jupyter-energy did not load$/],
    ['other-version', 'panel', /^What the kernel sends about energy cannot be read here/]
  ] as const)('of a kernel that is %s has no figures and says why', (phase, action, tooltip) => {
    const shown = viewOf(state(phase), DEFAULTS, trans);
    expect(shown).toMatchObject({ state: phase, figures: [], action, gpuAsleep: null });
    expect(shown?.tooltip).toMatch(tooltip);
    expect(shown?.label).toContain(shown?.panel.lines[0]);
  });

  it('offers to load again what did not load, with the reason', () => {
    const shown = viewOf(state('failed', null, { reason: 'OSError: no' }), DEFAULTS, trans);
    expect(shown?.panel).toMatchObject({ offersLoad: true });
    expect(shown?.tooltip).toContain('OSError: no');
  });

  it('says when news is overdue, and since how long at least', () => {
    const shown = view(whole('running_measured'), {}, { silentFor_s: 5 });
    expect(shown.isStale).toBe(true);
    expect(shown.tooltip).toContain('No news for 5.00 s: the cell keeps Python busy');
    expect(shown.label).toContain('the figures are old');
  });

  it('says that the GPU is asleep, and keeps the place when it no longer is', () => {
    expect(view(whole('idle')).gpuAsleep).toBeNull();
    expect(view(whole('gpu_asleep')).gpuAsleep).toEqual({ text: 'GPU asleep', isShown: true });
    const awake = view(whole('idle'), {}, { sawGpuAsleep: true });
    expect(awake.gpuAsleep).toEqual({ text: 'GPU asleep', isShown: false });
    expect(awake.label).not.toContain('asleep');
  });

  it('is heard in words, estimates as such', () => {
    expect(view(whole('running_estimated')).label).toBe(
      'Energy, a cell is running, power about 27 watts estimated, ' +
        'energy about 530 millijoules estimated, CO₂e about 6.5 micrograms estimated'
    );
    expect(view(whole('off')).label).toMatch(/no cell is running, measuring is off,/);
    expect(view(whole('nothing_known')).label).toContain('power not known: permission denied');
  });
});

describe('the tooltip', () => {
  it('says devices, sources, totals with their uncertainty, place and factor', () => {
    expect(view(whole('running_mixed')).tooltip.split('\n')).toEqual([
      'A cell has been running for 11 min 40 s',
      'Power, mean over 5.00 s:',
      '  GPU 0 312 W (measured, nvml-counter)',
      '  CPU ≈ 25 W (9.8–62 W) (estimated, cpu-time)',
      '  memory ≈ 2.4 W (1.2–4.7 W) (estimated, memory-size)',
      '  estimated in all ≈ 27 W (11–66 W)',
      'This session, 1 run in 11 min 40 s:',
      '  measured 60.7 ± 3.0 Wh',
      '  estimated ≈ 5.2 Wh (2.1–13 Wh)',
      '  CO₂e – (no carbon intensity is known; set your place with %energy zone FR)',
      'All recorded time, 7 runs in 13 min 30 s:',
      '  measured 70.0 ± 3.5 Wh',
      '  estimated ≈ 6.1 Wh (2.5–15 Wh)',
      '  CO₂e ≈ 3.4 g (3.0–3.9 g) (average, 8 % of it from estimates, by an assumed place, a fall-back or a forecast)',
      'Carbon intensity:',
      '  World 473 g/kWh (average, Ember 2024, place assumed: set yours with %energy zone FR)',
      'jupyter-energy 0.1.0'
    ]);
  });

  it('names a device and says why it is only estimated, where the message has room for it', () => {
    expect(view(whole('running_measured')).tooltip).toContain(
      'GPU 0 NVIDIA H100 80GB HBM3 312 W (measured, nvml-counter)'
    );
    const message = whole('running_estimated');
    const devices = message.devices.map(device => ({ ...device, reason: 'no powercap here' }));
    expect(view({ ...message, devices }).tooltip).toContain('cpu-time, no powercap here)');
  });

  it('names the kind of intensity of grams in their line, where it is another one by now', () => {
    const lines = view(whole('fallen_back')).tooltip.split('\n');
    expect(lines).toContain(
      '  CO₂e ≈ 2.2 g (2.1–2.3 g) (average, by an assumed place, a fall-back or a forecast)'
    );
    expect(lines).toContain(
      '  California (CAISO_NORTH) 412 g/kWh (marginal, live, since 14:00 UTC, WattTime)'
    );
  });

  it('says how a guessed place is pinned, and a PUE', () => {
    expect(view(whole('running_estimated')).tooltip).toContain(
      'France (FR) 44.3 g/kWh (average, Ember 2024, PUE 1.2, place guessed: pin it with %energy zone FR)'
    );
  });

  it('says since when a live value holds, and why another one was taken', () => {
    const { place, ...rest } = whole('idle');
    const live = place && { ...place, held: 'live, since 14:00 UTC', source: 'A grid', year: 2026 };
    expect(view({ ...rest, place: live }).tooltip).toContain(
      '(average, live, since 14:00 UTC, A grid)'
    );
    const note = 'no live value yet: the yearly factor';
    expect(view({ ...rest, place: place && { ...place, note } }).tooltip).toContain(
      '(average, Ember 2024, no live value yet: the yearly factor)'
    );
  });

  it('says what the user should know', () => {
    expect(view(whole('idle')).tooltip).toContain(
      'Note: the store cannot be written: 3 records wait in memory'
    );
    expect(view(whole('off')).tooltip).toContain('Only cells with %%energy are measured');
    expect(view(whole('nothing_known')).tooltip).toContain('CPU – (permission denied)');
    expect(view(whole('nothing_known')).tooltip).toContain('place – (set your place with');
  });

  it('never adds an estimate to what is measured', () => {
    const { tooltip } = view(whole('running_mixed'));
    expect(tooltip).not.toContain('339 W');
    expect(tooltip).not.toContain('in all 312');
  });
});
