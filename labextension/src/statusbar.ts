import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

/** The text in the status bar. It has no data to show yet, so it is never active. */
export class EnergyItem extends Widget {
  constructor() {
    super();
    this.addClass('jp-EnergyItem');
    // without this class JupyterLab sets the item 4 px too high
    this.addClass('jp-StatusBar-TextItem');
  }

  /** Whether there is something to show; the status bar hides the item while there is not. */
  get isActive(): boolean {
    return this.node.textContent !== '';
  }

  /** Says that `isActive` may have changed: the status bar undoes `hide()`, so it has to ask. */
  readonly activeStateChanged = new Signal<this, void>(this);
}

/** Puts the energy item into JupyterLab's status bar. */
export const statusBarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-energy:statusbar',
  description: 'Energy and CO₂e of the current notebook in the status bar.',
  autoStart: true,
  // Notebook 7 has no status bar: a required one would keep the plugin from starting there
  optional: [IStatusBar],
  activate: (_app: JupyterFrontEnd, statusBar: IStatusBar | null): void => {
    if (statusBar === null) {
      return;
    }
    const item = new EnergyItem();
    statusBar.registerStatusItem(statusBarPlugin.id, {
      item,
      align: 'left',
      rank: 3,
      isActive: () => item.isActive,
      activeStateChanged: item.activeStateChanged
    });
  }
};
