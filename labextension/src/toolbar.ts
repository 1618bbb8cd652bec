/** The item in each notebook's toolbar: where there is no status bar, or where the user wants it. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';

import { IEnergy } from './energy';
import { EnergyItem } from './item';

/** Makes the toolbar's item that `schema/plugin.json` gives its place. */
export const toolbarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-energy:toolbar',
  description: "Energy and CO₂e in the notebook's toolbar.",
  autoStart: true,
  requires: [IEnergy],
  optional: [IStatusBar, IToolbarWidgetRegistry],
  activate: (
    _app: JupyterFrontEnd,
    energy: IEnergy,
    statusBar: IStatusBar | null,
    toolbars: IToolbarWidgetRegistry | null
  ): void => {
    const place = statusBar === null ? ['auto', 'toolbar'] : ['toolbar'];
    toolbars?.addFactory<NotebookPanel>('Notebook', 'energy', panel => {
      const item = new EnergyItem(energy, 'below');
      const follow = (): void => {
        item.follow(place.includes(energy.settings.where) ? panel : null);
        item.setHidden(!item.isActive);
      };
      item.activeStateChanged.connect(follow);
      energy.settingsChanged.connect(follow);
      item.disposed.connect(() => {
        energy.settingsChanged.disconnect(follow);
      });
      follow();
      return item;
    });
  }
};
