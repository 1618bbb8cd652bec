/** What the user wants to see, and where. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';

/** `schema/plugin.json` describes each of these to the user. */
export interface ISettings {
  showPower: boolean;
  showEnergy: boolean;
  showCarbon: boolean;
  total: 'notebook' | 'session';
  where: 'auto' | 'toolbar' | 'nowhere';
}

export const DEFAULTS: ISettings = {
  showPower: true,
  showEnergy: true,
  showCarbon: true,
  total: 'notebook',
  where: 'auto'
};

/** The settings as they are now; what is not one of its values is as if it were not set. */
export function readSettings(found: ISettingRegistry.ISettings['composite']): ISettings {
  const { showPower, showEnergy, showCarbon, total, where } = found;
  return {
    showPower: typeof showPower === 'boolean' ? showPower : DEFAULTS.showPower,
    showEnergy: typeof showEnergy === 'boolean' ? showEnergy : DEFAULTS.showEnergy,
    showCarbon: typeof showCarbon === 'boolean' ? showCarbon : DEFAULTS.showCarbon,
    total: total === 'session' ? total : DEFAULTS.total,
    where: where === 'toolbar' || where === 'nowhere' ? where : DEFAULTS.where
  };
}
