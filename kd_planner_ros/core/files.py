"""Files that are whole or not there: written under a temporary name beside their own, then renamed.

Every writer of the package that makes a file in one go comes here. Files that grow row by row (telemetry, recordings) are written in
place or in a folder with a temporary name; ``writing`` gives their errors the name of the file.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes to ``path``.

    Raises:
        OSError: the system's error with the file's name, which a failed write lacks; also where a library (torch, zipfile, numpy) raised
            an error of its own because a write below it had failed.
    """
    handled = sys.exc_info()[1]
    try:
        yield
    except Exception as error:
        first = _first_fault(error, handled)
        if first is None or (first is error and first.filename is not None):
            raise
        raise OSError(first.errno or errno.EIO, first.strerror or str(first), first.filename or str(path)) from error


def _first_fault(error: BaseException, handled: BaseException | None) -> OSError | None:
    """The system's error that led to ``error``: the oldest one of those that were raised while another was handled, back to ``handled``,
    which was there before."""
    found: OSError | None = None
    one: BaseException | None = error
    while one is not None and one is not handled:
        if isinstance(one, OSError) and (one.errno is not None or found is None):
            found = one
        one = one.__cause__ or one.__context__
    return found


@contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path``, with the same suffix; what the block wrote to it becomes ``path`` at the block's end.

    A reader sees the old file or the new one, never half of one. After an error the old file stays and nothing else is left.

    Args:
        durable: wait until the data are on the disk, so that a power failure leaves the old file or the new one too.

    Raises:
        OSError: as ``writing``.
    """
    with writing(path):
        if not path.name or path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        part = path.with_name(f".part-{os.getpid()}-{path.name}")
        try:
            yield part
            if durable:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            if error.errno is None:  # numpy counts the bytes that are missing and does not say why
                why = _errno_of(part)
                raise OSError(why, f"{os.strerror(why)} ({error})", str(path)) from None
            raise
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, durable: bool = False) -> None:
    """``data`` as the whole content of ``path``; see ``whole_file``."""
    with whole_file(path, durable) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str, durable: bool = False) -> None:
    """``text`` in UTF-8 as the whole content of ``path``; see ``whole_file``."""
    write_bytes(path, text.encode(), durable)


def _errno_of(path: Path) -> int:
    """Why nothing more can be written to ``path``; EIO where a further block can."""
    try:
        with path.open("ab") as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO
