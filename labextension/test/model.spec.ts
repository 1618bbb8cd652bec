import { beforeEach, describe, expect, it } from 'vitest';

import { EnergyModels } from '../src/model';
import { golden } from './golden';
import { FakeKernel, settle } from './kernel';
import { FakePanel } from './panel';

const PATH = 'work/fit.ipynb';

let models: EnergyModels;
let kernel: FakeKernel;

beforeEach(() => {
  models = new EnergyModels();
  kernel = new FakeKernel();
});

describe('the model of a document', () => {
  it('is one, however often it is looked at', async () => {
    const { panel } = new FakePanel(PATH, kernel);
    expect(models.of(panel)).toBe(models.of(panel));
    await settle();
    expect(kernel.hellos).toHaveLength(1);
  });

  it('tells path and cells of a notebook, and of a console neither', async () => {
    models.of(new FakePanel(PATH, kernel).panel);
    models.of(new FakePanel('console-1', kernel, null).panel);
    await settle();
    expect(kernel.hellos).toMatchObject([
      { path: PATH, cells: ['a', 'b'] },
      { path: null, cells: [] }
    ]);
  });

  it('knows nothing without a kernel', () => {
    expect(models.of(new FakePanel(PATH, null).panel).live).toBeNull();
  });

  it('follows the document to another kernel, and leaves the first', async () => {
    const panel = new FakePanel(PATH, kernel);
    const model = models.of(panel.panel);
    await settle();
    kernel.say(golden('idle'));
    const other = new FakeKernel();
    panel.changeKernel(other);
    expect(model.live?.message).toBeNull();
    await settle();
    expect(other.hellos).toHaveLength(1);
    kernel.say(golden('idle'));
    expect(model.live?.message).toBeNull();
    panel.changeKernel(null);
    expect(model.live).toBeNull();
  });

  it('tells the kernel a new path and, where it has several notebooks, new cells', async () => {
    const panel = new FakePanel(PATH, kernel);
    models.of(panel.panel);
    await settle();
    panel.rename('new.ipynb');
    await settle();
    expect(kernel.hellos.at(-1)).toMatchObject({ path: 'new.ipynb', was: PATH });
    panel.model?.cells.ids.push('c');
    kernel.say({ ...golden('idle'), notebooks: 2 });
    await settle();
    expect(kernel.hellos.at(-1)?.cells).toEqual(['a', 'b', 'c']);
  });

  it('gives two notebooks on one kernel each its own totals, and both its power', async () => {
    const mine = models.of(new FakePanel(PATH, kernel).panel);
    const theirs = models.of(new FakePanel('other.ipynb', kernel).panel);
    await settle();
    kernel.say({ ...golden('running_mixed'), path: 'other.ipynb' });
    kernel.say({ ...golden('running_measured'), path: PATH });
    expect(mine.live?.totals?.notebook.runs).toBe(42);
    expect(theirs.live?.totals?.notebook.runs).toBe(7);
    expect(theirs.live?.message?.measured_w).toBe(376.9);
  });

  it('lets go when the document is closed, and all when nobody looks any more', async () => {
    const panel = new FakePanel(PATH, kernel);
    const model = models.of(panel.panel);
    const other = models.of(new FakePanel('other.ipynb', kernel).panel);
    panel.close();
    expect([model.isDisposed, other.isDisposed]).toEqual([true, false]);
    models.clear();
    expect(other.isDisposed).toBe(true);
    kernel.say(golden('idle'));
    kernel.become('restarting', 'idle');
    await settle();
    expect([model.live, other.live]).toEqual([null, null]);
    expect(kernel.asked).toEqual([]);
  });
});
