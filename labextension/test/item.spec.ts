import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { energyPlugin, type IEnergy } from '../src/energy';
import { EnergyItem } from '../src/item';
import { golden } from './golden';
import { FakeKernel, settle } from './kernel';
import { FakePanel } from './panel';

const noApp = undefined as unknown as JupyterFrontEnd;

let kernel: FakeKernel;
let panel: FakePanel;
let item: EnergyItem;

beforeEach(async () => {
  const energy: IEnergy = await energyPlugin.activate(noApp, null, null);
  kernel = new FakeKernel();
  panel = new FakePanel('work/fit.ipynb', kernel);
  item = new EnergyItem(energy, 'below');
  Widget.attach(item, document.body);
});

afterEach(() => {
  item.dispose();
  panel.close();
});

async function button(): Promise<HTMLButtonElement> {
  return vi.waitUntil(() => item.node.querySelector('button'));
}

function dialog(): HTMLElement | null {
  return document.querySelector('[role=dialog]');
}

describe('the item', () => {
  it('has something to show once it follows a document with a kernel, and says so', async () => {
    const heard: boolean[] = [];
    item.activeStateChanged.connect(() => heard.push(item.isActive));
    expect(item.isActive).toBe(false);
    item.follow(panel.panel);
    await settle();
    expect(item.isActive).toBe(true);
    item.follow(null);
    expect(heard).toEqual([true, false]);
  });

  it('shows the figures of each message in one button that stays the same', async () => {
    item.follow(panel.panel);
    await settle();
    const shown = await button();
    kernel.say(golden('running_measured'));
    await vi.waitUntil(() => shown.textContent?.includes('377 W'));
    kernel.say(golden('idle'));
    await vi.waitUntil(() => shown.textContent?.includes('idle'));
    expect(shown.dataset.state).toBe('idle');
    expect(await button()).toBe(shown);
  });

  it('loads the extension at one click where it is not loaded', async () => {
    kernel.isLoaded = false;
    item.follow(panel.panel);
    await settle();
    const shown = await button();
    await vi.waitUntil(() => shown.dataset.state === 'absent');
    shown.click();
    expect(kernel.asked).toContain('%load_ext jupyter_energy');
    expect(dialog()).toBeNull();
  });

  it('opens a panel that takes the focus, follows the news and gives the focus back', async () => {
    item.follow(panel.panel);
    await settle();
    kernel.say(golden('idle'));
    const shown = await button();
    await vi.waitUntil(() => shown.dataset.state === 'idle');
    shown.focus();
    shown.click();
    const opened = dialog();
    expect(document.activeElement).toBe(opened);
    await vi.waitUntil(() => opened?.textContent?.includes('No cell is running'));
    kernel.say(golden('running_measured'));
    await vi.waitUntil(() => opened?.textContent?.includes('NVIDIA H100'));
    opened?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
    expect(dialog()).toBeNull();
    expect(document.activeElement).toBe(shown);
  });

  it('closes its panel at a second click, and when it follows another document', async () => {
    item.follow(panel.panel);
    await settle();
    kernel.say(golden('idle'));
    const shown = await button();
    await vi.waitUntil(() => shown.dataset.state === 'idle');
    shown.click();
    expect(dialog()).not.toBeNull();
    shown.click();
    expect(dialog()).toBeNull();
    shown.click();
    item.follow(null);
    expect(dialog()).toBeNull();
  });
});
