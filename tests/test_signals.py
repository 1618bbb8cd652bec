"""An exception is the user's where a signal handler of theirs has raised it."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_energy.signals import signal_of


class Late(Exception):
    """Of the user's."""


def raises(*_: object) -> None:
    raise Late


class Limit:
    def __call__(self, *_: object) -> None:
        raise Late

    def method(self, *_: object) -> None:
        raise Late


def by_another(*_: object) -> None:
    raises()


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    kept = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, kept)


HANDLERS: dict[str, Callable[..., Any]] = {
    "a function": raises,
    "a method": Limit().method,
    "an object": Limit(),
    "a partial": functools.partial(raises, 1),
    "one that calls another": by_another,
}


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="POSIX signals")
@pytest.mark.parametrize("name", HANDLERS)
def test_what_a_handler_raises_is_known_by_its_signal(name: str) -> None:
    signal.signal(signal.SIGUSR1, HANDLERS[name])
    with pytest.raises(Late) as caught:
        signal.raise_signal(signal.SIGUSR1)
    assert signal_of(caught.value) == signal.SIGUSR1


def test_ctrl_c_is_one_whoever_raises_it() -> None:
    assert signal_of(KeyboardInterrupt()) == signal.SIGINT


def test_what_no_handler_has_raised_is_of_no_signal() -> None:
    signal.signal(signal.SIGUSR1, by_another)
    with pytest.raises(Late) as caught:
        raises()
    assert signal_of(caught.value) is None
    assert signal_of(ValueError("never raised")) is None
