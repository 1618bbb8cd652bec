"""What a framework that the user has imported says of how it computes; nothing is imported here."""

from __future__ import annotations

import sys

from .signals import raise_if_users


def float32_products() -> str | None:
    """How torch multiplies float32 matrices on a GPU in this process: "highest" (without tensor
    cores), "high" or "medium"; None where torch is not in use on a GPU, or does not tell.

    What runs under torch.autocast is computed otherwise, which nobody can see from here.
    """
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return None
        return str(torch.get_float32_matmul_precision())
    except Exception as error:  # noqa: BLE001  a framework may raise anything; it is only asked
        raise_if_users(error)
        return None
