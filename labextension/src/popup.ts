/** The panel on the page: JupyterLab's popup, with the focus where it belongs. */
import { Popup } from '@jupyterlab/statusbar';
import { HoverBox } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';

import type { EnergyPanel } from './panel';

const MAX_HEIGHT_PX = 500;
const MIN_HEIGHT_PX = 20;

export class EnergyPopup extends Popup {
  constructor(
    readonly body: EnergyPanel,
    anchor: Widget,
    side: 'above' | 'below'
  ) {
    super({ body, anchor, hasDynamicSize: true });
    this._button = anchor.node.querySelector('button');
    this._place = (): void => {
      HoverBox.setGeometry({
        anchor: anchor.node.getBoundingClientRect(),
        host: document.body,
        maxHeight: MAX_HEIGHT_PX,
        minHeight: MIN_HEIGHT_PX,
        node: body.node,
        privilege: side === 'above' ? 'forceAbove' : 'below',
        style: window.getComputedStyle(body.node)
      });
    };
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    const hadFocus = this.node.contains(document.activeElement);
    super.dispose();
    // whoever clicked elsewhere has the focus there
    if (hadFocus) {
      this._button?.focus();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.body.node.focus();
  }

  protected override onUpdateRequest(message: Message): void {
    super.onUpdateRequest(message);
    // JupyterLab's own is for a status bar, and always above
    this._place();
  }

  private readonly _button: HTMLElement | null;
  private readonly _place: () => void;
}
