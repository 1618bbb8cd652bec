import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { statusBarPlugin } from './statusbar';

/** Every plugin of the front end; a new UI element is one file and one line here. */
const plugins: JupyterFrontEndPlugin<void>[] = [statusBarPlugin];

export default plugins;
