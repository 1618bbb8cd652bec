/** What JupyterLab's packages ask of a browser while they are loaded and jsdom does not have. */
Object.assign(globalThis, {
  // @lumino/dragdrop derives a class from it
  DragEvent: class DragEvent extends MouseEvent {},
  // @jupyterlab/notebook derives classes from them
  IntersectionObserver: class IntersectionObserver extends EventTarget {},
  ResizeObserver: class ResizeObserver extends EventTarget {
    observe(): void {
      // nothing is ever laid out here, so nothing changes its size
    }
    disconnect(): void {
      // as above
    }
  },
  // JupyterLab's React widgets ask for it after they were drawn
  requestIdleCallback: (done: () => void) => setTimeout(done),
  // @jupyter/web-components asks whether the user wants forced colours: no
  matchMedia: () => Object.assign(new EventTarget(), { matches: false })
});
