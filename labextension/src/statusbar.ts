/** The item in JupyterLab's status bar, of the notebook or console that one looks at. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IConsoleTracker } from '@jupyterlab/console';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';

import { IEnergy } from './energy';
import { EnergyItem } from './item';
import type { Panel } from './model';

/** Between JupyterLab's running sessions (0) and kernel status (1), whose words change in width. */
const RANK = 0.5;

/** Puts the item into the status bar; without one, as in Notebook 7, it does nothing. */
export const statusBarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-energy:statusbar',
  description: 'Energy and CO₂e of the current notebook in the status bar.',
  autoStart: true,
  requires: [IEnergy],
  optional: [IStatusBar, INotebookTracker, IConsoleTracker],
  activate: (
    app: JupyterFrontEnd,
    energy: IEnergy,
    statusBar: IStatusBar | null,
    notebooks: INotebookTracker | null,
    consoles: IConsoleTracker | null
  ): void => {
    if (statusBar === null) {
      return;
    }
    const item = new EnergyItem(energy, 'above');
    const current = (): Panel | null => {
      const { currentWidget } = app.shell;
      const isCurrent = (panel: Panel): boolean => panel === currentWidget;
      return notebooks?.find(isCurrent) ?? consoles?.find(isCurrent) ?? null;
    };
    const follow = (): void => {
      item.follow(energy.settings.where === 'auto' ? current() : null);
    };
    app.shell.currentChanged?.connect(follow);
    // a widget may become the current one before its tracker knows it
    notebooks?.currentChanged.connect(follow);
    consoles?.currentChanged.connect(follow);
    energy.settingsChanged.connect(follow);
    follow();
    statusBar.registerStatusItem(statusBarPlugin.id, {
      item,
      align: 'left',
      rank: RANK,
      isActive: () => item.isActive,
      activeStateChanged: item.activeStateChanged
    });
  }
};
