/** A notebook's or console's panel with a session, in place of JupyterLab's: the used members only. */
import type { ISessionContext } from '@jupyterlab/apputils';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { Panel } from '../src/model';
import type { FakeKernel } from './kernel';

class FakeContext {
  readonly kernelChanged = new Signal<this, unknown>(this);
  readonly propertyChanged = new Signal<this, string>(this);
  readonly disposed = new Signal<this, unknown>(this);
  session: { kernel: FakeKernel | null } | null = null;

  constructor(public path: string) {}
}

export class FakePanel extends Widget {
  readonly sessionContext: ISessionContext;
  /** A console's panel has no such member. */
  declare readonly model?: { cells: FakeCells };
  readonly context: { model: FakePanel['model'] };

  constructor(path: string, kernel: FakeKernel | null, cells: string[] | null = ['a', 'b']) {
    super();
    this._context = new FakeContext(path);
    this._context.session = { kernel };
    this.sessionContext = this._context as unknown as ISessionContext;
    if (cells !== null) {
      this.model = { cells: new FakeCells(cells) };
    }
    this.context = { model: this.model };
  }

  get panel(): Panel {
    return this as unknown as Panel;
  }

  changeKernel(kernel: FakeKernel | null): void {
    this._context.session = { kernel };
    this._context.kernelChanged.emit(undefined);
  }

  rename(path: string): void {
    this._context.path = path;
    this._context.propertyChanged.emit('path');
  }

  override close(): void {
    this._context.disposed.emit(undefined);
    this.dispose();
  }

  private readonly _context: FakeContext;
}

class FakeCells {
  readonly changed = new Signal<this, unknown>(this);

  constructor(readonly ids: string[]) {}

  *[Symbol.iterator](): Iterator<{ id: string }> {
    for (const id of this.ids) {
      yield { id };
    }
  }
}
