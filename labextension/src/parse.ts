/**
 * What the kernel says, once it is seen to be what it must be. Any code in the kernel can send on
 * our comm id, and so can another version of jupyter-energy: nothing of a message is believed.
 */
import type { Device, Live, Measured, Place, Range, Totals } from './protocol';
import { PROTOCOL_VERSION } from './protocol';

/** The message with only the fields we know, or null where it is not one of version 1. */
export function parseLive(data: unknown): Live | null {
  try {
    return live(data);
  } catch (error) {
    if (error instanceof MalformedError) {
      return null;
    }
    throw error;
  }
}

/**
 * Somebody else's text on one line, at most `limit` characters. Control and format characters,
 * among them those that turn the rest of a line around, become U+FFFD.
 */
export function clean(text: string, limit: number): string {
  const line = text
    .slice(0, 8 * limit)
    .replace(/\s+/gu, ' ')
    .replace(/\p{C}/gu, '\ufffd')
    .trim();
  const shown = Array.from(line);
  return shown.length > limit || text.length > 8 * limit
    ? `${shown
        .slice(0, limit - 1)
        .join('')
        .trimEnd()}…`
    : line;
}

class MalformedError extends Error {}

const STATES = ['running', 'idle', 'gone'] as const;
const NAME_LIMIT = 40;
const LINE_LIMIT = 160;
const DEVICES_LIMIT = 32;
/** Above every energy (J), power (W), mass (g) and time (s) that a notebook can have. */
const NUMBER_LIMIT = 1e15;
/** Longer than a kernel ever waits between two messages. */
const EVERY_LIMIT_S = 3600;

function live(data: unknown): Live {
  const from = record(data);
  must(from.v === PROTOCOL_VERSION);
  const every_s = number(from.every_s);
  must(every_s > 0 && every_s <= EVERY_LIMIT_S);
  const state = STATES.find(known => known === from.state);
  must(state !== undefined);
  const now = optional(from.place, place);
  return {
    v: PROTOCOL_VERSION,
    version: text(from.version, NAME_LIMIT),
    state,
    host: text(from.host ?? '', NAME_LIMIT),
    measuring: boolean(from.measuring ?? true),
    // as it is: it is compared with the page's own, and never shown
    path: optional(from.path, string),
    notebooks: number(from.notebooks ?? 1),
    every_s,
    running_s: optional(from.running_s, number),
    over_s: optional(from.over_s, number),
    measured_w: optional(from.measured_w, number),
    estimated_w: optional(from.estimated_w, range),
    gpu_asleep: boolean(from.gpu_asleep ?? false),
    devices: list(from.devices).slice(0, DEVICES_LIMIT).map(device),
    notebook: totals(from.notebook, now),
    session: totals(from.session, now),
    place: now,
    note: optional(from.note ?? null, line)
  };
}

function device(data: unknown): Device {
  const from = record(data);
  return {
    label: text(from.label, NAME_LIMIT),
    name: text(from.name ?? '', NAME_LIMIT),
    w: optional(from.w, value => (Array.isArray(value) ? range(value) : number(value))),
    provenance: text(from.provenance, NAME_LIMIT),
    source: text(from.source, NAME_LIMIT),
    reason: optional(from.reason ?? null, line)
  };
}

function totals(data: unknown, now: Place | null): Totals {
  const from = record(data);
  const share = optional(from.estimated_share, number);
  must(share === null || share <= 1);
  const carbon_g = optional(from.carbon_g, range);
  const kind = optional(from.kind ?? null, value => text(value, NAME_LIMIT));
  return {
    runs: number(from.runs),
    duration_s: number(from.duration_s),
    measured_j: optional(from.measured_j, measurement),
    estimated_j: optional(from.estimated_j, range),
    carbon_g,
    kind: carbon_g === null ? kind : (kind ?? now?.kind ?? null),
    doubtful: boolean(from.doubtful ?? (carbon_g !== null && !(now && isCertain(now)))),
    estimated_share: share
  };
}

function place(data: unknown): Place {
  const from = record(data);
  return {
    name: text(from.name, NAME_LIMIT),
    zone: text(from.zone, NAME_LIMIT),
    g_per_kwh: number(from.g_per_kwh),
    kind: text(from.kind, NAME_LIMIT),
    source: text(from.source, LINE_LIMIT),
    year: number(from.year),
    pue: number(from.pue),
    how: text(from.how, NAME_LIMIT),
    held: text(from.held ?? '', NAME_LIMIT),
    note: text(from.note ?? '', LINE_LIMIT)
  };
}

/** Whether it is the factor that was asked for, of a place that the user set. */
export function isCertain({ how, note }: Place): boolean {
  return how === 'set' && note === '';
}

function range(data: unknown): Range {
  const [low, mid, high] = numbers(data, 3);
  must(low !== undefined && mid !== undefined && high !== undefined);
  must(low <= mid && mid <= high);
  return [low, mid, high];
}

function measurement(data: unknown): Measured {
  const [value, u95] = numbers(data, 2);
  must(value !== undefined && u95 !== undefined);
  return [value, u95];
}

function numbers(data: unknown, count: number): number[] {
  must(list(data).length === count);
  return list(data).map(number);
}

function number(data: unknown): number {
  must(typeof data === 'number' && data >= 0 && data <= NUMBER_LIMIT);
  return data;
}

function boolean(data: unknown): boolean {
  must(typeof data === 'boolean');
  return data;
}

function string(data: unknown): string {
  must(typeof data === 'string');
  return data;
}

function text(data: unknown, limit: number): string {
  return clean(string(data), limit);
}

function line(data: unknown): string {
  return text(data, LINE_LIMIT);
}

function list(data: unknown): unknown[] {
  must(Array.isArray(data));
  return data;
}

function record(data: unknown): Readonly<Record<string, unknown>> {
  must(typeof data === 'object' && data !== null && !Array.isArray(data));
  return data as Readonly<Record<string, unknown>>;
}

/** What is unknown is null; a field that is not there is a malformed message. */
function optional<T>(data: unknown, read: (data: unknown) => T): T | null {
  return data === null ? null : read(data);
}

function must(condition: boolean): asserts condition {
  if (!condition) {
    throw new MalformedError();
  }
}
