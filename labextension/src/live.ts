/**
 * The conversation with one kernel: what it says, and the little that the page asks.
 *
 * The page asks only when it attaches (again), when its document was renamed, when its cells
 * changed and the kernel has to tell notebooks apart, and when news stayed away; and only while the
 * kernel is idle: a request to a busy one waits behind the cell, and its reply makes JupyterLab's
 * own indicator lie. Otherwise it listens: whatever an idle kernel publishes keeps it from being
 * culled.
 */
import { type Kernel, KernelMessage } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { clean, parseLive } from './parse';
import { KernelProcess } from './process';
import type { IHello, Live } from './protocol';
import { COMM_ID, PROTOCOL_VERSION } from './protocol';
import { type ILiveState, NOTHING } from './state';

/** The part of a kernel connection that is used. */
export type IKernel = Pick<
  Kernel.IKernelConnection,
  | 'clientId'
  | 'connectionStatus'
  | 'connectionStatusChanged'
  | 'info'
  | 'iopubMessage'
  | 'requestCommInfo'
  | 'requestExecute'
  | 'sendShellMessage'
  | 'status'
  | 'statusChanged'
  | 'username'
>;

const LOAD = '%load_ext jupyter_energy';
const MODULE = 'jupyter_energy';
const REASON_LIMIT = 160;
const CELLS_LIMIT = 5000;
/** A kernel that is busy tells of the cell that it runs well within this time. */
const NEWS_S = 4;
/** Edits come in bursts: one hello for those that follow each other within this time. */
const EDITS_MS = 1000;

/** Listens to one kernel connection on behalf of one document, until it is disposed. */
export class LiveKernel implements IDisposable {
  constructor(kernel: IKernel, path: string | null, cells: () => string[]) {
    this._kernel = kernel;
    this._path = path;
    this._cells = cells;
    this._process = new KernelProcess(kernel.clientId);
    kernel.iopubMessage.connect(this._onIOPub, this);
    kernel.statusChanged.connect(this._onStatus, this);
    kernel.connectionStatusChanged.connect(this._onConnection, this);
    void this._meet();
    this._askIfOwed();
  }

  get state(): ILiveState {
    return this._state;
  }

  /** Something of `state` changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._stopTimers();
    Signal.clearData(this);
  }

  /** Tells the kernel, when it is free, that the document has another path. */
  rename(path: string | null): void {
    if (path !== this._path) {
      this._was ??= this._path;
      this._path = path;
      this._owe();
    }
  }

  /** The document's cells may have changed: the kernel needs to know if it has several documents. */
  cellsChanged(): void {
    if ((this._state.message?.notebooks ?? 0) > 1) {
      clearTimeout(this._editTimer);
      this._editTimer = setTimeout(() => {
        this._editTimer = undefined;
        this._oweIfCellsChanged();
      }, EDITS_MS);
    }
  }

  /** Loads the extension, silently; the kernel then says by itself that it is there. */
  async load(): Promise<void> {
    if (!['absent', 'missing', 'failed'].includes(this._state.phase)) {
      return;
    }
    this._set({ phase: 'loading', reason: null });
    try {
      const { content } = await this._kernel.requestExecute({
        code: LOAD,
        silent: true,
        store_history: false,
        allow_stdin: false,
        stop_on_error: false
      }).done;
      if (content.status === 'ok') {
        if (this._isLoading) {
          this._set({ phase: 'waiting' });
          this._owe();
        }
        return;
      }
      const error = content.status === 'error' ? `${content.ename}: ${content.evalue}` : '';
      const isMissing = error.startsWith('ModuleNotFoundError') && error.includes(`'${MODULE}'`);
      if (this._isLoading) {
        const reason = clean(error, REASON_LIMIT);
        this._set({ phase: isMissing ? 'missing' : 'failed', reason });
      }
    } catch {
      // the kernel restarted or went away before it answered
      if (this._isLoading) {
        this._set({ phase: 'absent' });
      }
    }
  }

  private async _meet(): Promise<void> {
    let language: string;
    try {
      language = (await this._kernel.info).language_info.name;
    } catch {
      return; // it went away before it said what it is
    }
    if (this._isDisposed || this._state.phase !== 'unknown') {
      return;
    }
    this._set({ phase: language === 'python' ? 'waiting' : 'foreign' });
    this._askIfOwed();
  }

