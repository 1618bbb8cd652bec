/**
 * What a click on the item opens: everything that is known, in rows.
 *
 * What tests and themes can rely on: `.jp-EnergyPanel` (role `dialog`); in it
 * `.jp-EnergyPanel-line` and `.jp-EnergyPanel-section`; in that `.jp-EnergyPanel-heading` and
 * `.jp-EnergyPanel-row` with `.jp-EnergyPanel-label`, `.jp-EnergyPanel-value` (`data-look`) and
 * `.jp-EnergyPanel-detail`; `.jp-EnergyPanel-load`, which tries to load the extension again.
 */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { IPanel, ISection } from './details';

export class EnergyPanel extends ReactWidget {
  constructor(panel: IPanel, trans: TranslationBundle, load: () => void) {
    super();
    this._panel = panel;
    this._trans = trans;
    this._load = load;
    this.addClass('jp-EnergyPanel');
    this.node.setAttribute('role', 'dialog');
    this.node.setAttribute('aria-label', trans.__('Energy and CO₂e'));
    // it takes the focus when it opens, so that Escape closes it, arrows scroll it and a screen
    // reader reads it
    this.node.tabIndex = 0;
  }

  /** Shows something newer. */
  tell(panel: IPanel): void {
    this._panel = panel;
    this.update();
  }

  protected override render(): React.JSX.Element {
    const { lines, sections, version, offersLoad } = this._panel;
    return (
      <>
        {lines.map((line, index) => (
          <p key={index} className="jp-EnergyPanel-line">
            {line}
          </p>
        ))}
        {offersLoad && (
          <button type="button" className="jp-EnergyPanel-load" onClick={this._load}>
            {this._trans.__('Try again')}
          </button>
        )}
        <div className="jp-EnergyPanel-sections">
          {sections.map((section, index) => (
            <Section key={index} id={`jp-EnergyPanel-heading-${index}`} {...section} />
          ))}
        </div>
        {version !== '' && <p className="jp-EnergyPanel-version">{version}</p>}
      </>
    );
  }

  private _panel: IPanel;
  private readonly _trans: TranslationBundle;
  private readonly _load: () => void;
}

function Section({ id, heading, rows }: ISection & { id: string }): React.JSX.Element {
  return (
    <div className="jp-EnergyPanel-section" role="group" aria-labelledby={id}>
      <p className="jp-EnergyPanel-heading" id={id}>
        {heading}
      </p>
      <dl>
        {rows.map(({ label, text, look, detail }, index) => (
          <div key={index} className="jp-EnergyPanel-row">
            <dt className="jp-EnergyPanel-label">{label}</dt>
            <dd className="jp-EnergyPanel-value" data-look={look}>
              {text}
            </dd>
            {detail !== '' && <dd className="jp-EnergyPanel-detail">{detail}</dd>}
          </div>
        ))}
      </dl>
    </div>
  );
}
