"""The data set under DVC: real repositories, real remotes, in folders of the test's own."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.version_dataset import dvc_data
from components.version_dataset.commands import hrd_pull, hrd_push
from components.version_dataset.dvc_data import current_revision, ensure_revision, pointer_path, record_revision
from components.version_dataset.step import run
from egoreact.errors import EgoReactError
from egoreact.hrd.building import BUILDING
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
    revision = record_revision(data).id
    assert revision.endswith(".dir")
    assert revision == current_revision(data) == record_revision(data).id
    assert record_revision(tmp_path / "elsewhere" / "data").id == revision
    flip_a_byte(data / "hrd" / SHARD)
    assert record_revision(data).id != revision


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
    revision = record_revision(data).id
    content = (data / "hrd" / SHARD).read_bytes()
    shutil.rmtree(data.parent)
    elsewhere = tmp_path / "another machine" / "data"
    ensure_revision(elsewhere, revision)
    assert (elsewhere / "hrd" / SHARD).read_bytes() == content
    assert current_revision(elsewhere) == revision


def test_a_lost_shard_is_fetched_and_a_lost_remote_refilled(data: Path, tmp_path: Path) -> None:
    revision = record_revision(data).id
    (data / "hrd" / SHARD).unlink()
    ensure_revision(data, revision)
    assert (data / "hrd" / SHARD).is_file()
    shutil.rmtree(tmp_path / "home" / "dvc-remote")
    record_revision(data)
    shutil.rmtree(data.parent)
    ensure_revision(data, revision)


def test_a_flipped_byte_is_found_and_left_alone(data: Path) -> None:
    revision = record_revision(data).id
    flip_a_byte(data / "hrd" / SHARD)
    changed = (data / "hrd" / SHARD).read_bytes()
    with pytest.raises(EgoReactError, match=rf"{SHARD}: was changed after it was versioned"):
        ensure_revision(data, revision)
    assert (data / "hrd" / SHARD).read_bytes() == changed


def test_another_revision_replaces_only_versioned_files(data: Path) -> None:
    first = record_revision(data).id
    flip_a_byte(data / "hrd" / SHARD)
    second = record_revision(data).id
    ensure_revision(data, first)
    assert current_revision(data) == first
    ensure_revision(data, second)
    (data / "hrd" / "new.tar").write_bytes(b"precious")
    with pytest.raises(EgoReactError, match=r"new\.tar"):
        ensure_revision(data, first)
    assert (data / "hrd" / "new.tar").read_bytes() == b"precious"


def test_an_unknown_revision_costs_nothing(data: Path) -> None:
    revision = record_revision(data).id
    with pytest.raises(EgoReactError, match="does not hold all of revision 0000"):
        ensure_revision(data, "0" * 32 + ".dir")
    assert current_revision(data) == revision
    assert (data / "hrd" / SHARD).is_file()


@pytest.mark.parametrize("before", [False, True], ids=["first time", "again"])
def test_a_remote_that_is_away_leaves_the_pointer_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    revision = record_revision(data).id if before else None
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
    with dvc_data.opened(data) as (repo, _), repo.lock, pytest.raises(EgoReactError, match="another DVC process"):
        record_revision(data)


def test_counts_say_what_was_new(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGOREACT_DATA", str(data))
    hrd_push()
    assert "2 shards: 0 unchanged, 2 new; 3 files sent" in capsys.readouterr().out
    (data / "hrd" / "train-00002.tar").write_bytes(b"new")
    hrd_push()
    assert "3 shards: 2 unchanged, 1 new; 2 files sent" in capsys.readouterr().out
    (data / "hrd" / SHARD).unlink()
    hrd_pull()
    assert "3 shards: 2 unchanged, 1 new" in capsys.readouterr().out


def test_force_undoes_changes_and_keeps_what_is_unknown(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGOREACT_DATA", str(data))
    hrd_push()
    content = (data / "hrd" / SHARD).read_bytes()
    flip_a_byte(data / "hrd" / SHARD)
    with pytest.raises(EgoReactError, match=rf"{SHARD}: was changed .* undo it with: egoreact hrd pull --force"):
        hrd_pull()
    capsys.readouterr()
    hrd_pull(force=True)
    assert (data / "hrd" / SHARD).read_bytes() == content
    assert "2 shards: 1 unchanged, 1 new" in capsys.readouterr().out
    (data / "hrd" / "mine.tar").write_bytes(b"precious")
    flip_a_byte(data / "hrd" / SHARD)
    with pytest.raises(EgoReactError, match=r"mine\.tar: is a file that DVC does not know"):
        hrd_pull(force=True)
    assert (data / "hrd" / "mine.tar").read_bytes() == b"precious"


def test_half_a_data_set_gets_no_revision(data: Path) -> None:
    (data / "hrd" / BUILDING).mkdir()
    with pytest.raises(EgoReactError, match="stopped half-way; finish it with: egoreact hrd build"):
        record_revision(data)
    assert current_revision(data) is None


def test_nothing_to_pull_is_one_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGOREACT_DATA", str(data))
    with pytest.raises(EgoReactError, match=r"data\.dvc: there is no DVC pointer"):
        hrd_pull()


# --- a bucket ---------------------------------------------------------------------------------------------------------------


class Gate:
    """A web application before another: after so many uploads it holds the others up for ever, or is out of order."""

    def __init__(self, application: Callable[..., Iterable[bytes]]):
        self.application = application
        self.uploads, self.most = 0, 10**9
        self.broken = False
        self.reached, self.opened = threading.Event(), threading.Event()
        self.lock = threading.Lock()

    def close_after(self, uploads: int, *, broken: bool = False) -> None:
        self.most, self.broken = self.uploads + uploads, broken

    def open(self) -> None:
        self.most = 10**9
        self.opened.set()

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] == "PUT":
            with self.lock:
                self.uploads += 1
                late = self.uploads > self.most
            if late:
                self.reached.set()
                if not self.broken:
                    self.opened.wait(60)
                start("503 Service Unavailable", [])
                return [b""]
        return self.application(environment, start)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """An S3 service of the test's own, over HTTP, with a gate before it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    gate.address = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield gate
    gate.open()
    server.shutdown()


