"""The data set under DVC: real repositories, real remotes, in folders of the test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.version_dataset import dvc_data
from components.version_dataset.dvc_data import current_revision, ensure_revision, pointer_path, record_revision
from components.version_dataset.step import run
from egoreact.errors import EgoReactError
from egoreact.hrd.dataset import manifest_digest

SHARD = "train-00000.tar"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`project/data/hrd` with two shards, under no git and no DVC; a workspace beside it."""
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EGOREACT_DVC_REMOTE", raising=False)
    data = tmp_path / "project" / "data"
    (data / "hrd").mkdir(parents=True)
    for number in range(2):
        (data / "hrd" / f"train-{number:05d}.tar").write_bytes(os.urandom(50_000))
    return data


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def test_the_same_bytes_give_the_same_revision(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "elsewhere" / "data")
    revision = record_revision(data)
    assert revision.endswith(".dir")
    assert revision == current_revision(data) == record_revision(data)
    assert record_revision(tmp_path / "elsewhere" / "data") == revision
    flip_a_byte(data / "hrd" / SHARD)
    assert record_revision(data) != revision


def test_exactly_one_pointer_beside_the_data(data: Path) -> None:
    record_revision(data)
    assert {path.name for path in data.parent.iterdir()} == {"data", "data.dvc", ".dvc", ".dvcignore"}
    (out,) = yaml.safe_load(pointer_path(data).read_text())["outs"]
    assert out["path"] == "data" and out["nfiles"] == 2


def test_in_a_git_repository_git_stays_untouched(data: Path) -> None:
    subprocess.run(["git", "init", "-q", str(data.parent)], check=True)
    record_revision(data)
    # DVC's own files may be staged by its init; the data never is.
    staged = subprocess.run(["git", "diff", "--cached", "--name-only"], cwd=data.parent, capture_output=True, text=True)
    assert "data.dvc" not in staged.stdout
    assert "hrd" not in staged.stdout
    ignored = subprocess.run(["git", "check-ignore", "data/hrd/" + SHARD], cwd=data.parent, capture_output=True)
    assert ignored.returncode == 0


def test_the_remote_alone_gives_everything_back(data: Path, tmp_path: Path) -> None:
    revision = record_revision(data)
    content = (data / "hrd" / SHARD).read_bytes()
    shutil.rmtree(data.parent)
    elsewhere = tmp_path / "another machine" / "data"
    ensure_revision(elsewhere, revision)
    assert (elsewhere / "hrd" / SHARD).read_bytes() == content
    assert current_revision(elsewhere) == revision


def test_a_lost_shard_is_fetched_and_a_lost_remote_refilled(data: Path, tmp_path: Path) -> None:
    revision = record_revision(data)
    (data / "hrd" / SHARD).unlink()
    ensure_revision(data, revision)
    assert (data / "hrd" / SHARD).is_file()
    shutil.rmtree(tmp_path / "home" / "dvc-remote")
    record_revision(data)
    shutil.rmtree(data.parent)
    ensure_revision(data, revision)


def test_a_flipped_byte_is_found_and_left_alone(data: Path) -> None:
    revision = record_revision(data)
    flip_a_byte(data / "hrd" / SHARD)
    changed = (data / "hrd" / SHARD).read_bytes()
    with pytest.raises(EgoReactError, match=rf"{SHARD}: was changed after it was versioned"):
        ensure_revision(data, revision)
    assert (data / "hrd" / SHARD).read_bytes() == changed


def test_another_revision_replaces_only_versioned_files(data: Path) -> None:
    first = record_revision(data)
    flip_a_byte(data / "hrd" / SHARD)
    second = record_revision(data)
    ensure_revision(data, first)
    assert current_revision(data) == first
    ensure_revision(data, second)
    (data / "hrd" / "new.tar").write_bytes(b"precious")
    with pytest.raises(EgoReactError, match=r"new\.tar"):
        ensure_revision(data, first)
    assert (data / "hrd" / "new.tar").read_bytes() == b"precious"


def test_an_unknown_revision_costs_nothing(data: Path) -> None:
    revision = record_revision(data)
    with pytest.raises(EgoReactError, match="does not hold all of revision 0000"):
        ensure_revision(data, "0" * 32 + ".dir")
    assert current_revision(data) == revision
    assert (data / "hrd" / SHARD).is_file()


@pytest.mark.parametrize("before", [False, True], ids=["first time", "again"])
def test_a_remote_that_is_away_leaves_the_pointer_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    revision = record_revision(data) if before else None
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", str(tmp_path / "file" / "remote"))
    (data / "hrd" / "train-00002.tar").write_bytes(b"new")
    with pytest.raises(EgoReactError, match="file/remote: the data remote cannot be used") as caught:
        record_revision(data)
    assert "\n" not in str(caught.value)
    assert current_revision(data) == revision


def test_a_repositorys_own_remote_is_used(data: Path, tmp_path: Path) -> None:
    record_revision(data)
    theirs = tmp_path / "theirs"
    (data.parent / ".dvc" / "config").write_text(
        f"[core]\n    remote = theirs\n['remote \"theirs\"']\n    url = {theirs}\n"
    )
    shutil.rmtree(tmp_path / "home")
    record_revision(data)
    assert any(theirs.rglob("*.dir"))
    assert not (tmp_path / "home" / "dvc-remote").exists()


def test_what_is_versioned_is_what_was_built(data: Path) -> None:
    (data / "hrd" / "manifest.parquet").write_bytes(b"rows")
    assert run(data, manifest_digest(data / "hrd")) == current_revision(data)
    with pytest.raises(EgoReactError, match="run the pipeline again"):
        run(data, "0" * 64)


def test_mistakes_are_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(EgoReactError, match="no data set here"):
        record_revision(tmp_path / "nothing" / "data")
    pointer_path(data).write_text("outs: []\n")
    with pytest.raises(EgoReactError, match="is no DVC pointer"):
        current_revision(data)
    pointer_path(data).unlink()
    with pytest.raises(EgoReactError, match="files that DVC does not know"):
        ensure_revision(data, "0" * 32 + ".dir")


def test_another_dvc_process_is_named(data: Path) -> None:
    record_revision(data)
    with dvc_data._opened(data) as (repo, _), repo.lock, pytest.raises(EgoReactError, match="another DVC process"):
        record_revision(data)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 service of the test's own."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="data")
    yield "s3://data/hrd"
    server.stop()


def test_a_bucket_is_a_remote(data: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    revision = record_revision(data)
    content = (data / "hrd" / SHARD).read_bytes()
    shutil.rmtree(tmp_path / "project")
    ensure_revision(tmp_path / "elsewhere" / "data", revision)
    assert (tmp_path / "elsewhere" / "data" / "hrd" / SHARD).read_bytes() == content
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", "s3://nowhere/hrd")
    with pytest.raises(EgoReactError, match="s3://nowhere/hrd: the data remote cannot be used"):
        record_revision(tmp_path / "elsewhere" / "data")
