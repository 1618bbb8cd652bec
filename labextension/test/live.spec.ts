import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { LiveKernel } from '../src/live';
import { golden, whole } from './golden';
import { FakeKernel, settle } from './kernel';

const PATH = 'work/fit.ipynb';

let kernel: FakeKernel;
let cells: string[];
let live: LiveKernel;

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new FakeKernel();
  cells = ['a', 'b'];
});

afterEach(() => {
  live.dispose();
  vi.useRealTimers();
});

/** A page that looks at `kernel`, after all that happens by itself has happened. */
async function attach(path: string | null = PATH): Promise<void> {
  live = new LiveKernel(kernel.connectionOf, path, () => cells);
  await settle();
}

describe('a page that attaches to a kernel', () => {
  it('asks an idle one once whether it is loaded, and then says hello', async () => {
    await attach();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
    expect(kernel.hellos).toEqual([
      { op: 'hello', v: 1, path: PATH, was: null, cells: ['a', 'b'] }
    ]);
    expect(live.state.phase).toBe('waiting');
  });

  it('says no hello to a kernel that has not loaded the extension', async () => {
    kernel.isLoaded = false;
    await attach();
    expect(kernel.asked).toEqual(['comm_info']);
    expect(live.state.phase).toBe('absent');
  });

  it('asks nothing of a kernel of another language, and shows nothing', async () => {
    kernel = new FakeKernel('julia');
    await attach();
    kernel.become('restarting', 'starting', 'idle');
    await settle();
    expect(kernel.asked).toEqual([]);
    expect(live.state.phase).toBe('foreign');
  });

  it.each(['starting', 'busy', 'restarting', 'autorestarting', 'unknown', 'dead'] as const)(
    'asks nothing while it is %s, and once when it is idle',
    async status => {
      kernel.status = status;
      await attach();
      expect(kernel.asked).toEqual([]);
      kernel.become('idle', 'busy', 'idle');
      await settle();
      expect(kernel.asked).toEqual(['comm_info', 'hello']);
    }
  );

  it.each(['unknown', 'starting'] as const)(
    'asks where JupyterLab has it as %s, and the kernel has said that it is idle',
    async status => {
      kernel.status = status;
      await attach();
      kernel.publish('busy');
      expect(kernel.asked).toEqual([]);
      kernel.publish('idle');
      await settle();
      expect(kernel.asked).toEqual(['comm_info', 'hello']);
    }
  );

  it('takes what a server says for itself for no process of the kernel', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.say({}, 'widget', 'stream', kernel.clientId);
    kernel.say(golden('running_measured'));
    expect(live.state.message).toEqual(whole('running_measured'));
  });

  it('takes no word of before the connection was lost for the state of now', async () => {
    kernel.status = 'busy';
    await attach();
    kernel.publish('idle');
    kernel.connectionStatus = 'connecting';
    kernel.become('unknown');
    kernel.connection('connecting');
    kernel.connection('connected');
    await settle();
    expect(kernel.asked).toEqual([]);
  });

  it('asks nothing over a connection that is not there', async () => {
    kernel.connectionStatus = 'connecting';
    await attach();
    expect(kernel.asked).toEqual([]);
    kernel.connection('connected');
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
  });

  it('shows what a busy kernel says without having asked', async () => {
    kernel.status = 'busy';
    await attach();
    kernel.say(golden('running_measured'));
    expect(kernel.asked).toEqual([]);
    expect(live.state.phase).toBe('live');
  });

  it('tells at most 5000 cells', async () => {
    cells = Array.from({ length: 6000 }, (_, index) => `${index}`);
    await attach();
    expect(kernel.hellos[0]?.cells).toHaveLength(5000);
  });

  it('tells a console by having no path, and shows it what its kernel is about', async () => {
    await attach(null);
    expect(kernel.hellos[0]?.path).toBeNull();
    kernel.say(golden('idle'));
    expect(live.state.totals?.notebook.runs).toBe(42);
  });
});

