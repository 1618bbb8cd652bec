"""A family whose discovery fails."""


def discover(machine: object) -> None:
    """What no discovery should do."""
    raise SystemExit(2)
