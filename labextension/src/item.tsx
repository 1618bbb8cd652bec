/**
 * The item: one button that reads power, energy and CO₂e; the same in status bar and toolbar.
 *
 * What tests and themes can rely on:
 * - `.jp-EnergyItem` the widget, which is hidden where there is nothing to show
 * - `.jp-EnergyItem-button` the button in it, with `data-state` (`running`, `idle`, `waiting`,
 *   `absent`, `loading`, `missing`, `failed`, `other-version`) and `data-stale` (`true`, `false`)
 * - `.jp-EnergyItem-title` the user's own text before the figures, where there is one
 * - `.jp-EnergyItem-figure` each figure, with `data-figure` (`power`, `energy`, `carbon`) and
 *   `data-look` (`measured`, `estimated`, `computed`, `unknown`, `quiet`); in it
 *   `.jp-EnergyItem-text`, the figure with its unit alone
 * - `.jp-EnergyItem-asleep` "GPU asleep", with `data-shown` (`false`: it only keeps its place)
 * - `.jp-EnergyItem-nothing` the "–" of a kernel that does not talk
 * - `.jp-EnergyPanel` what a click opens (role `dialog`), see `panel.tsx`
 */
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import React from 'react';

import type { IEnergy } from './energy';
import { boltIcon } from './icon';
import type { EnergyModel, Panel } from './model';
import { EnergyPanel } from './panel';
import { EnergyPopup } from './popup';
import { type IView, viewOf } from './view';

export class EnergyItem extends ReactWidget {
  constructor(energy: IEnergy, side: 'above' | 'below') {
    super();
    this._energy = energy;
    this._side = side;
    this.addClass('jp-EnergyItem');
    energy.settingsChanged.connect(this._refresh, this);
  }

  /** Whether there is something to show. */
  get isActive(): boolean {
    return this._view !== null;
  }

  /** Says that `isActive` may have changed: the status bar undoes `hide()`, so it has to ask. */
  readonly activeStateChanged = new Signal<this, void>(this);

  /** Shows another document from now on, or none. */
  follow(panel: Panel | null): void {
    const model = panel && this._energy.models.of(panel);
    if (model !== this._model) {
      this._popup?.dispose();
      this._model?.changed.disconnect(this._refresh, this);
      this._model = model;
      model?.changed.connect(this._refresh, this);
      this._refresh();
    }
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this._popup?.dispose();
      Signal.clearData(this);
      super.dispose();
    }
  }

  protected override render(): React.JSX.Element {
    const view = this._view;
    return view === null ? (
      <></>
    ) : (
      <EnergyButton
        view={view}
        onClick={() => {
          this._onClick(view);
        }}
      />
    );
  }

  private _refresh(): void {
    const { settings, trans } = this._energy;
    const live = this._model?.live ?? null;
    const wasActive = this.isActive;
    this._view = live && viewOf(live, settings, trans);
    if (this._view === null) {
      this._popup?.dispose();
    } else {
      this._popup?.body.tell(this._view.panel);
    }
    if (wasActive !== this.isActive) {
      this.activeStateChanged.emit();
    }
    this.update();
  }

  private _onClick(view: IView): void {
    if (view.action === 'load') {
      this._model?.load();
    } else if (this._popup === null) {
      const body = new EnergyPanel(view.panel, this._energy.trans, () => this._model?.load());
      this._popup = new EnergyPopup(body, this, this._side);
      this._popup.disposed.connect(() => {
        this._popup = null;
      });
      this._popup.launch();
    } else {
      this._popup.dispose();
    }
  }

  private readonly _energy: IEnergy;
  private readonly _side: 'above' | 'below';
  private _model: EnergyModel | null = null;
  private _view: IView | null = null;
  private _popup: EnergyPopup | null = null;
}

function EnergyButton(props: { view: IView; onClick: () => void }): React.JSX.Element {
  const { state, isStale, title, figures, gpuAsleep, label, tooltip, action } = props.view;
  return (
    <button
      type="button"
      className="jp-EnergyItem-button jp-StatusBar-TextItem"
      aria-label={label}
      aria-haspopup={action === 'panel' ? 'dialog' : undefined}
      title={tooltip}
      data-state={state}
      data-stale={isStale}
      onClick={props.onClick}
    >
      <boltIcon.react tag="span" className="jp-EnergyItem-icon" aria-hidden="true" />
      {title !== '' && <span className="jp-EnergyItem-title">{title}</span>}
      {figures.length === 0 && <span className="jp-EnergyItem-nothing">–</span>}
      {figures.map(({ name, text, look }) => (
        <span key={name} className="jp-EnergyItem-figure" data-figure={name} data-look={look}>
          <span className="jp-EnergyItem-text">{text}</span>
          {name === 'carbon' && ' CO₂e'}
        </span>
      ))}
      {gpuAsleep !== null && (
        <span className="jp-EnergyItem-asleep" data-shown={gpuAsleep.isShown}>
          {gpuAsleep.text}
        </span>
      )}
    </button>
  );
}
