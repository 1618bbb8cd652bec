"""Tests in a real browser: JupyterLab and Notebook 7 with real kernels, driven by Playwright."""
