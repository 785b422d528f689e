"""The simulated data set: the same bytes whatever the workers, new shards for new clips, safe to stop, other people's shards kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.hrd import dataset
from egoreact.hrd.building import BUILDING, alone, building
from egoreact.hrd.dataset import build_dataset, manifest_digest
from egoreact.hrd.recipe import DECIDES, RECIPE, DatasetConfig, plan_clips
from egoreact.hrd.shards import next_shard_path, read_clips, read_manifest, verify_shards, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.presets import RunConfig, tiny

CONFIG = DatasetConfig(
    simulator=SimulatorConfig(frames=21, image_size_px=32), train_clips=3, val_clips=1, test_clips=2, clips_per_shard=2
)
PROGRAM = """
import signal
import sys
from pathlib import Path
from egoreact.errors import EgoReactError
from egoreact.hrd.dataset import DatasetConfig, build_dataset
from egoreact.hrd.simulate import SimulatorConfig
CONFIG = DatasetConfig(simulator=SimulatorConfig(frames=21, image_size_px=32), train_clips={train}, val_clips=0, test_clips=0, clips_per_shard=4)
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script starts with it ignored
    try:
        build_dataset(CONFIG, Path(sys.argv[1]), workers={workers})
    except EgoReactError as error:
        sys.exit(str(error))
"""


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A workspace of the module's own: digests of shards are remembered there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data set") / "hrd"
    assert build_dataset(CONFIG, folder, workers=1).shards.new == 4
    return folder


@pytest.fixture
def built(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "data" / "hrd"))


def shards_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Name → digest and time of change."""
    return {path.name: (sha256_file(path), path.stat().st_mtime_ns) for path in sorted(folder.glob("[!.]*.tar"))}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_splits_and_categories_are_as_asked(pristine):
    manifest = read_manifest(pristine)
    verify_shards(pristine, manifest)
    assert manifest["split"].value_counts().to_dict() == {"train": 3, "test": 2, "val": 1}
    shards = ["test-00000.tar", "train-00000.tar", "train-00001.tar", "val-00000.tar"]
    assert sorted(manifest["shard"].unique()) == shards
    assert names(pristine) == {*shards, "manifest.parquet", RECIPE}
    rows = manifest.set_index("clip_id")
    for clip in read_clips(pristine, manifest):
        assert clip.num_frames == len(clip.rgb) == len(clip.depth_m) == len(clip.segmentation) == 21
        row = rows.loc[clip.id]
        assert (row["split"], row["category"], row["frames"], row["source"], row["seed"]) == (
            clip.record.split, clip.record.category, 21, clip.record.source, clip.record.seed,
        )  # fmt: skip
        assert clip.record.source == "simulator"


def test_a_shard_is_what_the_simulator_gives(pristine, tmp_path):
    plans = plan_clips(CONFIG)["test"]
    clips = [simulate_clip(CONFIG.simulator, p.category, p.seed, p.clip_id, p.split) for p in plans]
    write_shard(tmp_path / "test-00000.tar", clips)
    assert (tmp_path / "test-00000.tar").read_bytes() == (pristine / "test-00000.tar").read_bytes()


def test_no_seed_is_used_twice():
    plans = [plan for clips in plan_clips(replace(CONFIG, train_clips=400)).values() for plan in clips]
    assert len({plan.seed for plan in plans}) == len({plan.clip_id for plan in plans}) == 403


def test_two_workers_make_the_same_bytes(pristine, tmp_path):
    built = build_dataset(CONFIG, tmp_path / "hrd", workers=2)
    assert built.clips_rendered == 6 and built.worker_memory_mb > 50
    assert manifest_digest(tmp_path / "hrd") == manifest_digest(pristine)
    assert (tmp_path / "hrd" / RECIPE).read_bytes() == (pristine / RECIPE).read_bytes()


def test_nothing_changed_nothing_made(built):
    before = {path: path.stat().st_mtime_ns for path in [built, *built.iterdir()]}
    assert str(build_dataset(CONFIG, built).shards) == "4 shards: 4 unchanged, 0 new"
    assert {path: path.stat().st_mtime_ns for path in [built, *built.iterdir()]} == before


def test_more_clips_are_new_shards(built):
    """The last shard was not full; it stays as it is all the same."""
    before = shards_of(built)
    grown = build_dataset(replace(CONFIG, train_clips=6, test_clips=3), built, workers=1)
    assert str(grown.shards) == "7 shards: 4 unchanged, 3 new" and grown.clips_rendered == 4
    after = shards_of(built)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"train-00002.tar", "train-00003.tar", "test-00001.tar"}
    manifest = read_manifest(built)
    assert sorted(manifest["clip_id"][manifest["split"] == "train"]) == [f"sim-train-{k:05d}" for k in range(6)]
    # A clip is the same whenever it was asked for.
    verify_shards(built, manifest)
    recipe = json.loads((built / RECIPE).read_text())
    assert recipe["shards"]["train-00002.tar"]["first_clip"] == 3 and recipe["config"]["train_clips"] == 6
    assert recipe["shards"].keys() == after.keys()


