"""Recordings become clips: kinds, windows, ids; and clips become new shards beside old ones."""

from pathlib import Path

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.importers import ImportConfig, append, append_clips, clip_id_of, import_recording
from egoreact.hrd.shards import read_clips, read_manifest, verify_shards, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.motion.export import write_bvh

CONFIG = ImportConfig(frames=41, image_size_px=112, explain=False)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """104 frames of simulated motion as BVH: two windows of 41 and half a window more."""
    joints = simulate_clip(SimulatorConfig(frames=105, image_size_px=16), "passer_by", 8, "clip", "train").joints_m[
        :104
    ]
    return write_bvh(tmp_path_factory.mktemp("takes") / "my take, no. 3.bvh", joints)


@pytest.fixture(scope="module")
def clips(take):
    return import_recording(take, licence="CC0-1.0", split="val", config=CONFIG)


def test_motion_capture_becomes_clips_that_pass_the_gate(clips):
    assert [clip.id for clip in clips] == ["my-take-no-3-000", "my-take-no-3-001", "my-take-no-3-002"]
    assert [clip.record.details["first_frame"] for clip in clips] == [0, 41, 63]
    for clip in clips:
        row = measure(clip)
        assert failures(row) == []
        assert row["depth_scale_ratio"] == pytest.approx(1, abs=0.02)
        assert clip.num_frames == 41
        assert clip.rgb.shape == (41, 112, 112, 3)
        assert clip.rgb.std() > 20
        np.testing.assert_allclose(clip.joints_m[0, 0, [0, 2]], 0, atol=1e-6)
        across = clip.joints_m[0, 1] - clip.joints_m[0, 2] + clip.joints_m[0, 16] - clip.joints_m[0, 17]
        assert np.degrees(np.arctan2(across[2], across[0])) == pytest.approx(0, abs=0.1)  # faces +z
        assert (clip.record.split, clip.record.licence, clip.record.source) == ("val", "CC0-1.0", "my take, no. 3.bvh")
    seen = np.unique(np.concatenate([clip.segmentation.ravel() for clip in clips]))
    assert set(seen) <= {SEGMENTATION_CLASSES.index("static"), SEGMENTATION_CLASSES.index("own_body")}


def test_the_same_recording_gives_the_same_bytes(take, clips):
    again = import_recording(take, licence="CC0-1.0", split="val", config=CONFIG)
    assert [clip.pack() for clip in again] == [clip.pack() for clip in clips]


def test_a_short_recording_becomes_one_shorter_clip(take):
    (clip,) = import_recording(take, licence="x", config=ImportConfig(frames=201, image_size_px=16))
    assert clip.num_frames == 101


def test_ids_keep_what_may_stand_in_an_id():
    assert clip_id_of("Läufer 1 (neu).bvh", 7) == "L-ufer-1-neu-007"
    assert clip_id_of("a/b c/take.NPZ", 0) == "a-b-c-take-000"
    assert clip_id_of("…", 0) == "recording-000"
    assert clip_id_of("take.v2", 0) == "take-v2-000"
    assert len(clip_id_of("n" * 300, 12)) == 84
    assert clip_id_of("n" * 300, 12) != clip_id_of("n" * 301, 12)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda path: path.mkdir(), {}, "holds no recording this can import"),
        (lambda path: path.write_text("x"), {}, "holds no recording this can import"),
        (lambda path: None, {}, "no such file or folder"),
        (lambda path: path.write_text("x"), {"kind": "bvh"}, "has no HIERARCHY"),
        (lambda path: path.mkdir(), {"kind": "egoego"}, "lacks video.mp4"),
        (lambda path: path.mkdir(), {"kind": "aria"}, "lacks closed_loop_trajectory.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused(tmp_path, make, arguments, message):
    make(tmp_path / "thing")
    with pytest.raises(EgoReactError, match=message):
        import_recording(tmp_path / "thing", **{"licence": "CC0-1.0"} | arguments)


def test_a_licence_is_asked_for(take):
    with pytest.raises(EgoReactError, match="say under which licence"):
        import_recording(take, licence=" ")


def test_less_than_a_second_is_no_clip(tmp_path):
    joints = simulate_clip(SimulatorConfig(frames=13, image_size_px=16), "passer_by", 8, "clip", "train").joints_m
    with pytest.raises(EgoReactError, match="lasts 13 frames at 20 fps"):
        import_recording(write_bvh(tmp_path / "short.bvh", joints), licence="x")
    with pytest.raises(EgoReactError, match="use 4N"):
        ImportConfig(frames=80)


@pytest.fixture
def hrd_folder(tmp_path) -> Path:
    """A data set of one simulated clip."""
    clip = simulate_clip(SimulatorConfig(frames=21, image_size_px=16), "car", 1, "sim-0", "val")
    write_manifest(tmp_path, write_shard(tmp_path / "val-00000.tar", [clip]))
    return tmp_path


def test_appended_clips_are_new_shards_and_the_old_ones_stay(hrd_folder, clips):
    before = (hrd_folder / "val-00000.tar").read_bytes()
    (path,) = append_clips(hrd_folder, clips)
    assert path.name == "val-00001.tar"
    assert (hrd_folder / "val-00000.tar").read_bytes() == before
    manifest = read_manifest(hrd_folder)
    verify_shards(hrd_folder, manifest)
    assert list(manifest["clip_id"]) == ["sim-0", *(clip.id for clip in clips)]
    back = {clip.id: clip for clip in read_clips(hrd_folder, manifest)}
    np.testing.assert_array_equal(back[clips[1].id].joints_m, clips[1].joints_m)
    assert back[clips[1].id].record == clips[1].record


def test_the_first_clips_make_a_data_set(tmp_path, clips):
    append_clips(tmp_path / "hrd", clips[:1])
    assert list(read_manifest(tmp_path / "hrd")["shard"]) == ["val-00000.tar"]


def test_a_clip_that_is_there_already_is_refused_and_nothing_is_written(hrd_folder, clips):
    append_clips(hrd_folder, clips[:1])
    state = {path.name: path.read_bytes() for path in hrd_folder.iterdir()}
    for wrong in ([clips[0]], [clips[1], clips[1]], []):
        with pytest.raises(EgoReactError, match=r"is there already|no clips to add"):
            append_clips(hrd_folder, wrong)
    assert {path.name: path.read_bytes() for path in hrd_folder.iterdir()} == state


def test_a_failed_write_leaves_the_data_set_as_it_was(hrd_folder, clips, monkeypatch):
    state = {path.name: path.read_bytes() for path in hrd_folder.iterdir()}

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(append, "write_manifest", full)
    with pytest.raises(OSError, match="No space left"):
        append_clips(hrd_folder, clips)
    assert {path.name: path.read_bytes() for path in hrd_folder.iterdir()} == state


@pytest.mark.parametrize("name", ["bvh11_131_03", "lawrennd_10_01", "papagina_martial_05", "pybvh_cmu_12_01"])
def test_real_takes_pass_the_gate(shared_data, name):
    clips = import_recording(
        shared_data / "mocap" / f"{name}.bvh",
        licence="CMU mocap: free for all uses",
        config=ImportConfig(image_size_px=112),
    )
    assert len(clips) == {"bvh11_131_03": 2, "lawrennd_10_01": 2, "papagina_martial_05": 5, "pybvh_cmu_12_01": 1}[name]
    assert [list(map(str, failures(measure(clip)))) for clip in clips] == [[]] * len(clips)
    for clip in clips:
        explained = "explanation" in clip.record.details
        assert explained == (clip.record.category != "unknown") == bool(clip.record.caption)
