"""New shards on their way into a data set: what is taken, what is refused by name, and what nothing disturbs."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from new_shards import config_of, data_set, new_shard

from components.ingest_shards import intake as intake_module
from components.ingest_shards.intake import ORIGINS, Intake, Taken
from components.ingest_shards.source import open_source
from components.ingest_shards.step import run
from components.promote.registry import Registry
from components.version_dataset.dvc_data import current_revision, record_revision, write_pointer
from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.hrd.building import alone
from egoreact.hrd.dataset import build_dataset
from egoreact.hrd.shards import read_manifest, read_shard, verify_shards, write_shard
from egoreact.models.bundle import Bundle
from egoreact.presets import RunConfig
from egoreact.workspace import Workspace


class Place:
    """A data set, a source, and what comes in from there."""

    def __init__(self, folder: Path):
        self.data, self.drop, self.work = folder / "project" / "data", folder / "drop", folder / "home" / "ingest"
        self.hrd = self.data / "hrd"
        self.drop.mkdir()
        data_set(self.data)
        self.intake = Intake(self.hrd, self.work)
        self.told: list[str] = []

    def take(self, source: str | None = None, examine: Callable[[Path], None] = lambda folder: None) -> Taken:
        opened = open_source(source or str(self.drop))
        return self.intake.take(opened, self.intake.unknown(opened.shards()), examine, self.told.append)

    def content(self) -> dict[str, str]:
        return {str(path.relative_to(self.hrd)): sha256_file(path) for path in self.hrd.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EGOREACT_DATA", str(place.data))
    for name in ("MLFLOW_TRACKING_URI", "EGOREACT_DVC_REMOTE", "EGOREACT_GIT_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    return place


# --- what comes in ------------------------------------------------------------------------------------------------------------


def test_a_new_shard_gets_the_next_number_and_its_rows(place: Place) -> None:
    shard = new_shard(place.drop / "2030" / "may", "anything.tar")
    before = place.content()
    seen: list[int] = []
    taken = place.take(examine=lambda folder: seen.append(len(read_manifest(folder))))
    assert (taken.shards, taken.clips, taken.refused) == (["train-00002.tar"], 8, [])
    assert seen == [40]  # the gate saw everything as it would be
    manifest = read_manifest(place.hrd)
    verify_shards(place.hrd, manifest)
    assert len(manifest) == 40
    after = place.content()
    assert {name for name in after if after[name] != before.get(name)} == {
        "train-00002.tar", ORIGINS, "manifest.parquet"
    }  # fmt: skip
    assert after["train-00002.tar"] == sha256_file(shard)
    assert f"file://{shard}" in (place.hrd / ORIGINS).read_text()


def test_what_came_in_is_not_looked_at_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    new_shard(place.drop)
    place.take()
    opened = open_source(f"file://{place.drop}")
    assert place.intake.unknown(opened.shards()) == []
    shutil.rmtree(place.work)  # another machine: it reads again, and sees the same bytes
    before = place.content()
    taken = place.take()
    assert (taken.shards, taken.known) == ([], 1)
    assert place.content() == before


def test_the_same_bytes_under_another_name_are_known(place: Place) -> None:
    shutil.copy(place.hrd / "test-00000.tar", place.drop / "renamed.tar")
    new_shard(place.drop, "a.tar")
    new_shard(place.drop, "b.tar")
    taken = place.take()
    assert (taken.shards, taken.known, taken.refused) == (["train-00002.tar"], 2, [])


def test_a_build_leaves_what_came_in(place: Place) -> None:
    """Though its clips are simulated, no recipe of this data set made them."""
    new_shard(place.drop)
    place.take()
    build_dataset(replace(config_of().dataset, train_clips=8), place.hrd, workers=1)
    assert "train-00002.tar" in set(read_manifest(place.hrd)["shard"])


# --- what is refused ----------------------------------------------------------------------------------------------------------


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def cut_between_members(content: bytes) -> bytes:
    """Reads like a shorter archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        last = tar.getmembers()[-4]
    return content[: last.offset]


def break_a_video(content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        member = next(member for member in tar if member.name.endswith(".mp4"))
    broken = bytearray(content)
    broken[member.offset_data : member.offset_data + member.size] = os.urandom(member.size)
    return bytes(broken)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "is no complete shard"),
        (cut_between_members, "is no complete shard"),
        (lambda content: b"", "is no complete shard"),
        (lambda content: bytes(10240), "holds no clips"),
        (lambda content: os.urandom(10240) + bytes(1024), "is no complete shard"),
        (break_a_video, r"sim-train-00016"),
    ],
    ids=["cut", "cut between members", "empty", "no clips", "no archive", "broken video"],
)
def test_a_bad_shard_is_named_and_the_good_one_comes_in(
    place: Place, harm: Callable[[bytes], bytes], said: str
) -> None:
    bad = new_shard(place.drop, "bad.tar")
    bad.write_bytes(harm(bad.read_bytes()))
    before = place.content()
    with pytest.raises(EgoReactError, match=rf"bad\.tar is refused: .*{said}") as caught:
        place.take()
    assert "\n" not in str(caught.value) and str(place.work) not in str(caught.value)
    assert place.content() == before
    new_shard(place.drop, "good.tar")
    taken = place.take()
    assert taken.shards == ["train-00002.tar"] and len(taken.refused) == 1
    assert f"file://{bad} is refused" in place.told[-1]