def test_fewer_clips_keep_the_shards_that_still_fit(built):
    before = shards_of(built)
    shrunk = build_dataset(replace(CONFIG, train_clips=2), built)
    assert (shrunk.shards.unchanged, shrunk.shards.new, shrunk.clips_rendered) == (3, 0, 0)
    assert shards_of(built).keys() == before.keys() - {"train-00001.tar"}
    assert "train-00001.tar" not in json.loads((built / RECIPE).read_text())["shards"]


def test_another_simulator_makes_everything_anew_and_only_then_deletes(built, monkeypatch):
    before = shards_of(built)
    other = replace(CONFIG, simulator=replace(CONFIG.simulator, image_size_px=34))
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_manifest", stop)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(other, built, workers=1)
        verify_shards(built, read_manifest(built))  # the old data set is whole until the new manifest is there
        assert shards_of(built).items() >= before.items()
    again = build_dataset(other, built, workers=1)
    assert again.clips_rendered == 0 and again.shards.unchanged + again.shards.new == 4
    after = shards_of(built)
    assert not before.keys() & after.keys() and names(built) == {*after, "manifest.parquet", RECIPE}
    assert all(clip.rgb.shape[1:3] == (34, 34) for clip in read_clips(built, read_manifest(built)))


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_other_code_makes_everything_anew(built, monkeypatch):
    from egoreact.hrd import recipe

    before = shards_of(built)
    monkeypatch.setattr(recipe, "code_digest", lambda *_: "other")
    assert build_dataset(CONFIG, built, workers=1).shards.new == 4
    assert [digest for digest, _ in shards_of(built).values()] == [digest for digest, _ in before.values()]


@pytest.mark.parametrize("damage", ["flipped", "cut", "lost"])
def test_a_damaged_shard_is_made_again_under_its_name(built, damage):
    digest, before = manifest_digest(built), shards_of(built)
    shard = built / "val-00000.tar"
    content = shard.read_bytes()
    shard.unlink()
    if damage != "lost":
        shard.write_bytes(content[:-512] + b"x" * 512 if damage == "flipped" else content[:9000])
    assert build_dataset(CONFIG, built, workers=1).shards.new == 1
    assert manifest_digest(built) == digest and shard.read_bytes() == content
    del before[shard.name]
    assert shards_of(built).items() >= before.items()


def test_imported_shards_stay_when_the_recipe_changes(make_clip, tmp_path):
    folder = tmp_path / "hrd"
    folder.mkdir()
    shard = next_shard_path(folder, "train")
    write_manifest(folder, write_shard(shard, [make_clip("mine", split="train")]))
    content = shard.read_bytes()
    for clips in (3, 1):
        build_dataset(replace(CONFIG, train_clips=clips), folder, workers=1)
        manifest = read_manifest(folder)
        assert shard.read_bytes() == content
        assert (manifest["source"] == "hand").sum() == 1
        assert ((manifest["source"] == "simulator") & (manifest["split"] == "train")).sum() == clips
        assert set(manifest["shard"]) == {path.name for path in folder.glob("*.tar")}
    shard.unlink()
    with pytest.raises(EgoReactError, match=r"names a missing shard, train-00000\.tar"):
        build_dataset(CONFIG, folder)


def test_an_import_meanwhile_loses_nothing(built, make_clip, monkeypatch):
    def render_and_import(*arguments):
        done = render(*arguments)
        rows = read_manifest(built).to_dict("records")
        write_manifest(built, [*rows, *write_shard(next_shard_path(built, "train"), [make_clip("mine")])])
        return done

    render = dataset._render_missing
    grown = replace(CONFIG, train_clips=4)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_render_missing", render_and_import)
        with pytest.raises(EgoReactError, match=r"train-00002\.tar: was taken by an import meanwhile; build again"):
            build_dataset(grown, built, workers=1)
    assert str(build_dataset(grown, built, workers=1).shards) == "6 shards: 5 unchanged, 1 new"
    manifest = read_manifest(built)
    verify_shards(built, manifest)
    assert sorted(manifest["clip_id"][manifest["split"] == "train"]) == [
        "mine",
        *(f"sim-train-{k:05d}" for k in range(4)),
    ]


# --- stopping --------------------------------------------------------------------------------------------------------------


