/** What an attacker's kernel says, through the real item, tooltip and panel: it is text, or nothing. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { nullTranslator } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { panelOf, tooltipOf } from '../src/details';
import { energyPlugin, type IEnergy } from '../src/energy';
import { EnergyItem } from '../src/item';
import { parseLive } from '../src/parse';
import { golden } from './golden';
import { FakeKernel, settle } from './kernel';
import { FakePanel } from './panel';

const MARKUP =
  '<script>globalThis.owned = 1</script>"><img src=x onerror="globalThis.owned = 2"><svg/onload=alert(3)>';
const TEXTS = [
  MARKUP,
  '\u001b]0;owned\u0007\u001b[2J\u009b31m\b\r\n\t\u0000\u007f\u202egnp\u2066\u200b\ufeff\u2028',
  '\udfff\ud800',
  'javascript:alert(1)',
  '%1 %2 $& $1 {0}',
  'constructor',
  '__proto__',
  'toString',
  'a'.repeat(1e6),
  '\u0300'.repeat(1e5)
];
const NUMBERS = [0, -1, 5e-324, 1e-320, 1e15, 1e308, NaN, Infinity, -0];
const TAGS = new Set('BUTTON DD DIV DL DT P SPAN'.split(' '));
const ATTRIBUTES =
  /^(aria-(haspopup|hidden|label|labelledby)|class|data-(figure|icon|icon-id|look|shown|stale|state)|id|role|style|tabindex|title|type)$/;
/** Control and format characters, among them those that turn a line around; halves of a pair. */
const STEERING = /(?!\n)\p{C}|[\u2028\u2029]/u;

const noApp = undefined as unknown as JupyterFrontEnd;

let kernel: FakeKernel;
let panel: FakePanel;
let item: EnergyItem;

beforeEach(async () => {
  const energy: IEnergy = await energyPlugin.activate(noApp, null, null);
  kernel = new FakeKernel();
  panel = new FakePanel(`${MARKUP}.ipynb`, kernel);
  item = new EnergyItem(energy, 'below');
  Widget.attach(item, document.body);
  item.follow(panel.panel);
  await settle();
});

afterEach(() => {
  item.dispose();
  panel.close();
});

/** A message in which every text that is shown is another one. */
function saying(value: unknown, text: string): unknown {
  if (typeof value === 'string') {
    return text;
  }
  if (Array.isArray(value)) {
    return value.map(inside => saying(inside, text));
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, inside]) => [
      key,
      key === 'state' || key === 'path' ? inside : saying(inside, text)
    ])
  );
}

/** A message in which all numbers of a kind are others, as far as it then is one. */
function counting(name: string, number: number): unknown {
  return JSON.parse(JSON.stringify(golden(name)), (key, value: unknown) =>
    typeof value === 'number' && key !== 'v' && key !== 'every_s' ? number : value
  );
}

/** Each element and attribute is one of ours, and each text is fit to be read. */
function expectOurs(root: Element): void {
  for (const element of [root, ...root.querySelectorAll('*')]) {
    // the icon is JupyterLab's own, made from our file
    if (element.closest('svg') !== null) {
      expect(element.closest('.jp-EnergyItem-icon')).not.toBeNull();
      expect(element.tagName).not.toMatch(/script|foreignObject/iu);
      continue;
    }
    expect(TAGS).toContain(element.tagName);
    for (const { name, value } of element.attributes) {
      expect(name).toMatch(ATTRIBUTES);
      expect(value).not.toMatch(STEERING);
      expect(value.length).toBeLessThan(20_000);
      if (name === 'style') {
        expect(value).not.toMatch(/url|expression|@|\\/u);
      }
    }
  }
  expect(root.textContent).not.toMatch(STEERING);
  expect(root.textContent?.length).toBeLessThan(20_000);
}

let said = 0;

/** The item with its tooltip, and its panel, once they show the message. */
async function shown(message: unknown): Promise<Element[]> {
  // how long the cell has been running tells one message from the next
  said += 1;
  kernel.say({ ...(message as object), running_s: 3600 * said });
  const button = await vi.waitUntil(() => item.node.querySelector('button'));
  await vi.waitUntil(() => button.dataset.state === 'running');
  if (document.querySelector('[role=dialog]') === null) {
    button.click();
  }
  const news = `running for ${said} h 00 min`;
  await vi.waitUntil(() => document.querySelector('[role=dialog]')?.textContent?.includes(news));
  return [item.node, ...document.querySelectorAll('[role=dialog]')];
}

describe('whatever a kernel says', () => {
  it.each(TEXTS.map((text, index) => [index, text] as const))(
    'adds no element, no handler and no address to the page: text %i',
    async (_, text) => {
      const roots = await shown(saying(golden('running_mixed'), text));
      expect(roots).toHaveLength(2);
      roots.forEach(expectOurs);
      expect('owned' in globalThis).toBe(false);
      expect(document.querySelector('script, img, iframe, a, object, embed, link')).toBeNull();
    }
  );

  it('has numbers that are short, or is no message', () => {
    for (const number of NUMBERS) {
      const live = parseLive(counting('running_mixed', number));
      if (live !== null) {
        const panel = panelOf(
          {
            phase: 'live',
            reason: null,
            message: live,
            lastRunning: null,
            totals: { notebook: live.notebook, session: live.session },
            silentFor_s: number,
            host: live.host,
            sawGpuAsleep: false
          },
          nullTranslator.load('')
        );
        expect(tooltipOf(panel)).not.toMatch(/NaN|Infinity|undefined|null/u);
        expect(tooltipOf(panel).length).toBeLessThan(20_000);
      }
    }
  });

  it('is read as it was written: markup is text', async () => {
    const [, dialog] = await shown(saying(golden('running_mixed'), '<b>GPU</b> &lt;i&gt;'));
    expect(dialog?.textContent).toContain('<b>GPU</b> &lt;i&gt;');
    expect(dialog?.querySelector('b, i')).toBeNull();
  });

  it('is a word also where it is the name of a part that every object has', async () => {
    const [, dialog] = await shown(saying(golden('running_mixed'), 'constructor'));
    expect(dialog?.textContent).toContain('constructor');
    expect(dialog?.textContent).not.toContain('native code');
  });

  it('is text also where the extension did not load', async () => {
    const other = new FakeKernel();
    other.isLoaded = false;
    other.loadReply = { status: 'error', ename: MARKUP, evalue: TEXTS[1] ?? '' };
    panel.changeKernel(other);
    await settle();
    const button = await vi.waitUntil(() => item.node.querySelector('button'));
    await vi.waitUntil(() => button.dataset.state === 'absent');
    button.click();
    await vi.waitUntil(() => button.dataset.state === 'failed');
    button.click();
    const dialog = await vi.waitUntil(() => document.querySelector('[role=dialog]'));
    await vi.waitUntil(() => dialog.textContent?.includes('<script>'));
    [item.node, dialog].forEach(expectOurs);
  });
});