def test_clips_that_are_there_already_are_refused_by_their_ids(place: Place) -> None:
    clips = list(read_shard(place.hrd / "val-00000.tar"))[:2]
    write_shard(place.drop / "again.tar", clips)
    with pytest.raises(EgoReactError, match=r"again\.tar is refused: clip sim-val-00000 is in the data set already"):
        place.take()


def test_a_shard_is_of_one_split_at_20_frames_a_second(place: Place) -> None:
    first, second = list(read_shard(new_shard(place.drop.parent / "made")))[:2]
    write_shard(place.drop / "mixed.tar", [first, replace(second, record=replace(second.record, split="val"))])
    with pytest.raises(EgoReactError, match="holds clips of 2 splits, train, val"):
        place.take()
    (place.drop / "mixed.tar").unlink()
    write_shard(place.drop / "fast.tar", [replace(first, record=replace(first.record, fps=30))])
    with pytest.raises(EgoReactError, match="has 30 frames a second, not 20"):
        place.take()
    (place.drop / "fast.tar").unlink()
    write_shard(place.drop / "nan.tar", [replace(first, joints_m=first.joints_m * float("nan"))])
    with pytest.raises(EgoReactError, match="joints of clip sim-train-00016 are not finite"):
        place.take()
    (place.drop / "nan.tar").unlink()
    write_shard(place.drop / "short.tar", [replace(
        first, joints_m=first.joints_m[:-4], T_world_camera=first.T_world_camera[:-4], head_rotation=None, smplx=None
    )])  # fmt: skip
    with pytest.raises(EgoReactError, match="has 37 poses, its video 41 frames"):
        place.take()


def test_what_the_gate_refuses_stays_outside(place: Place) -> None:
    new_shard(place.drop)
    before = place.content()

    def refuse(folder: Path) -> None:
        raise EgoReactError("too many fail", where="gate", remedy="look")

    with pytest.raises(EgoReactError, match="too many fail"):
        place.take(examine=refuse)
    assert place.content() == before
    assert place.take().shards == ["train-00002.tar"]


# --- interrupted, and two at once ---------------------------------------------------------------------------------------------


def test_a_move_that_fails_half_way_is_undone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    new_shard(place.drop)
    before = place.content()
    move, moved = intake_module._move_file, []

    def full(path: Path, to: Path) -> None:
        if moved:
            raise OSError(28, "No space left on device")
        moved.append(to)
        move(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "_move_file", full)
        with pytest.raises(EgoReactError, match="no space left"):
            place.take()
    assert moved and place.content() == before
    assert place.take().shards == ["train-00002.tar"]


def test_a_killed_move_is_undone_by_the_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    new_shard(place.drop)
    program = (
        "import os, sys; from pathlib import Path; from components.ingest_shards import intake; from components.ingest_shards"
        ".source import open_source; move = intake._move_file\n"
        "def killed(path, to):\n    move(path, to); os.kill(os.getpid(), 9)\n"
        "intake._move_file = killed; s = open_source(sys.argv[1]); i = intake.Intake(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "i.take(s, s.shards(), lambda f: None, print)"
    )
    command = [sys.executable, "-c", program, str(place.drop), str(place.hrd), str(place.work)]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}).returncode == -9
    assert (place.hrd / "train-00002.tar").is_file() and len(read_manifest(place.hrd)) == 32
    assert place.take().shards == ["train-00002.tar"]
    assert len(read_manifest(place.hrd)) == 40 and not (place.hrd / "train-00003.tar").exists()


@pytest.fixture
def champion(place: Place, empty_database: Path) -> Workspace:
    """Of the data set's revision, in the place's workspace."""
    workspace = Workspace.from_environment()
    workspace.root.mkdir(exist_ok=True)
    shutil.copy(empty_database, workspace.root)
    revision = record_revision(place.data).id
    bundle = Bundle.untrained(config_of().reaction, seed=3).save(workspace.root / "bundle")
    registry = Registry(workspace)
    made = registry.register(
        workspace.root / "bundle", bundle.digest, data_revision=revision, mlflow_run="unknown", tags={}
    )
    registry.crown(made.version)
    return workspace


def step(place: Place, source: str | None = None, **settings):
    settings = {"max_failing_fraction": 1.0, "from_scratch": False} | settings
    config = settings.pop("config", config_of().to_json())
    return run(source or str(place.drop), config, report_html=place.work / "report.html", **settings)


