"""Power of pretended GPUs, steered from within a kernel while its cells run."""

from __future__ import annotations

import time
from pathlib import Path

BEFORE_W, WITHIN_W, AFTER_W = 100, 700, 150
# The settings are read anew at the next call of the driver; the power is to change after that
# could be, or in the same moment for all who ask.
SOON_S = 0.005
# How long after a cell its GPUs draw more than before it.
LINGERS_S = 0.2


class Steered:
    """GPUs that all draw the same power, each with its own settings, as `FakeNvml` reads them."""

    def __init__(self, config: Path, gpus: list[str]) -> None:
        self._config, self._gpus = config, gpus
        self._parts = [f"0:{BEFORE_W}"]
        self._rests_s = 0.0
        self._write()

    def work(self, lasts_s: float) -> tuple[float, float]:
        """Work for so long, and sleep meanwhile; the monotonic moments of its begin and end."""
        begin_s = time.monotonic() + SOON_S
        end_s = begin_s + lasts_s
        self._rests_s = end_s + LINGERS_S
        changes = (begin_s, WITHIN_W), (end_s, AFTER_W), (self._rests_s, BEFORE_W)
        self._parts += [f"{t_s!r}:{watts}" for t_s, watts in changes]
        self._write()
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(left_s)
        return begin_s, end_s

    def rest(self, seconds: float) -> None:
        """Return when all have drawn their idle power for so long."""
        time.sleep(max(0.0, self._rests_s + seconds - time.monotonic()))

    def _write(self) -> None:
        lines = [f"{gpu} profile={','.join(self._parts)}\n" for gpu in self._gpus]
        new = self._config.with_suffix(".new")
        new.write_text("".join(lines))
        new.replace(self._config)
