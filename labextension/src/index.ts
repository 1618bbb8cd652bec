import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { energyPlugin } from './energy';
import { statusBarPlugin } from './statusbar';
import { toolbarPlugin } from './toolbar';

/** Every plugin of the front end; a new UI element is one file and one line here. */
const plugins: JupyterFrontEndPlugin<unknown>[] = [energyPlugin, statusBarPlugin, toolbarPlugin];

export default plugins;
