"""Shards are whole, the same bytes for the same clips, numbered once, and found out when a byte flips."""

import errno
import os
import tarfile

import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd import shards


@pytest.fixture
def folder(make_clip, tmp_path):
    rows = []
    for split, names in (("train", ("a", "b", "c")), ("test", ("d",))):
        path = shards.next_shard_path(tmp_path, split)
        rows += shards.write_shard(path, [make_clip(name, split=split) for name in names])
    shards.write_manifest(tmp_path, rows)
    return tmp_path


def test_clips_come_back_in_order(folder):
    manifest = shards.read_manifest(folder)
    shards.verify_shards(folder, manifest)
    assert [clip.id for clip in shards.read_clips(folder, manifest)] == ["d", "a", "b", "c"]
    only = manifest[manifest["clip_id"] == "b"]
    assert [clip.id for clip in shards.read_clips(folder, only)] == ["b"]


def test_webdataset_reads_them_too(folder):
    import webdataset

    samples = list(webdataset.WebDataset(str(folder / "train-00000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["a", "b", "c"]
    assert {"mp4", "motion.npz", "camera.npz", "json", "depth.mkv"} <= set(samples[0])


def test_the_same_clips_give_the_same_bytes(make_clip, tmp_path):
    for name in ("one.tar", "two.tar"):
        shards.write_shard(tmp_path / name, [make_clip("a"), make_clip("b")])
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_numbers_only_grow(folder):
    assert shards.next_shard_path(folder, "train").name == "train-00001.tar"
    assert shards.next_shard_path(folder, "val").name == "val-00000.tar"


def test_a_write_that_fails_leaves_nothing(make_clip, tmp_path):
    def clips():
        yield make_clip("a")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shards.write_shard(tmp_path / "train-00000.tar", clips())
    assert list(tmp_path.iterdir()) == []


def one_line(function, *arguments) -> str:
    with pytest.raises(EgoReactError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_flipped_byte_names_the_shard(folder):
    manifest = shards.read_manifest(folder)
    content = bytearray((folder / "train-00000.tar").read_bytes())
    content[2000] ^= 1
    (folder / "train-00000.tar").write_bytes(content)
    assert "train-00000.tar: its bytes differ" in one_line(shards.verify_shards, folder, manifest)


def test_damage_is_one_line(folder, tmp_path):
    path = folder / "train-00000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    assert "is no complete shard" in one_line(lambda: list(shards.read_shard(path)))
    path.write_bytes(b"text")
    assert "is no complete shard" in one_line(lambda: list(shards.read_shard(path)))
    path.unlink()
    assert "names a missing shard, train-00000.tar" in one_line(shards.read_manifest, folder)
    (folder / "manifest.parquet").write_bytes(b"text")
    assert "cannot be read" in one_line(shards.read_manifest, folder)
    assert "no data set here" in one_line(shards.read_manifest, tmp_path / "none")


def test_a_shard_cut_between_two_clips_is_found_out(folder):
    """Tar itself takes that for the end."""
    path = folder / "train-00000.tar"
    with tarfile.open(path) as tar:
        first_of_c = next(member.offset for member in tar if member.name.startswith("c."))
    path.write_bytes(path.read_bytes()[:first_of_c])
    assert [clip.id for clip in shards.read_shard(path)] == ["a", "b"]
    assert "lacks clip c" in one_line(lambda: list(shards.read_clips(folder, shards.read_manifest(folder))))
    assert "its bytes differ" in one_line(shards.verify_shards, folder, shards.read_manifest(folder))


def test_only_the_clips_asked_for_are_read(folder):
    assert [clip.id for clip in shards.read_shard(folder / "train-00000.tar", ["c", "a"])] == ["a", "c"]
    assert "lacks clip x" in one_line(lambda: list(shards.read_shard(folder / "train-00000.tar", ["a", "x"])))


def test_a_missing_shard_is_one_line(folder):
    manifest = shards.read_manifest(folder)
    (folder / "test-00000.tar").unlink()
    assert "test-00000.tar: cannot be read" in one_line(shards.verify_shards, folder, manifest)
    assert "is no complete shard" in one_line(lambda: list(shards.read_clips(folder, manifest)))


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left to write"), (errno.EDQUOT, "no space left"), (errno.EACCES, "cannot be written")],
)
def test_what_a_disk_refuses_is_one_line(make_clip, tmp_path, number, words):
    def clips():
        yield make_clip("a")
        raise OSError(number, os.strerror(number))

    path = tmp_path / "train-00000.tar"
    assert f"{path}: {words}" in one_line(shards.write_shard, path, clips())
    assert not any(tmp_path.iterdir())


def test_a_clip_id_is_used_once(make_clip, tmp_path):
    rows = shards.write_shard(tmp_path / "train-00000.tar", [make_clip("a")])
    assert "clip id a appears twice" in one_line(shards.write_manifest, tmp_path, rows + rows)
