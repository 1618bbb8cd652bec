"""A JSON object in a file that people edit too: read whole, written whole, never half.

What another program or a person wrote is kept, and so are indentation and line ends, so that
taking back a change gives the file that was there before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import foreign
from .errors import EnergyError, WrongUse

INDENT = 2
# Ours hold a few hundred bytes, and a file of the kernel's, such as /dev/zero, has no end.
LARGEST_BYTES = 2**20
_FIRST_INDENT = re.compile(r"^[{\[]\r?\n([ \t]+)\S")


def load(file: Path) -> dict[str, object]:
    """The object in `file`; an empty one where there is no file.

    Raises WrongUse where the file holds no JSON object, EnergyError where it cannot be read.
    """
    text = _text(file)
    if text is None:
        return {}
    try:
        found = foreign.loads(text)
    except ValueError as error:
        raise WrongUse(f"{file} is not valid JSON ({error}): mend or delete it") from None
    if not isinstance(found, dict):
        raise WrongUse(f"{file} holds no JSON object: mend or delete it")
    return found


def save(file: Path, content: Mapping[str, object], mode: int) -> None:
    """Put `content` into `file` in one step: a reader sees the old file or the new one.

    Permissions are `mode` for a new file, else those it has. A link stays a link. Raises
    EnergyError where the file cannot be written.
    """
    import json
    import os
    import tempfile

    target = file.resolve()  # a rename would put a file in the place of a link
    before = _text(file)
    indent, end = _style(before)
    # json.dumps writes \u escapes by default; keep them only where the file has no other letters.
    escaped = before is not None and before.isascii()
    text = json.dumps(content, indent=indent, ensure_ascii=escaped)
    if before is not None and "\r\n" in before:
        text = text.replace("\n", "\r\n")  # strings hold no bare line ends, so these are ours
    text += end
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if before is not None:
            mode = target.stat().st_mode & 0o777
            if not os.access(target, os.W_OK):
                raise PermissionError(13, "the file is read-only")
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
                out.write(text)
                out.flush()
                os.fsync(handle)
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise _refused("write", file, error) from None


def delete(file: Path) -> None:
    """Remove `file`. Raises EnergyError where that is refused."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise _refused("delete", file, error) from None


def _text(file: Path) -> str | None:
    """What is in `file`, line ends as they are; None where there is no file."""
    try:
        return foreign.file_text(file, LARGEST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text: mend or delete it") from None
    except ValueError as error:
        raise WrongUse(f"{file} {error}: mend or delete it") from None
    except OSError as error:
        raise _refused("read", file, error) from None


def _style(text: str | None) -> tuple[int | str | None, str]:
    """The indentation that a JSON text is written in, and what follows its last bracket."""
    if text is None or not text.strip(" \t\r\n{}"):
        return INDENT, "\n"
    found = _FIRST_INDENT.match(text.lstrip())
    return found.group(1) if found else None, text[len(text.rstrip()) :]


def _refused(verb: str, file: Path, error: OSError) -> EnergyError:
    """What happened, to which file, and what to do."""
    return EnergyError(
        f"cannot {verb} {file} ({error.strerror or error}): "
        f"make {'it readable' if verb == 'read' else 'it and its folder writable'} for this user"
    )