@pytest.fixture
def bucket(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.address)  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    yield "s3://data/hrd"
    client = boto3.client("s3", endpoint_url=gate.address, aws_access_key_id="test", aws_secret_access_key="test")  # type: ignore[attr-defined]
    for key in objects(client):
        client.delete_object(Bucket="data", Key=key)


def objects(client: Any = None) -> list[str]:
    import boto3

    listing = (client or boto3.client("s3")).list_objects_v2(Bucket="data")
    return [found["Key"] for found in listing.get("Contents", [])]


def test_a_bucket_is_a_remote(data: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    revision = record_revision(data).id
    content = (data / "hrd" / SHARD).read_bytes()
    shutil.rmtree(tmp_path / "project")
    ensure_revision(tmp_path / "elsewhere" / "data", revision)
    assert (tmp_path / "elsewhere" / "data" / "hrd" / SHARD).read_bytes() == content
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", "s3://nowhere/hrd")
    with pytest.raises(EgoReactError, match="s3://nowhere/hrd: the data remote cannot be used"):
        record_revision(tmp_path / "elsewhere" / "data")


def test_a_clone_and_one_command_give_the_data(
    data: Path, tmp_path: Path, bucket: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with nothing but the repository: the bucket and its address are in .dvc/config."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    project = data.parent
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=project, check=True)
    address = gate.address  # type: ignore[attr-defined]
    (project / ".dvc" / "config").write_text(
        f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {bucket}\n    endpointurl = {address}\n"
    )
    record_revision(data)
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "add", "data.dvc", ".dvc/config", ".gitignore"], check=True)
    subprocess.run([*git, "commit", "-qm", "data"], check=True)
    clone = tmp_path / "another machine" / "clone"
    subprocess.run(["git", "clone", "-q", str(project), str(clone)], check=True)
    before = {path.name: path.read_bytes() for path in (data / "hrd").iterdir()}
    shutil.rmtree(project)

    environment = {k: v for k, v in os.environ.items() if k not in ("EGOREACT_HOME", "EGOREACT_DATA")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "egoreact.cli", "hrd", "pull"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 shards: 0 unchanged, 2 new" in done.stdout
    assert {path.name: path.read_bytes() for path in (clone / "data" / "hrd").iterdir()} == before
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True).stdout
    assert "data.dvc" not in changed and "config" not in changed