def start(folder: Path, workers: int = 1, clips: int = 8, **more: object) -> subprocess.Popen[str]:
    program = folder.parent / "build.py"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PROGRAM.format(train=clips, workers=workers))
    command = [sys.executable, str(program), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, **more)  # type: ignore[call-overload, no-any-return]


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_build_goes_on_where_it_stopped(tmp_path, how, capfd):
    folder = tmp_path / "data" / "hrd"
    place = folder / BUILDING
    process = start(folder, workers=2, clips=24)
    wait_for(lambda: (place / "train-00000.tar.json").is_file() and any(place.glob("[!.]*.clip")))
    process.send_signal(signal.SIGSTOP)  # small clips are fast: it must not finish while the workers are looked up
    worker = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    process.wait(timeout=60)
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() and is_running(child) for child in worker))
    assert not names(folder) - {BUILDING}  # nothing half-written, and nothing that looks finished
    done = shards_of(place), {path.name: path.stat().st_mtime_ns for path in place.glob("[!.]*.clip")}
    config = replace(CONFIG, train_clips=24, val_clips=0, test_clips=0, clips_per_shard=4)
    built = build_dataset(config, folder, workers=1)
    in_shards = 4 * len(done[0])  # of these the last may still lie beside their shard
    waiting = sum(int(name.split("-")[2]) >= in_shards for name in done[1])
    assert 0 < built.clips_rendered == 24 - in_shards - waiting
    assert shards_of(folder).items() >= done[0].items()
    assert names(folder) == {*(f"train-{k:05d}.tar" for k in range(6)), "manifest.parquet", RECIPE}
    whole = tmp_path / "whole"
    build_dataset(config, whole, workers=1)
    assert manifest_digest(whole) == manifest_digest(folder)


def is_running(process: str) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_stopped_growth_leaves_the_data_set_as_it_was(built):
    before, digest = shards_of(built), manifest_digest(built)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_move_in", stop)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(replace(CONFIG, train_clips=5), built, workers=1)
    assert shards_of(built) == before and manifest_digest(built) == digest
    # Whoever changes their mind finds nothing of it left.
    assert build_dataset(CONFIG, built).shards.new == 0
    assert shards_of(built) == before and not (built / BUILDING).exists()


def test_a_clip_that_the_machine_lost_half_of_is_rendered_again(tmp_path, pristine):
    folder = tmp_path / "hrd"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(CONFIG, folder, workers=1)
    waiting = sorted((folder / BUILDING).glob("[!.]*.clip"))
    assert len(waiting) >= 2
    waiting[0].write_bytes(waiting[0].read_bytes()[:5000])
    built = build_dataset(CONFIG, folder, workers=1)
    assert built.clips_rendered == 6 - len(waiting) + 1
    assert manifest_digest(folder) == manifest_digest(pristine)


def test_one_build_at_a_time(tmp_path):
    folder = tmp_path / "hrd"
    with building(folder):
        process = start(folder)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.strip().endswith(
        f"{folder}: another build or import is at work here (process {os.getpid()}); wait for it, then run again"
    )
    assert not names(folder)
    with alone(folder) as place:  # a lock that nobody holds any more is no lock
        (place / "lock").write_text("1")
    (folder / BUILDING).mkdir()
    (folder / BUILDING / "lock").write_text("12345")
    with building(folder):
        pass
    assert not names(folder)


def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "data" / "hrd"
    import resource

    simulate_clip(
        CONFIG.simulator, "ball_left", 0, "warm", "train"
    )  # compiled code is cached in files larger than that
    limit = 60_000  # bytes a file: a clip of this size fits, a shard of four does not
    process = start(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, error = process.communicate(timeout=60)
    last = error.strip().splitlines()[-1]
    assert process.returncode == 1 and "no space left to write (File too large); free some and run again" in last
    assert "Traceback" not in error
    assert names(folder) == {BUILDING}
    left = names(folder / BUILDING)
    assert left and all(name.endswith(".clip") and not name.startswith(".") for name in left)
    config = replace(CONFIG, train_clips=8, val_clips=0, test_clips=0, clips_per_shard=4)
    assert build_dataset(config, folder, workers=1).clips_rendered == 8 - len(left)
    verify_shards(folder, read_manifest(folder))


def test_a_folder_that_may_not_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EgoReactError, match="cannot be written"):
        build_dataset(CONFIG, tmp_path / "file" / "hrd")


# --- mistakes --------------------------------------------------------------------------------------------------------------


def test_a_damaged_manifest_is_not_built_over(built):
    """It may name imported shards."""
    (built / "manifest.parquet").write_bytes(b"text")
    with pytest.raises(EgoReactError, match="cannot be read"):
        build_dataset(CONFIG, built)


def test_an_unknown_encounter_in_a_config_is_one_line():
    text = tiny().to_json().replace('"ball_left"', '"ball_lefty"')
    with pytest.raises(EgoReactError, match="unknown category 'ball_lefty'") as caught:
        RunConfig.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"train_clips": -1}, {"clips_per_shard": 0}, {"seed": -1}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(EgoReactError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)


def test_the_code_that_decides_the_bytes_is_all_named():
    """Everything of the project that the simulator, clips and shards import is in the recipe, but what only reports."""
    program = "import sys, egoreact.hrd.shards, egoreact.hrd.simulate; print(*sorted(m for m in sys.modules if m.startswith('egoreact.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    paths = {name.replace(".", "/") for name in done.stdout.split()}
    named = {path for path in paths if any(f"{path}.py" == d or path.startswith(d) for d in DECIDES)}
    assert paths - named == {"egoreact/errors", "egoreact/files", "egoreact/hrd", "egoreact/motion", "egoreact/vision"}
