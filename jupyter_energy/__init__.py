"""What a Jupyter cell costs in energy (J) and CO2e (g)."""


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where `jupyter-builder develop` finds the built front end, and under which name it goes."""
    return [{"src": "labextension", "dest": "jupyter-energy"}]
