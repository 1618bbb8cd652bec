/**
 * The messages between kernel and page, version 1. `jupyter_energy/live_message.py` is the other
 * half; both are tested against `tests/golden/live/*.json`. Energies in J, powers in W, durations
 * in s, CO₂e in g, shares 0 to 1. What is unknown is null, never 0.
 *
 * Kernel to page: a bare `comm_msg` on this id, only while a cell runs, once at its end, and as the
 * answer to a hello. Page to kernel: `IHello` on the same id, when a kernel is attached to, when the
 * document is renamed, and when its cells changed while the kernel has several notebooks.
 */
export const COMM_ID = 'jupyter-energy';

/** The version of the messages. Fields may be added within a version; readers ignore those. */
export const PROTOCOL_VERSION = 1;

/** An estimate: low, middle, high. */
export type Range = readonly [number, number, number];

/** A measurement: value and half-width of its 95 % interval. */
export type Measured = readonly [number, number];

/** What the page says of its document: its path and the ids of its cells, as Jupyter has them. */
export interface IHello {
  op: 'hello';
  v: number;
  /** Contents path of the notebook; null for a console. */
  path: string | null;
  /** Where it was before a rename; null if it was not renamed. */
  was: string | null;
  /** The ids of its cells, at most 5000. */
  cells: string[];
}

/** Power now of one device, or of several of a kind: its label, power and source. */
export interface IDevice {
  /** "GPU 0", "CPU", "memory", "GPU ×8" */
  label: string;
  /** "NVIDIA H100 80GB HBM3"; left out where there is none, or no room for it */
  name?: string;
  /** a number where measured, a range where estimated */
  w: number | Range | null;
  /** "measured", "vendor model", "integrated", "estimated" or "none" */
  provenance: string;
  /** "nvml-counter", "rapl", "cpu-time", … */
  source: string;
  /** Why there is no figure; left out where there is one. */
  reason?: string | null;
}

/** A device whose fields are all there: what was left out is filled in. */
export type Device = Required<IDevice>;

/** Totals of a notebook or of its session, the run that is under way included. */
export interface ITotals {
  runs: number;
  duration_s: number;
  measured_j: Measured | null;
  estimated_j: Range | null;
  carbon_g: Range | null;
  /** "average" or "marginal"; "average, marginal" where both met, which do not add */
  kind?: string | null;
  /** whether some grams are by an assumed place, a fall-back or a forecast */
  doubtful?: boolean;
  /** How much of `carbon_g` comes from estimates. */
  estimated_share: number | null;
}

/** The same; a `kind` or `doubtful` that was left out is that of the place now. */
export type Totals = Required<ITotals>;

/** Where and with which factor grams are computed now. */
export interface IPlace {
  name: string;
  zone: string;
  g_per_kwh: number;
  /** "average" or "marginal" */
  kind: string;
  source: string;
  year: number;
  pue: number;
  /** "set" by the user, "guessed" from the time zone, or "assumed" */
  how: string;
  /** Since when a live value holds, in place of the year; left out for a yearly one. */
  held?: string;
  /** Why it is another factor than was asked for; left out where it is that one. */
  note?: string;
}

/** The same, with '' for what was left out. */
export type Place = Required<IPlace>;

/** What the kernel says. */
export interface ILive {
  v: 1;
  /** of the kernel's half of jupyter-energy */
  version: string;
  /** "gone": the extension was unloaded */
  state: 'running' | 'idle' | 'gone';
  /** whether cells are measured (`%energy on`, `off`); left out where they are */
  measuring?: boolean;
  /** as a page said it: of the notebook that `notebook` is about; null: unknown; "": too long */
  path: string | null;
  /** how many notebooks this kernel knows to run in it; left out where it is 1 */
  notebooks?: number;
  /** while running, the next message comes no later than this */
  every_s: number;
  /** how long the cell has been running */
  running_s: number | null;
  /** the power is a mean over so many seconds before the message */
  over_s: number | null;
  measured_w: number | null;
  estimated_w: Range | null;
  /** Where the kernel runs, which a page cannot know; left out where there is no room for it. */
  host?: string;
  /** left out where it is false */
  gpu_asleep?: boolean;
  devices: IDevice[];
  notebook: ITotals;
  session: ITotals;
  place: IPlace | null;
  /** one plain line that the user should know, such as that the store cannot be used */
  note?: string | null;
}

/** A message whose fields are all there: what was left out, because it is plain, is filled in. */
export type Live = Required<Omit<ILive, 'devices' | 'notebook' | 'session' | 'place'>> & {
  devices: Device[];
  notebook: Totals;
  session: Totals;
  place: Place | null;
};
