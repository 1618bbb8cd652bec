import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { type IStatusBar, StatusBar } from '@jupyterlab/statusbar';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import plugins from '../src';
import { energyPlugin, type IEnergy } from '../src/energy';
import type { Panel } from '../src/model';
import { statusBarPlugin } from '../src/statusbar';
import { toolbarPlugin } from '../src/toolbar';
import { FakeKernel, settle } from './kernel';
import { FakePanel } from './panel';

/** The part of JupyterLab's shell that is used: which widget one looks at. */
class Shell {
  currentWidget: Widget | null = null;
  readonly currentChanged = new Signal<this, void>(this);
}

const shell = new Shell();
const app = { shell } as unknown as JupyterFrontEnd;

/** The part of a tracker that is used, over these panels. */
function tracker(panels: FakePanel[]): INotebookTracker {
  const find = (test: (panel: Panel) => boolean): Panel | undefined =>
    panels.map(({ panel }) => panel).find(test);
  return { currentChanged: new Signal({}), find } as unknown as INotebookTracker;
}

async function makeEnergy(): Promise<IEnergy> {
  const energy = await energyPlugin.activate(app, null, null);
  return energy;
}

/** JupyterLab's own status bar, which also keeps what was registered with it. */
class SpyStatusBar extends StatusBar {
  readonly registered = new Map<string, IStatusBar.IItem>();

  override registerStatusItem(
    id: string,
    statusItem: IStatusBar.IItem
  ): ReturnType<StatusBar['registerStatusItem']> {
    this.registered.set(id, statusItem);
    return super.registerStatusItem(id, statusItem);
  }
}

describe('the list of plugins', () => {
  it('holds every plugin', () => {
    expect(plugins).toEqual([energyPlugin, statusBarPlugin, toolbarPlugin]);
  });

  it('gives each plugin an id of its own, in the name of this package', () => {
    const ids = plugins.map(plugin => plugin.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter(id => !id.startsWith('jupyter-energy:'))).toEqual([]);
  });

  it('demands nothing but its own, so that it starts wherever a part is not there', () => {
    const own = plugins.map(plugin => plugin.provides);
    expect(
      plugins.flatMap(plugin => plugin.requires ?? []).filter(token => !own.includes(token))
    ).toEqual([]);
  });
});

describe('the status bar plugin', () => {
  let statusBar: SpyStatusBar;
  let energy: IEnergy;

  beforeEach(async () => {
    energy = await makeEnergy();
    statusBar = new SpyStatusBar();
    Widget.attach(statusBar, document.body);
  });

  afterEach(() => {
    statusBar.dispose();
  });

  it('starts without a status bar, as in Notebook 7', () => {
    expect(() => statusBarPlugin.activate(app, energy, null, null, null)).not.toThrow();
  });

  it('registers its item under its own id, not shown while there is no kernel', () => {
    void statusBarPlugin.activate(app, energy, statusBar, null, null);
    expect([...statusBar.registered.keys()]).toEqual([statusBarPlugin.id]);
    expect(statusBar.registered.get(statusBarPlugin.id)?.item.isHidden).toBe(true);
  });

  it('shows the item for the notebook one looks at, and not for what has no kernel', async () => {
    const panel = new FakePanel('a.ipynb', new FakeKernel());
    void statusBarPlugin.activate(app, energy, statusBar, tracker([panel]), null);
    const item = statusBar.registered.get(statusBarPlugin.id)?.item;
    shell.currentWidget = panel;
    shell.currentChanged.emit();
    await settle();
    expect(item?.isHidden).toBe(false);
    shell.currentWidget = new Widget();
    shell.currentChanged.emit();
    expect(item?.isHidden).toBe(true);
    shell.currentWidget = null;
  });
});

describe('the toolbar plugin', () => {
  /** Whether its item is shown for a notebook with a kernel. */
  async function isShown(statusBar: IStatusBar | null): Promise<boolean> {
    const energy = await makeEnergy();
    let make: (panel: FakePanel) => Widget = () => new Widget();
    const toolbars = {
      addFactory: (_factory: string, _name: string, given: typeof make) => {
        make = given;
      }
    } as unknown as IToolbarWidgetRegistry;
    void toolbarPlugin.activate(app, energy, statusBar, toolbars);
    const item = make(new FakePanel('a.ipynb', new FakeKernel()));
    await settle();
    return !item.isHidden;
  }

  it('shows its item where there is no status bar', async () => {
    expect(await isShown(null)).toBe(true);
  });

  it('takes no space where the status bar shows one', async () => {
    expect(await isShown(new SpyStatusBar())).toBe(false);
  });
});