def test_the_step_takes_versions_and_says_whose_weights(
    place: Place, champion: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = Registry(champion).champion().digest  # type: ignore[union-attr]
    revision = current_revision(place.data)
    nothing = step(place)
    assert not nothing.train and "no new shards" in nothing.why and nothing.data_revision == revision
    assert RunConfig.from_json(nothing.config).initial == digest

    new_shard(place.drop)
    with alone(place.hrd), pytest.raises(EgoReactError, match="another build or import is at work here"):
        step(place)
    # The remote is away when the new revision is to be sent: the next run goes on from there.
    monkeypatch.setenv("EGOREACT_DVC_REMOTE", "/proc/nowhere")
    with pytest.raises(EgoReactError, match="the data remote cannot be used"):
        step(place)
    assert current_revision(place.data) == revision and len(read_manifest(place.hrd)) == 40
    monkeypatch.delenv("EGOREACT_DVC_REMOTE")
    result = step(place, from_scratch=True)
    assert result.train and result.data_revision == current_revision(place.data) != revision
    assert "no model of data revision" in result.why
    assert RunConfig.from_json(result.config).initial == ""
    assert "1 shards at" in capsys.readouterr().out
    assert (place.work / "report.html").is_file()

    # A run that was stopped later goes on; one whose model was judged, and refused, is not repeated.
    assert step(place).train
    registry = Registry(champion)
    experiment = registry.client.get_experiment_by_name("egoreact")
    assert experiment is not None
    tags = {"data_revision": result.data_revision, "decision": "refuse"}
    registry.client.create_run(experiment.experiment_id, tags=tags)
    again = step(place)
    assert not again.train and again.why.endswith("was judged before")


def test_mistakes_come_before_anything_is_taken(place: Place, champion: Workspace) -> None:
    new_shard(place.drop)
    before = place.content()
    other = config_of()
    other = replace(other, gpt=replace(other.gpt, model=replace(other.gpt.model, width=64)))
    with pytest.raises(EgoReactError, match=r"is of another architecture .*--from-scratch"):
        step(place, config=other.to_json())
    for source, said in (
        (str(place.drop / "nowhere"), "the source cannot be read .no such folder"),
        ("ftp://host/x", "give a folder"),
        ("", "give a folder"),
    ):
        with pytest.raises(EgoReactError, match=said) as caught:
            run(
                source, config_of().to_json(), max_failing_fraction=1.0, from_scratch=True, report_html=place.work / "r"
            )
        assert "\n" not in str(caught.value)
    assert place.content() == before


def test_a_folder_that_lacks_the_pointers_shards_is_no_base(place: Place, champion: Workspace) -> None:
    new_shard(place.drop)
    (place.hrd / "val-00000.tar").unlink()
    with pytest.raises(EgoReactError, match=r"lacks hrd/val-00000\.tar of revision .*egoreact hrd pull"):
        step(place)
    write_pointer(place.data.with_name("data.dvc"), "data", "0" * 32 + ".dir")
    with pytest.raises(EgoReactError, match=r"is not revision 0000"):
        step(place)


# --- a bucket -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch):
    import boto3

    settings = {
        "ENDPOINT_URL": server,
        "ACCESS_KEY_ID": "test",
        "SECRET_ACCESS_KEY": "test",
        "DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3")
    client.create_bucket(Bucket="incoming")
    yield client
    for found in client.list_objects_v2(Bucket="incoming").get("Contents", []):
        client.delete_object(Bucket="incoming", Key=found["Key"])


def test_a_bucket_is_a_source(place: Place, bucket, tmp_path: Path) -> None:
    url = "s3://incoming/hrd/new"
    assert open_source(url).shards() == []
    shard = new_shard(tmp_path / "made")
    bucket.upload_file(str(shard), "incoming", "hrd/new/may/1.tar")
    bucket.upload_file(str(shard), "incoming", "hrd/other/2.tar")
    bucket.put_object(Bucket="incoming", Key="hrd/new/bad.tar", Body=shard.read_bytes()[:50_000])
    (bad, good) = open_source(url).shards()
    assert (good.url, good.size_bytes) == ("s3://incoming/hrd/new/may/1.tar", shard.stat().st_size)
    taken = place.take(url)
    assert taken.shards == ["train-00002.tar"] and len(taken.refused) == 1
    assert "s3://incoming/hrd/new/bad.tar is refused" in place.told[0]
    assert place.intake.unknown(open_source(url).shards()) == [bad]
    bucket.put_object(Bucket="incoming", Key="hrd/new/may/1.tar", Body=b"other bytes")
    assert len(place.intake.unknown(open_source(url).shards())) == 2


def test_a_bucket_that_is_away_is_one_line(place: Place, bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.content()
    with pytest.raises(EgoReactError, match=r"s3://nowhere/hrd: the source cannot be read"):
        place.take("s3://nowhere/hrd")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EgoReactError, match=r"the source cannot be read .*127.0.0.1:9.*nothing was changed") as caught:
        place.take("s3://incoming/hrd")
    assert "\n" not in str(caught.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(EgoReactError, match=r"the source cannot be read .*credentials"):
        place.take("s3://incoming/hrd")
    assert place.content() == before
