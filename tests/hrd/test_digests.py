"""Digests are remembered for as long as the file stays as it is."""

import os
from pathlib import Path

import pytest

from egoreact.files import sha256_bytes
from egoreact.hrd import digests


@pytest.fixture
def file(workspace: Path) -> Path:
    path = workspace / "train-00000.tar"
    path.write_bytes(b"shard")
    return path


def test_a_file_is_read_once_and_again_after_a_change(file, monkeypatch):
    read = []
    monkeypatch.setattr(digests, "sha256_file", lambda path: read.append(path) or sha256_bytes(path.read_bytes()))
    for _ in range(2):
        assert digests.digests_of([file, file.with_name("missing.tar")]) == {file: sha256_bytes(b"shard")}
    assert read == [file]
    before = file.stat()
    file.write_bytes(b"snard")  # of the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert digests.digests_of([file]) == {file: sha256_bytes(b"snard")}
    file.unlink()
    assert digests.digests_of([file]) == {}


def test_a_damaged_note_costs_time_alone(file, workspace):
    digests.digests_of([file])
    (workspace / "home" / digests.FILE).write_text("[1")
    assert digests.digests_of([file]) == {file: sha256_bytes(b"shard")}


def test_what_is_gone_is_forgotten(file, workspace):
    digests.digests_of([file])
    file.unlink()
    other = workspace / "other.tar"
    other.write_bytes(b"other")
    digests.digests_of([other])
    assert str(file) not in (workspace / "home" / digests.FILE).read_text()
