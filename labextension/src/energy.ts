/** What the plugins share: the user's settings, the models, the language. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { type ISignal, Signal } from '@lumino/signaling';

import { EnergyModels } from './model';
import { DEFAULTS, type ISettings, readSettings } from './settings';

/** Asked for by the plugins that show something. */
export const IEnergy = new Token<IEnergy>(
  'jupyter-energy:IEnergy',
  'Settings of jupyter-energy and what is known of the kernels.'
);
export interface IEnergy {
  readonly models: EnergyModels;
  readonly trans: TranslationBundle;
  readonly settings: ISettings;
  /** `settings` changed. */
  readonly settingsChanged: ISignal<IEnergy, void>;
}

class Energy implements IEnergy {
  constructor(readonly trans: TranslationBundle) {}

  readonly models = new EnergyModels();
  readonly settingsChanged: Signal<IEnergy, void> = new Signal<IEnergy, void>(this);

  get settings(): ISettings {
    return this._settings;
  }

  set settings(settings: ISettings) {
    this._settings = settings;
    this.settingsChanged.emit();
    if (settings.where === 'nowhere') {
      this.models.clear();
    }
  }

  private _settings = DEFAULTS;
}

const ID = 'jupyter-energy:plugin';

/** Reads the settings; without a registry, or when it fails, the defaults hold. */
export const energyPlugin: JupyterFrontEndPlugin<IEnergy> = {
  id: ID,
  description: 'Settings of jupyter-energy and what is known of the kernels.',
  autoStart: true,
  provides: IEnergy,
  optional: [ISettingRegistry, ITranslator],
  activate: (
    _app: unknown,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ): IEnergy => {
    const energy = new Energy((translator ?? nullTranslator).load('jupyter_energy'));
    registry
      ?.load(ID)
      .then(loaded => {
        const read = (): void => {
          energy.settings = readSettings(loaded.composite);
        };
        loaded.changed.connect(read);
        read();
      })
      .catch((error: unknown) => {
        console.error('jupyter-energy: its settings cannot be read, the defaults hold', error);
      });
    return energy;
  }
};
