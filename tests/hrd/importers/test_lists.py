"""Folders with lists: pairs of video and motion, ids, odd names; what a list promises and the folder lacks is said."""

from pathlib import Path

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.importers import ImportConfig, find_recordings, import_into
from egoreact.hrd.shards import read_clips, read_manifest
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.simulate import stage

NAMES = ("012314.npy", "with space/a b.npy", "Ünï ☂.npy", "M012314.npy")


@pytest.fixture
def vimo(tmp_path) -> Path:
    """Four motions, a video, lists of all forms."""
    joints = stage(SimulatorConfig(frames=25, own_body=False), "dog", 1).performance.joints_m.astype(np.float32)
    folder = tmp_path / "vi mo"
    for name in NAMES:
        path = folder / "vector_263" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, joints)
    (folder / "videos" / "clips of mine").mkdir(parents=True)
    (folder / "videos" / "clips of mine" / "one two.mp4").write_bytes(b"somebody else's eyes")
    (folder / "train.txt").write_text(
        "\ufeff# pairs\n012314\n\nclips of mine/one two with space/a b\nvideos/none.mp4\tÜnï ☂\n", encoding="utf-8"
    )
    (folder / "val.txt").write_text("clips of mine/one two.mp4,vector_263/M012314.npy\n012314\n")
    return folder


def test_every_form_of_line_finds_its_motion(vimo):
    found = find_recordings(vimo)
    assert found.problems == []
    assert [(r.name, r.split, r.details) for r in found.recordings] == [
        ("vector_263/012314.npy", "train", {}),
        ("vector_263/with space/a b.npy", "train", {"source_video": "videos/clips of mine/one two.mp4"}),
        ("vector_263/Ünï ☂.npy", "train", {}),
        ("vector_263/M012314.npy", "val", {"source_video": "videos/clips of mine/one two.mp4"}),
    ]  # the first list that names a motion has it


def test_splits_and_videos_end_up_in_the_clips(vimo, tmp_path):
    imported = import_into(
        tmp_path / "hrd",
        find_recordings(vimo),
        split="test",
        licence="x",
        config=ImportConfig(image_size_px=16, explain=False),
    )
    assert imported.clips == 4
    manifest = read_manifest(tmp_path / "hrd")
    assert dict(manifest.groupby("split")["clip_id"].count()) == {"train": 3, "val": 1}
    clips = {clip.record.source: clip for clip in read_clips(tmp_path / "hrd", manifest)}
    assert clips["vector_263/M012314.npy"].record.details["source_video"] == "videos/clips of mine/one two.mp4"
    assert clips["vector_263/M012314.npy"].rgb.shape == (25, 16, 16, 3)  # the view is rendered, not somebody else's
    assert clips["vector_263/Ünï ☂.npy"].id.startswith("vector_263-")


def test_lines_without_a_motion_are_counted_and_the_first_named(vimo):
    (vimo / "test.txt").write_text("gone one\n012314\nsome video.mp4\tgone/two\n../../secret\n")
    found = find_recordings(vimo)
    assert len(found.recordings) == 4
    assert found.problems == ["test.txt: 3 lines without a motion file, the first is line 1, 'gone one'"]


def test_a_list_of_nothing_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("a b\nc\n")
    with pytest.raises(EgoReactError, match=r"train\.txt: 2 lines without a motion file, the first is line 1, 'a b'"):
        find_recordings(tmp_path)
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(EgoReactError, match="holds no recording"):
        find_recordings(tmp_path)
    (tmp_path / "train.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(EgoReactError, match=r"train\.txt: cannot be read as text"):
        find_recordings(tmp_path)


def test_without_lists_a_humanml3d_folder_gives_its_features_once(tmp_path):
    for name in ("new_joint_vecs/1.npy", "new_joints/1.npy", "Mean.npy", "Std.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.zeros(3))
    assert [r.name for r in find_recordings(tmp_path).recordings] == ["new_joint_vecs/1.npy"]