  private _onIOPub(_: unknown, message: KernelMessage.IIOPubMessage): void {
    if (this._isDisposed || !this._isOfThisProcess(message)) {
      return;
    }
    if (KernelMessage.isStatusMsg(message)) {
      this._lastWord = message.content.execution_state;
      this._askIfOwed();
    }
    if (!KernelMessage.isCommMsgMsg(message) || message.content.comm_id !== COMM_ID) {
      return;
    }
    this._stopTimers();
    this._owesNews = false;
    const live = parseLive(message.content.data);
    if (live === null) {
      this._set({ ...NOTHING, phase: 'other-version' });
    } else if (live.state === 'gone') {
      this._told = null;
      this._set({ ...NOTHING, phase: 'absent' });
    } else {
      this._onLive(live);
    }
  }

  /** Whether a message is no late word of a process that was before a restart. */
  private _isOfThisProcess(message: KernelMessage.IIOPubMessage): boolean {
    const found = this._process.of(message);
    if (found === 'new') {
      this._forget('waiting');
      this._askIfOwed();
    }
    return found !== 'former';
  }

  private _onLive(live: Live): void {
    // a console is nobody's document: it shows what its kernel is about
    const isOwn = live.path === null || this._path === null || live.path === this._path;
    this._set({
      phase: 'live',
      reason: null,
      message: live,
      lastRunning: live.state === 'running' ? live : this._state.lastRunning,
      totals: isOwn ? { notebook: live.notebook, session: live.session } : this._state.totals,
      silentFor_s: null,
      host: live.host || this._state.host,
      sawGpuAsleep: this._state.sawGpuAsleep || live.gpu_asleep
    });
    if (live.state !== 'running' && this._kernel.status === 'busy') {
      this._expectNews();
    } else if (live.state === 'running') {
      const limit_s = 3 * live.every_s + 2;
      this._staleTimer = setTimeout(() => {
        this._staleTimer = undefined;
        this._owesNews = true;
        this._set({ silentFor_s: limit_s });
        this._askIfOwed();
      }, limit_s * 1000);
    }
    if (this._told === null) {
      this._owe(); // it was loaded after this page attached
    } else if (live.notebooks > 1) {
      this._oweIfCellsChanged();
    }
  }

  private _onStatus(_: unknown, status: KernelMessage.Status): void {
    switch (status) {
      case 'starting':
      case 'restarting':
      case 'autorestarting':
        this._forget('waiting');
        break;
      case 'dead':
        this._forget('dead');
        break;
      case 'busy':
        this._expectNews();
        break;
      default:
        if (this._state.message?.state === 'idle') {
          // whatever kept it busy was no cell that it measures
          clearTimeout(this._staleTimer);
          this._staleTimer = undefined;
          if (this._state.silentFor_s !== null) {
            this._set({ silentFor_s: null });
          }
        }
        this._askIfOwed();
    }
  }

  /** A cell that holds the interpreter from its first moment on keeps the kernel from telling. */
  private _expectNews(): void {
    const { phase, message } = this._state;
    if (phase === 'live' && message?.state === 'idle' && message.measuring) {
      clearTimeout(this._staleTimer);
      this._staleTimer = setTimeout(() => {
        this._staleTimer = undefined;
        this._set({ silentFor_s: NEWS_S });
      }, NEWS_S * 1000);
    }
  }

  private _onConnection(_: unknown, status: Kernel.ConnectionStatus): void {
    this._lastWord = null;
    if (status === 'connected') {
      this._owe();
    }
  }

  /** The kernel begins anew and knows nothing of this page. */
  private _forget(phase: 'waiting' | 'dead'): void {
    this._stopTimers();
    this._turn += 1;
    this._lastWord = null;
    this._told = null;
    this._wasDenied = false;
    this._owesNews = false;
    this._owesHello = true;
    const { phase: before } = this._state;
    // a restart does not change the language
    this._set({ ...NOTHING, phase: before === 'foreign' || before === 'unknown' ? before : phase });
  }

