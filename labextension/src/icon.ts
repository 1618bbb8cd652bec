/** The bolt before the figures: an outline, filled while a cell runs. */
import { LabIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
<path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M9.2 1 3 9h4.1L6.3 15 13 6.6H8.6L9.2 1z"/>
</svg>`;

export const boltIcon = new LabIcon({ name: 'jupyter-energy:bolt', svgstr: SVG });
