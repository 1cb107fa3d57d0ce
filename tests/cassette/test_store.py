"""Files that nobody ever sees half of, and that two writers share."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmreplay.cassette import _store

OLD, NEW = b"old\n" * 1000, b"new\n" * 500_000


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "x.yaml"

    _store.replace(path, OLD)
    _store.replace(path, NEW)

    assert path.read_bytes() == NEW
    assert [entry.name for entry in path.parent.iterdir()] == ["x.yaml"]


def test_the_mode_and_the_link_of_a_file_are_kept(tmp_path):
    path, link = tmp_path / "x.yaml", tmp_path / "link.yaml"
    path.write_bytes(OLD)
    path.chmod(0o640)
    link.symlink_to(path)

    _store.replace(link, NEW)

    assert link.is_symlink()
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.yaml"
    path.write_bytes(OLD)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        _store.replace(path, NEW)

    assert path.read_bytes() == OLD
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]


def test_what_a_killed_process_left_behind_is_swept_up(tmp_path):
    path = tmp_path / "x[1].yaml"
    (tmp_path / ".x[1].yaml.deadbeef.tmp").write_bytes(b"half")
    (tmp_path / ".other.yaml.deadbeef.tmp").write_bytes(b"somebody else's")

    _store.replace(path, NEW)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.yaml.deadbeef.tmp", "x[1].yaml"]


WRITER = """
import os, signal, sys
from pathlib import Path
from llmreplay.cassette import _store

path, at = Path(sys.argv[1]), int(sys.argv[2])
calls = 0

def die(event, arguments):
    # Every file operation of the write is one audit event: the process dies at each in turn.
    global calls
    if event in ("open", "os.rename", "os.chmod", "os.remove", "os.listdir", "os.scandir", "os.mkdir"):
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)

data = b"new\\n" * 500_000
sys.addaudithook(die)
_store.replace(path, data)
os.write(1, b"%d" % calls)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this platform")
def test_a_process_killed_at_any_operation_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "x.yaml"
    seen = set()
    for at in range(1, 40):
        path.write_bytes(OLD)
        writer = subprocess.run(
            [sys.executable, "-c", WRITER, str(path), str(at)], check=False, capture_output=True
        )
        content = path.read_bytes()
        assert content in (OLD, NEW), f"half a file, killed at operation {at}"
        seen.add(content == NEW)
        if writer.returncode == 0:
            break
        assert writer.returncode == -signal.SIGKILL, writer.stderr.decode()
    else:
        pytest.fail("the writer was never let live")

    assert seen == {True, False}
    assert at > 2


SLOW_WRITER = """
import sys
from pathlib import Path
from llmreplay.cassette import _store

path = Path(sys.argv[1])
data = [b"old\\n" * 1000, b"new\\n" * 500_000]
print("ready", flush=True)
while True:
    for each in data:
        _store.replace(path, each)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this platform")
def test_a_reader_never_sees_half_a_file_while_another_process_writes_and_is_killed(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(OLD)
    writer = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(path)], stdout=subprocess.PIPE)
    try:
        writer.stdout.readline()
        seen = [path.read_bytes() for _ in range(300)]
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()

    assert all(content in (OLD, NEW) for content in [*seen, path.read_bytes()])


def test_threads_take_turns(tmp_path):
    path = tmp_path / "x.yaml"
    inside = threading.Semaphore(1)

    def enter(_):
        with _store.locked(path):
            alone = inside.acquire(blocking=False)
            if alone:
                inside.release()
            return alone

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(enter, range(100)))


def test_no_lock_file_is_left_beside_the_cassette(tmp_path):
    with _store.locked(tmp_path / "x.yaml"):
        pass

    assert list(tmp_path.iterdir()) == []


APPENDER = """
import os, signal, sys
from pathlib import Path
from llmreplay.cassette import _store

path, at, data = Path(sys.argv[1]), int(sys.argv[2]), b"new\\n" * 500_000
calls = 0

def die(event=None, arguments=None):
    global calls
    if event in (None, "open", "os.remove", "os.truncate"):
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)

def finish(file, place, whole):
    # The write itself is cut into pieces, and the process dies between any two of them.
    file.seek(place)
    for start in range(0, len(whole), 300_000):
        die()
        file.write(whole[start : start + 300_000])
        file.flush()
    die()
    file.truncate()

_store._finish = finish
sys.addaudithook(die)
_store.append(path, int(sys.argv[3]), data)
os.write(1, b"%d" % calls)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this platform")
def test_a_process_killed_while_it_appends_is_made_good_by_the_next_one(tmp_path):
    path = tmp_path / "x.yaml"
    old, new = OLD + b"...\n", OLD + NEW
    seen, halves = set(), 0
    for at in range(1, 40):
        path.write_bytes(old)
        command = [sys.executable, "-c", APPENDER, str(path), str(at), str(len(OLD))]
        writer = subprocess.run(command, check=False, capture_output=True)
        halves += path.read_bytes() not in (old, new)
        _store.mend(path)
        content = path.read_bytes()
        assert content in (old, new), f"half a file, killed at operation {at}"
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]
        seen.add(content == new)
        if writer.returncode == 0:
            break
        assert writer.returncode == -signal.SIGKILL, writer.stderr.decode()
    else:
        pytest.fail("the writer was never let live")

    assert seen == {True, False}
    assert halves > 2


def test_a_journal_that_belongs_to_another_file_is_thrown_away(tmp_path, monkeypatch):
    path = tmp_path / "x.yaml"
    path.write_bytes(OLD + b"...\n")
    with monkeypatch.context() as patch:
        patch.setattr(_store, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _store.append(path, len(OLD), b"new\n...\n")
    path.write_bytes(b"checked out\n" * 1000)

    _store.mend(path)

    assert path.read_bytes() == b"checked out\n" * 1000
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.yaml"]


def test_a_journal_of_a_file_that_is_gone_or_half_a_journal_is_thrown_away(tmp_path):
    journal = tmp_path / ".x.yaml.journal"
    journal.write_bytes(b"half")
    _store.mend(tmp_path / "x.yaml")
    assert not journal.exists()


def test_a_file_that_has_changed_has_another_stamp(tmp_path):
    path = tmp_path / "x.yaml"
    assert _store.stamp(path) is None
    path.write_bytes(OLD)
    before = _store.stamp(path)
    assert before == _store.stamp(path)

    _store.append(path, len(OLD), b"more\n")
    appended = _store.stamp(path)
    _store.replace(path, OLD)

    assert len({before, appended, _store.stamp(path)}) == 3
