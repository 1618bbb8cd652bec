"""What a framework that is imported says of how it computes."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from jupyter_energy.frameworks import float32_products


def torch(is_used: bool, says: object = "highest") -> SimpleNamespace:
    """As much of torch as is asked."""

    def precision() -> object:
        if isinstance(says, Exception):
            raise says
        return says

    return SimpleNamespace(
        cuda=SimpleNamespace(is_initialized=lambda: is_used),
        get_float32_matmul_precision=precision,
    )


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (None, None),
        (torch(is_used=False), None),
        (torch(is_used=True), "highest"),
        (torch(is_used=True, says=RuntimeError("not now")), None),
        (SimpleNamespace(), None),  # one of that name that is not torch, or half imported
    ],
)
def test_torch_is_asked_only_where_it_computes_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, module: object, expected: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "torch", module)
    assert float32_products() == expected
