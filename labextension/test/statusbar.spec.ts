import type { JupyterFrontEnd } from '@jupyterlab/application';
import { type IStatusBar, StatusBar } from '@jupyterlab/statusbar';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import plugins from '../src';
import { EnergyItem, statusBarPlugin } from '../src/statusbar';

// the plugin asks nothing of the application; if it comes to, this test says so
const noApp = undefined as unknown as JupyterFrontEnd;

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
  it('holds the status bar plugin', () => {
    expect(plugins).toContain(statusBarPlugin);
  });

  it('gives each plugin an id of its own, in the name of this package', () => {
    const ids = plugins.map(plugin => plugin.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter(id => !id.startsWith('jupyter-energy:'))).toEqual([]);
  });
});

describe('the status bar plugin', () => {
  it('demands nothing, so that it starts where there is no status bar', () => {
    expect(statusBarPlugin.requires ?? []).toEqual([]);
  });

  it('starts without a status bar, as in Notebook 7', () => {
    expect(() => statusBarPlugin.activate(noApp, null)).not.toThrow();
  });
});

describe('the item in the status bar', () => {
  let statusBar: SpyStatusBar;

  beforeEach(() => {
    statusBar = new SpyStatusBar();
    Widget.attach(statusBar, document.body);
    void statusBarPlugin.activate(noApp, statusBar);
  });

  afterEach(() => {
    statusBar.dispose();
  });

  it('is registered under the id of the plugin', () => {
    expect([...statusBar.registered.keys()]).toEqual([statusBarPlugin.id]);
  });

  it('is not shown while it has nothing to say', () => {
    expect(registeredItem(statusBar).isHidden).toBe(true);
  });

  it('is shown once it says something and has told the status bar so', () => {
    const item = registeredItem(statusBar);
    item.node.textContent = '1 J';
    item.activeStateChanged.emit();
    expect(item.isHidden).toBe(false);
  });
});

function registeredItem(statusBar: SpyStatusBar): EnergyItem {
  const item = statusBar.registered.get(statusBarPlugin.id)?.item;
  if (!(item instanceof EnergyItem)) {
    throw new Error('the plugin registered no energy item');
  }
  return item;
}
