/** What is known of a kernel. */
import type { Totals, Live } from './protocol';

/**
 * How far one is with a kernel. Not known yet whether it is Python's (`unknown`) or known not to be
 * (`foreign`), gone (`dead`), not answered yet (`waiting`); the extension is not loaded (`absent`),
 * being loaded at a click (`loading`), not installed there (`missing`) or did not load (`failed`);
 * what it says is not understood (`other-version`); it talks (`live`).
 */
export type Phase =
  | 'unknown'
  | 'foreign'
  | 'dead'
  | 'waiting'
  | 'absent'
  | 'loading'
  | 'missing'
  | 'failed'
  | 'other-version'
  | 'live';

/** All that is known of a kernel at one time. */
export interface ILiveState {
  readonly phase: Phase;
  /** Why the extension did not load. */
  readonly reason: string | null;
  /** What the kernel said last. */
  readonly message: Live | null;
  /** The last of them that told of a cell that ran. */
  readonly lastRunning: Live | null;
  /** The last totals that are of this document; a kernel can have several. */
  readonly totals: { readonly notebook: Totals; readonly session: Totals } | null;
  /** News is overdue by this limit; null while it is not. */
  readonly silentFor_s: number | null;
  /** Where the kernel runs; '' while it has not said so. */
  readonly host: string;
  /** Whether the GPU has been asleep since the kernel started. */
  readonly sawGpuAsleep: boolean;
}

/** What is known at the beginning. */
export const NOTHING: ILiveState = {
  phase: 'unknown',
  reason: null,
  message: null,
  lastRunning: null,
  totals: null,
  silentFor_s: null,
  host: '',
  sawGpuAsleep: false
};