  private _owe(): void {
    this._owesHello = true;
    this._askIfOwed();
  }

  private _oweIfCellsChanged(): void {
    if (this._told !== null && this._told !== this._knownCells().join()) {
      this._owe();
    }
  }

  private _askIfOwed(): void {
    if (
      (this._owesHello || this._owesNews) &&
      !this._isDisposed &&
      this._isIdle &&
      this._kernel.connectionStatus === 'connected' &&
      !['unknown', 'foreign'].includes(this._state.phase)
    ) {
      this._owesHello = this._owesNews = false;
      void this._ask();
    }
  }

  private async _ask(): Promise<void> {
    const turn = ++this._turn;
    try {
      const { content } = await this._kernel.requestCommInfo({ target_name: COMM_ID });
      if (turn !== this._turn || this._isDisposed) {
        return;
      }
      if (content.status === 'ok' && COMM_ID in content.comms) {
        this._wasDenied = false;
        this._sayHello();
      } else if (this._state.phase === 'live' && this._wasDenied) {
        // it talks and has no ear: asking again would change nothing
        this._told ??= '';
      } else if (['waiting', 'live', 'other-version'].includes(this._state.phase)) {
        // what was heard, if anything, was the last word of the process before a restart
        this._wasDenied = this._state.phase === 'live';
        this._stopTimers();
        this._set({ ...NOTHING, phase: 'absent' });
      }
    } catch {
      // the kernel restarted or the connection was lost; both ask again when they are over
    }
  }

  private _sayHello(): void {
    const cells = this._knownCells();
    const hello: IHello = {
      op: 'hello',
      v: PROTOCOL_VERSION,
      path: this._path,
      was: this._was === this._path ? null : this._was,
      cells
    };
    this._kernel.sendShellMessage(
      KernelMessage.createMessage<KernelMessage.ICommMsgMsg<'shell'>>({
        msgType: 'comm_msg',
        channel: 'shell',
        session: this._kernel.clientId,
        username: this._kernel.username,
        content: { comm_id: COMM_ID, data: { ...hello } }
      })
    );
    this._was = null;
    this._told = cells.join();
  }

  private _knownCells(): string[] {
    return this._cells().slice(0, CELLS_LIMIT);
  }

  /**
   * Whether a question would be answered at once. After a restart JupyterLab may not know, or take
   * the kernel to be starting until a cell runs: what the kernel published while the page was
   * connected again is lost, and of most messages, as those that JupyterLab itself sends then, it
   * does not take what the kernel says of its state.
   */
  private get _isIdle(): boolean {
    const { status } = this._kernel;
    const isKnown = status !== 'unknown' && status !== 'starting';
    return (isKnown ? status : this._lastWord) === 'idle';
  }

  /** What the kernel said meanwhile, or that it restarted, knows better than the answer. */
  private get _isLoading(): boolean {
    return this._state.phase === 'loading' && !this._isDisposed;
  }

  private _stopTimers(): void {
    clearTimeout(this._staleTimer);
    clearTimeout(this._editTimer);
    this._staleTimer = this._editTimer = undefined;
  }

  private _set(change: Partial<ILiveState>): void {
    this._state = { ...this._state, ...change };
    this._changed.emit();
  }

  private readonly _kernel: IKernel;
  private readonly _cells: () => string[];
  private readonly _changed = new Signal<this, void>(this);
  private _path: string | null;
  /** Where the document was when the kernel last knew, if it has moved since. */
  private _was: string | null = null;
  /** The cells that the last hello told; null before the first since the kernel started. */
  private _told: string | null = null;
  private _state = NOTHING;
  /** It was heard and then denied that the extension is there. */
  private _wasDenied = false;
  private _owesHello = true;
  private _owesNews = false;
  /** Counts what was asked and what made it void, so that a late answer is seen to be that. */
  private _turn = 0;
  private _staleTimer: ReturnType<typeof setTimeout> | undefined;
  private _editTimer: ReturnType<typeof setTimeout> | undefined;
  /** The state that was last published on this connection. */
  private _lastWord: Kernel.Status | null = null;
  private readonly _process: KernelProcess;
  private _isDisposed = false;
}
