/** What is known of the kernels of the open documents, one model a document. */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { ConsolePanel } from '@jupyterlab/console';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { LiveKernel } from './live';
import type { ILiveState } from './state';

/** What one sees a document through. */
export type Panel = NotebookPanel | ConsolePanel;

/** Follows a document from kernel to kernel and from path to path, until its session ends. */
export class EnergyModel implements IDisposable {
  constructor(panel: Panel) {
    this._context = panel.sessionContext;
    this._notebook = 'model' in panel ? panel.context.model : null;
    this._context.kernelChanged.connect(this._follow, this);
    this._context.propertyChanged.connect(this._onProperty, this);
    this._notebook?.cells.changed.connect(this._onCells, this);
    this._follow();
  }

  /** What is known of its kernel; null where it has none. */
  get live(): ILiveState | null {
    return this._kernel?.state ?? null;
  }

  /** `live` changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Loads the extension in the kernel. */
  load(): void {
    void this._kernel?.load();
  }

  dispose(): void {
    this._isDisposed = true;
    this._kernel?.dispose();
    this._kernel = null;
    Signal.clearData(this);
  }

  private _follow(): void {
    this._kernel?.dispose();
    const kernel = this._context.session?.kernel ?? null;
    this._kernel = kernel && new LiveKernel(kernel, this._path(), () => this._cells());
    this._kernel?.changed.connect(this._onChanged, this);
    this._onChanged();
  }

  private _onProperty(_: unknown, property: string): void {
    if (property === 'path') {
      this._kernel?.rename(this._path());
    }
  }

  private _onCells(): void {
    this._kernel?.cellsChanged();
  }

  private _onChanged(): void {
    this._changed.emit();
  }

  /** A console's path is made up, and its cells are nobody's document. */
  private _path(): string | null {
    return this._notebook === null ? null : this._context.path;
  }

  private _cells(): string[] {
    return Array.from(this._notebook?.cells ?? [], cell => cell.id);
  }

  private readonly _context: ISessionContext;
  private readonly _notebook: NotebookPanel['context']['model'] | null;
  private readonly _changed = new Signal<this, void>(this);
  private _kernel: LiveKernel | null = null;
  private _isDisposed = false;
}

/**
 * The models, made when somebody first looks at a document. They stay until it is closed: one that
 * comes back to a notebook whose kernel is busy has no right to ask, and may wait 30 s for news.
 */
export class EnergyModels {
  /** The model of a document. */
  of(panel: Panel): EnergyModel {
    const { sessionContext } = panel;
    const known = this._models.get(sessionContext);
    if (known !== undefined) {
      return known;
    }
    const model = new EnergyModel(panel);
    this._models.set(sessionContext, model);
    sessionContext.disposed.connect(this._forget, this);
    return model;
  }

  /** Lets all go, where nobody looks any more. */
  clear(): void {
    for (const sessionContext of this._models.keys()) {
      this._forget(sessionContext);
    }
  }

  private _forget(sessionContext: ISessionContext): void {
    sessionContext.disposed.disconnect(this._forget, this);
    this._models.get(sessionContext)?.dispose();
    this._models.delete(sessionContext);
  }

  private readonly _models = new Map<ISessionContext, EnergyModel>();
}
