"""A family whose discovery hangs."""

import time


def discover(machine: object) -> None:
    """What no discovery should do."""
    time.sleep(600)
