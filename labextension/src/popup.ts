/** The panel on the page: JupyterLab's popup, with the focus where it belongs. */
import { Popup } from '@jupyterlab/statusbar';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';

import type { EnergyPanel } from './panel';

/** Between the panel and the edges of the window. */
const EDGE_PX = 8;

export class EnergyPopup extends Popup {
  constructor(
    readonly body: EnergyPanel,
    anchor: Widget,
    side: 'above' | 'below'
  ) {
    super({ body, anchor, hasDynamicSize: true });
    this._anchorNode = anchor.node;
    this._side = side;
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    const hadFocus = this.node.contains(document.activeElement);
    super.dispose();
    // whoever clicked elsewhere has the focus there
    if (hadFocus) {
      this._anchorNode.querySelector('button')?.focus();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.body.node.focus();
    this.body.node.addEventListener('keydown', this._onKey);
  }

  /** Tab leaves the panel, as if it lay behind the button: the focus goes on from there. */
  private readonly _onKey = (event: KeyboardEvent): void => {
    const isLast =
      document.activeElement === (this.body.node.querySelector('button') ?? this.body.node);
    if (event.key === 'Tab' && (event.shiftKey || isLast)) {
      this.dispose();
    }
  };

  protected override onUpdateRequest(message: Message): void {
    if (this._side === 'above') {
      super.onUpdateRequest(message);
    } else {
      this._placeBelow();
    }
  }

  /** JupyterLab's popup knows only the status bar, and its hover box a page that fills the window. */
  private _placeBelow(): void {
    const anchor = this._anchorNode.getBoundingClientRect();
    const { node } = this.body;
    const { style } = node;
    style.visibility = '';
    style.top = `${anchor.bottom}px`;
    style.maxHeight = `${window.innerHeight - anchor.bottom - EDGE_PX}px`;
    const left = Math.min(anchor.left, window.innerWidth - node.offsetWidth - EDGE_PX);
    style.left = `${Math.max(EDGE_PX, left)}px`;
  }

  private readonly _anchorNode: HTMLElement;
  private readonly _side: 'above' | 'below';
}
