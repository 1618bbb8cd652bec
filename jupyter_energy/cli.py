"""`jupyter energy COMMAND`: a thin host of the commands.

Exit status: 0 done, 1 the measured code failed or nothing asked could be answered, 2 wrong usage,
3 a limit was passed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import EnergyError, WrongUse
from .plain_text import message

if TYPE_CHECKING:
    from .commands.shell_context import ShellContext

PROGRAM = "jupyter energy"


def _run(words: Sequence[str], context: ShellContext) -> int:
    """Run one command; its exit status. Raises EnergyError; BrokenPipeError without a reader."""
    if words and words[0] in ("-V", "--version"):
        from .version import version

        context.out(version())
        return 0
    from .commands import dispatch

    status = dispatch(words or ["--help"], context)
    return status if words else 2


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Where a signal has ended what was run, it ends us too."""
    status = _guarded(sys.argv[1:] if words is None else list(words))
    if status < 0:
        from .commands.ending import end_by

        end_by(-status)
    return status


def _guarded(words: list[str]) -> int:
    """Run one command; its exit status, or below 0 a signal. What fails is said."""
    from .commands.shell_context import ShellContext

    for stream in (sys.stdout, sys.stderr):
        # Where a stream cannot show "≈" (a Windows pipe, LC_ALL=C), the figures are still told.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    context = ShellContext()
    try:
        return _run(words, context)
    except WrongUse as error:
        context.err(f"{PROGRAM}: {message(error)}")
        return 2
    except EnergyError as error:
        context.err(f"{PROGRAM}: {message(error)}")
        return 1
    except KeyboardInterrupt:
        context.err(f"{PROGRAM}: interrupted")
        return 1
    except BrokenPipeError:  # of stderr: nobody is left to be told
        sys.stderr = None
        return 1
    finally:
        context.close()
