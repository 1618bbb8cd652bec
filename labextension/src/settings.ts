/** What the user wants to see, and where. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { clean } from './parse';

/** `schema/plugin.json` describes each of these to the user. */
export interface ISettings {
  label: string;
  showPower: boolean;
  showEnergy: boolean;
  showCarbon: boolean;
  total: 'notebook' | 'session';
  where: 'auto' | 'toolbar' | 'nowhere';
}

const LABEL_LIMIT = 24;

export const DEFAULTS: ISettings = {
  label: '',
  showPower: true,
  showEnergy: true,
  showCarbon: true,
  total: 'notebook',
  where: 'auto'
};

/** The settings as they are now; what is not one of its values is as if it were not set. */
export function readSettings(found: ISettingRegistry.ISettings['composite']): ISettings {
  const { label, showPower, showEnergy, showCarbon, total, where } = found;
  return {
    label: typeof label === 'string' ? clean(label, LABEL_LIMIT) : DEFAULTS.label,
    showPower: typeof showPower === 'boolean' ? showPower : DEFAULTS.showPower,
    showEnergy: typeof showEnergy === 'boolean' ? showEnergy : DEFAULTS.showEnergy,
    showCarbon: typeof showCarbon === 'boolean' ? showCarbon : DEFAULTS.showCarbon,
    total: total === 'session' ? total : DEFAULTS.total,
    where: where === 'toolbar' || where === 'nowhere' ? where : DEFAULTS.where
  };
}
