"""Puts bytes on the disk so that nobody ever sees half of them, and two writers do not lose each other's.

Rules:

* A file is written beside its place, flushed to the disk, and moved there: kill the process at any
  moment, and the old file or the new one is there.
* Whoever reads, changes and writes a cassette holds its lock. Locks live in the temporary folder
  of the machine, so that none is ever committed.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["locked", "replace"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cassette against every other thread and process of this machine."""
    from filelock import FileLock  # noqa: PLC0415  only writers need it

    folder = (
        Path(tempfile.gettempdir()) / f"llmreplay-locks-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    name = blake2b(os.fsencode(os.path.realpath(path)), digest_size=16).hexdigest()
    with FileLock(folder / f"{name}.lock"):
        yield


def replace(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, atomically; folders are made, links and modes kept."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    for left_over in target.parent.glob(f".{_escaped(target.name)}.*.tmp"):
        # Of a process that died while it wrote; the lock says that none is writing now.
        with suppress(OSError):
            left_over.unlink()
    beside = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):
            beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _flush_folder(target.parent)


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _flush_folder(folder: Path) -> None:
    # Where folders can be opened (not on Windows), the move itself is made durable.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