describe('what the kernel says', () => {
  it('is taken from our comm alone', async () => {
    await attach();
    kernel.say(golden('idle'), 'widget');
    kernel.say(golden('idle'), undefined, 'comm_open');
    expect(live.state.message).toBeNull();
    kernel.say(golden('idle'));
    expect(live.state.message).toEqual(whole('idle'));
  });

  it('makes nobody ask, however long it goes on', async () => {
    await attach();
    for (let i = 0; i < 1000; i++) {
      kernel.become('busy');
      kernel.say(golden('running_measured'));
      kernel.say(golden('idle'));
      kernel.become('idle');
    }
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
  });

  it('brings totals only where they are of this document or of no other', async () => {
    await attach('other.ipynb');
    kernel.say(golden('running_measured'));
    expect(live.state.message?.measured_w).toBe(376.9);
    expect(live.state.totals).toBeNull();
    kernel.say(golden('no_path'));
    const { notebook, session } = whole('no_path');
    expect(live.state.totals).toEqual({ notebook, session });
    kernel.say(golden('running_measured'));
    expect(live.state.totals).toEqual({ notebook, session });
  });

  it('is not guessed at when it is of another version or malformed', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.say({ ...golden('idle'), v: 2 });
    expect(live.state).toMatchObject({ phase: 'other-version', message: null, totals: null });
    kernel.say(golden('idle'));
    expect(live.state.phase).toBe('live');
    kernel.say('nonsense');
    expect(live.state.phase).toBe('other-version');
  });

  it('tells that the extension was unloaded', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.say(golden('gone'));
    expect(live.state).toMatchObject({ phase: 'absent', message: null, totals: null });
  });

  it('tells a page that found nothing that it was loaded, which then says hello', async () => {
    kernel.isLoaded = false;
    await attach();
    kernel.become('busy');
    kernel.isLoaded = true;
    kernel.say(golden('no_path'));
    expect(live.state.phase).toBe('live');
    expect(kernel.hellos).toEqual([]);
    kernel.become('idle');
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });

  it('is missed when the kernel is busy and does not say why, until it is idle again', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.become('busy');
    vi.advanceTimersByTime(3900);
    expect(live.state.silentFor_s).toBeNull();
    vi.advanceTimersByTime(200);
    expect(live.state.silentFor_s).toBe(4);
    kernel.become('idle');
    expect(live.state.silentFor_s).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is not missed where cells are not measured', async () => {
    await attach();
    kernel.say(golden('off'));
    kernel.become('busy');
    vi.advanceTimersByTime(60_000);
    expect(live.state.silentFor_s).toBeNull();
  });

  it('is forgotten when it was the last word of the process before a restart', async () => {
    await attach();
    kernel.say(golden('running_measured'));
    kernel.become('restarting');
    kernel.say(golden('idle'));
    kernel.isLoaded = false;
    kernel.become('idle');
    await settle();
    expect(live.state).toMatchObject({ phase: 'absent', message: null, totals: null });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is believed of a kernel that talks and has no ear, which is not asked for ever', async () => {
    kernel.isLoaded = false;
    await attach();
    for (let i = 0; i < 20; i++) {
      kernel.say(golden('no_path'));
      await settle();
    }
    expect(live.state.phase).toBe('live');
    expect(kernel.asked.length).toBeLessThan(5);
  });

  it('is heard no more after the page has let go', async () => {
    await attach();
    live.dispose();
    kernel.say(golden('running_measured'));
    kernel.become('restarting', 'idle');
    await settle();
    expect(live.state.message).toBeNull();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a page without news', () => {
  it('has no timer while no cell runs', async () => {
    await attach();
    expect(vi.getTimerCount()).toBe(0);
    kernel.say(golden('running_measured'));
    expect(vi.getTimerCount()).toBe(1);
    kernel.say(golden('idle'));
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says so after three intervals and two seconds', async () => {
    await attach();
    kernel.become('busy');
    kernel.say({ ...golden('running_measured'), every_s: 5 });
    vi.advanceTimersByTime(16_999);
    expect(live.state.silentFor_s).toBeNull();
    vi.advanceTimersByTime(1);
    expect(live.state.silentFor_s).toBe(17);
    expect(live.state.message?.measured_w).toBe(376.9);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('counts from the last message on', async () => {
    await attach();
    for (let i = 0; i < 10; i++) {
      kernel.say(golden('running_measured'));
      vi.advanceTimersByTime(4900);
    }
    expect(live.state.silentFor_s).toBeNull();
  });

  it('asks once when the kernel turns out to be idle, and never while it is busy', async () => {
    await attach();
    kernel.become('busy');
    kernel.say(golden('running_measured'));
    vi.advanceTimersByTime(3_600_000);
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
    kernel.become('idle', 'busy', 'idle');
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello', 'comm_info', 'hello']);
  });

  it('asks nothing when news came before the kernel was idle', async () => {
    await attach();
    kernel.become('busy');
    kernel.say(golden('running_measured'));
    vi.advanceTimersByTime(60_000);
    kernel.say(golden('idle'));
    kernel.become('idle');
    await settle();
    expect(live.state.silentFor_s).toBeNull();
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
  });
});

describe('a kernel that begins anew', () => {
  it.each([
    ['is restarted here', ['restarting', 'starting', 'idle']],
    ['is restarted in another tab', ['starting', 'idle']],
    ['crashed', ['autorestarting', 'starting', 'idle']]
  ] as const)('has nothing of before, and is asked again, when it %s', async (_, statuses) => {
    await attach();
    kernel.say(golden('gpu_asleep'));
    expect(vi.getTimerCount()).toBe(1);
    kernel.isLoaded = false;
    const [first, ...rest] = statuses;
    kernel.become(first);
    expect(live.state).toMatchObject({
      phase: 'waiting',
      message: null,
      lastRunning: null,
      totals: null,
      host: '',
      sawGpuAsleep: false
    });
    expect(vi.getTimerCount()).toBe(0);
    expect(kernel.asked).toEqual(['comm_info', 'hello']);
    kernel.become(...rest);
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello', 'comm_info']);
    expect(live.state.phase).toBe('absent');
  });

  it('is known by its messages where nothing told of the restart, and its last words are not heard', async () => {
    await attach();
    kernel.say(golden('gpu_asleep'));
    kernel.publish('restarting', 'the server');
    expect(live.state.phase).toBe('live');
    kernel.isLoaded = false;
    kernel.process = 'second';
    kernel.publish('idle');
    expect(live.state).toMatchObject({ phase: 'waiting', message: null, totals: null });
    kernel.say(golden('gpu_asleep'), undefined, undefined, 'first');
    expect(live.state.phase).toBe('waiting');
    await settle();
    expect(kernel.asked).toEqual(['comm_info', 'hello', 'comm_info']);
    expect(live.state.phase).toBe('absent');
  });

  it('shows nothing once it is dead', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.become('dead');
    expect(live.state).toMatchObject({ phase: 'dead', message: null });
  });

  it('does not get the answer that was meant for the one before', async () => {
    let answer: (value: unknown) => void = () => undefined;
    kernel.pause = new Promise(resolve => (answer = resolve));
    await attach();
    kernel.become('restarting');
    answer(undefined);
    await settle();
    expect(kernel.hellos).toEqual([]);
    kernel.become('idle');
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });

  it('is asked again after a lost connection came back', async () => {
    await attach();
    kernel.say(golden('idle'));
    kernel.connection('connecting');
    kernel.connection('connected');
    await settle();
    expect(kernel.hellos).toHaveLength(2);
    expect(live.state.message).toEqual(whole('idle'));
  });

  it('may refuse to answer, and the page goes on', async () => {
    kernel.pause = Promise.reject(new Error('Canceled future'));
    await attach();
    expect(live.state.phase).toBe('waiting');
    kernel.pause = Promise.resolve();
    kernel.become('restarting', 'idle');
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });
});

describe('a document that changes', () => {
  it('tells where it was when it is renamed', async () => {
    await attach();
    live.rename('new.ipynb');
    await settle();
    expect(kernel.hellos[1]).toMatchObject({ path: 'new.ipynb', was: PATH });
  });

  it('tells where the kernel knew it, renamed twice while the kernel was busy', async () => {
    await attach();
    kernel.become('busy');
    live.rename('b.ipynb');
    live.rename('c.ipynb');
    expect(kernel.hellos).toHaveLength(1);
    kernel.become('idle');
    await settle();
    expect(kernel.hellos).toHaveLength(2);
    expect(kernel.hellos[1]).toMatchObject({ path: 'c.ipynb', was: PATH });
  });

  it('was nowhere else when it is renamed to and fro', async () => {
    await attach();
    kernel.become('busy');
    live.rename('b.ipynb');
    live.rename(PATH);
    kernel.become('idle');
    await settle();
    expect(kernel.hellos[1]).toMatchObject({ path: PATH, was: null });
  });

  it('tells nothing of its cells to a kernel with one notebook', async () => {
    await attach();
    kernel.say(golden('idle'));
    cells.push('c');
    live.cellsChanged();
    expect(vi.getTimerCount()).toBe(0);
    kernel.say(golden('idle'));
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });

  it('tells its new cells once after a burst of edits to a kernel with several', async () => {
    await attach();
    kernel.say({ ...golden('idle'), notebooks: 2 });
    for (const cell of ['c', 'd', 'e']) {
      cells.push(cell);
      live.cellsChanged();
      vi.advanceTimersByTime(900);
    }
    await settle();
    expect(kernel.hellos).toHaveLength(1);
    vi.advanceTimersByTime(100);
    await settle();
    expect(kernel.hellos).toHaveLength(2);
    expect(kernel.hellos[1]?.cells).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tells nothing when its cells are the same again', async () => {
    await attach();
    kernel.say({ ...golden('idle'), notebooks: 2 });
    live.cellsChanged();
    vi.advanceTimersByTime(1000);
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });

  it('tells the cells that changed before the kernel had a second notebook', async () => {
    await attach();
    cells.push('c');
    kernel.say({ ...golden('idle'), notebooks: 2 });
    await settle();
    expect(kernel.hellos).toHaveLength(2);
  });
});

describe('loading the extension at a click', () => {
  beforeEach(async () => {
    kernel.isLoaded = false;
    await attach();
  });

  it('runs one silent line, after which the kernel talks', async () => {
    const done = live.load();
    expect(live.state.phase).toBe('loading');
    kernel.isLoaded = true;
    kernel.say(golden('nothing_yet'));
    await done;
    await settle();
    expect(kernel.asked).toEqual(['comm_info', '%load_ext jupyter_energy', 'comm_info', 'hello']);
    expect(live.state.phase).toBe('live');
  });

  it('runs it once, however often one clicks', async () => {
    await Promise.all([live.load(), live.load()]);
    expect(kernel.asked.filter(code => code.startsWith('%'))).toHaveLength(1);
  });

  it('says that it is not installed where the module is not there', async () => {
    kernel.loadReply = {
      status: 'error',
      ename: 'ModuleNotFoundError',
      evalue: "No module named 'jupyter_energy'"
    };
    await live.load();
    expect(live.state.phase).toBe('missing');
    kernel.loadReply = { status: 'ok' };
    await live.load();
    await settle();
    expect(live.state.phase).toBe('absent');
  });

  it('says what else went wrong', async () => {
    kernel.loadReply = {
      status: 'error',
      ename: 'ModuleNotFoundError',
      evalue: "No module named 'psutil'"
    };
    await live.load();
    expect(live.state).toMatchObject({
      phase: 'failed',
      reason: "ModuleNotFoundError: No module named 'psutil'"
    });
  });

  it('is over when the kernel restarts meanwhile', async () => {
    let answer: (value: unknown) => void = () => undefined;
    kernel.pause = new Promise(resolve => (answer = resolve));
    const done = live.load();
    kernel.become('restarting');
    answer(undefined);
    await done;
    expect(live.state.phase).toBe('waiting');
  });

  it('can be tried again when the kernel did not answer', async () => {
    kernel.pause = Promise.reject(new Error('Canceled future'));
    await live.load();
    expect(live.state.phase).toBe('absent');
  });
});
