"""Puts bytes on the disk so that nobody ever sees half of them, and two writers do not lose each other's.

Rules:

* A file is written beside its place, flushed to the disk, and moved there: kill the process at any
  moment, and the old file or the new one is there.
* What is added at the end is written into a journal beside the file first, so that its cost does not grow
  with the file. A file that was left half written is made whole from its journal by whoever comes next.
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
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Stamp", "append", "content", "locked", "mend", "place_of", "replace", "stamp"]

Stamp = tuple[int, int, int]
"""What tells that a file is as it was: its inode, its size, and when it was changed, in nanoseconds."""

_DIGEST = 32
_END = 4  # of a cassette: what is appended stands in its place
_COMMON = 4096
_LONG_NAME = 200


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cassette against every other thread and process of this machine."""
    from filelock import FileLock  # noqa: PLC0415  only writers need it

    with FileLock(place_of(path, "lock")):
        yield


def place_of(path: Path, kind: str) -> Path:
    """Return where this machine keeps something about a cassette that is no part of it, such as its lock."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"llmreplay-locks-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = blake2b(os.fsencode(os.path.realpath(path)), digest_size=16).hexdigest()
    return folder / f"{name}.{kind}"


def replace(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, atomically; folders are made, links and modes kept."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    name = _short(target.name)
    for left_over in target.parent.glob(f".{_escaped(name)}.*.tmp"):
        # Of a process that died while it wrote; the lock says that none is writing now.
        with suppress(OSError):
            left_over.unlink()
    beside = target.parent / f".{name}.{uuid.uuid4().hex}.tmp"
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


def _short(name: str) -> str:
    """Return a name that leaves room for more, where the file system takes no longer one."""
    spelled = os.fsencode(name)
    return name if len(spelled) <= _LONG_NAME else blake2b(spelled, digest_size=16).hexdigest()


def stamp(path: Path) -> Stamp | None:
    """Return what tells a file as it is now from a changed one; None if there is none."""
    try:
        return _stamp_of(path.stat())
    except OSError:
        return None


def _stamp_of(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns


def content(path: Path) -> tuple[Stamp, bytes]:
    """Return the content of a file, with what tells it as it is now; raises OSError."""
    # By hand, since a file object asks the system twice as often, and each test reads a file.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        # The stamp first: what is written meanwhile makes it an old one.
        found = os.fstat(file)
        pieces = [os.read(file, found.st_size + 1)]
        while len(pieces[-1]) and sum(map(len, pieces)) != found.st_size:
            pieces.append(os.read(file, _COMMON + found.st_size))
        return _stamp_of(found), b"".join(pieces)
    finally:
        os.close(file)


def append(path: Path, at: int, data: bytes) -> None:
    """Put `data` in the place of the last bytes of a file, from `at` on, as good as atomically.

    The journal holds all that is needed to finish the job: it is there, whole and on the disk, before the
    file is touched, and is gone when that is done.
    """
    target = Path(os.path.realpath(path))
    journal = _journal(target)
    with target.open("r+b") as file:
        common = _before(file, at)
        entry = at.to_bytes(8, "big") + blake2b(common, digest_size=_DIGEST).digest() + data
        with journal.open("wb") as beside:
            beside.write(blake2b(entry, digest_size=_DIGEST).digest() + entry)
            beside.flush()
            os.fsync(beside.fileno())
        _finish(file, at, data)
    journal.unlink()


def mend(path: Path) -> None:
    """Finish what a process began to append to a file before it died; whoever calls holds the lock."""
    target = Path(os.path.realpath(path))
    journal = _journal(target)
    try:
        content = journal.read_bytes()
    except OSError:
        return
    digest, entry = content[:_DIGEST], content[_DIGEST:]
    # A journal that is not whole was never acted upon.
    if blake2b(entry, digest_size=_DIGEST).digest() == digest:
        at, before, data = int.from_bytes(entry[:8], "big"), entry[8 : 8 + _DIGEST], entry[8 + _DIGEST :]
        with suppress(FileNotFoundError), target.open("r+b") as file:
            # Of another file, that has taken the place of this one meanwhile, nothing is touched.
            same = blake2b(_before(file, at), digest_size=_DIGEST).digest() == before
            tail = file.read()
            if same and (len(tail) <= _END or data.startswith(tail)):
                _finish(file, at, data)
    journal.unlink()


def _finish(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    file.write(data)
    file.truncate()
    file.flush()
    os.fsync(file.fileno())


def _before(file: BinaryIO, at: int) -> bytes:
    """Return the bytes before a place, as many as tell this file from another."""
    file.seek(max(0, at - _COMMON))
    return file.read(min(at, _COMMON))


def _journal(target: Path) -> Path:
    return target.parent / f".{target.name}.journal"


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
