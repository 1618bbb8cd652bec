"""A family whose discovery fails."""


def discover(machine: object) -> None:
    """What no discovery should do."""
    raise RuntimeError("the vendor tool is missing")