def test_a_changed_byte_in_the_bucket_names_the_shard(
    data: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    revision = record_revision(data).id
    (out,) = yaml.safe_load(pointer_path(data).read_text())["outs"]
    client = boto3.client("s3")
    listing = client.get_object(Bucket="data", Key=f"hrd/files/md5/{out['md5'][:2]}/{out['md5'][2:]}")["Body"].read()
    digest = next(entry["md5"] for entry in yaml.safe_load(listing) if entry["relpath"] == f"hrd/{SHARD}")
    key = f"hrd/files/md5/{digest[:2]}/{digest[2:]}"
    content = bytearray(client.get_object(Bucket="data", Key=key)["Body"].read())
    content[1000] ^= 1
    client.put_object(Bucket="data", Key=key, Body=bytes(content))
    elsewhere = tmp_path / "elsewhere" / "data"
    with pytest.raises(EgoReactError, match=rf"lacks hrd/{SHARD} of revision {revision}, or holds it damaged"):
        ensure_revision(elsewhere, revision)
    assert not elsewhere.exists()
    # What its remedy says.
    client.delete_object(Bucket="data", Key=key)
    assert record_revision(data).files_sent == 1
    ensure_revision(elsewhere, revision)
    assert (elsewhere / "hrd" / SHARD).read_bytes() == (data / "hrd" / SHARD).read_bytes()


@pytest.fixture
def more_data(data: Path) -> Path:
    for number in range(2, 8):
        (data / "hrd" / f"train-{number:05d}.tar").write_bytes(os.urandom(20_000))
    return data


def test_a_killed_push_is_repeated_and_loses_nothing(
    more_data: Path, tmp_path: Path, bucket: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    gate.close_after(3)
    program = (
        "import sys; from pathlib import Path; from components.version_dataset.dvc_data import record_revision;"
        "record_revision(Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", program, str(more_data)], env=environment)
    assert gate.reached.wait(60)
    process.kill()
    process.wait()
    sent = objects()
    assert len(sent) <= 3 and not any(key.endswith(".dir") for key in sent)
    gate.open()
    again = record_revision(more_data)
    assert again.files_sent == 9 - len(sent)
    elsewhere = ensure_revision(tmp_path / "elsewhere" / "data", again.id)
    assert elsewhere.shards.new == 8
    for path in (more_data / "hrd").iterdir():
        assert (tmp_path / "elsewhere" / "data" / "hrd" / path.name).read_bytes() == path.read_bytes()


def test_a_service_that_fails_half_way_is_one_line_and_repeated(
    more_data: Path, tmp_path: Path, bucket: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    gate.close_after(2, broken=True)
    with pytest.raises(EgoReactError, match="s3://data/hrd: the data remote cannot be used") as caught:
        record_revision(more_data)
    assert "\n" not in str(caught.value)
    assert current_revision(more_data) is None
    assert not any(key.endswith(".dir") for key in objects())
    gate.open()
    again = record_revision(more_data)
    assert again.files_sent == 9 - 2
    assert ensure_revision(tmp_path / "elsewhere" / "data", again.id).shards.new == 8


def test_missing_credentials_are_one_line(
    data: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", bucket)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for attempt in (lambda: record_revision(data), lambda: ensure_revision(tmp_path / "b" / "data", "0" * 32 + ".dir")):
        with pytest.raises(
            EgoReactError, match=r"cannot be used \(.*Unable to locate credentials.*credentials"
        ) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
