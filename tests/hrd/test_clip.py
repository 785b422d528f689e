"""A clip packs into files and comes back; what is not a clip is refused by name, and nothing is unpickled."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip, ClipRecord, unpack_npz


def test_comes_back_whole(make_clip):
    clip = make_clip()
    back = Clip.unpack(clip.pack(), where="here")
    assert back.record == clip.record
    for name in ("joints_m", "K", "T_world_camera", "head_rotation"):
        np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
    np.testing.assert_array_equal(back.smplx["transl"], clip.smplx["transl"])
    assert back.rgb.shape == (9, 32, 32, 3)
    np.testing.assert_array_equal(back.depth_m, clip.depth_m)
    np.testing.assert_array_equal(back.segmentation, clip.segmentation)


def test_what_is_not_known_stays_absent(make_clip):
    clip = replace(make_clip(), head_rotation=None, depth_mkv=None, segmentation_mkv=None, smplx=None)
    back = Clip.unpack(clip.pack(), where="here")
    assert back.head_rotation is None and back.depth_m is None and back.segmentation is None and back.smplx is None


def test_the_same_clip_gives_the_same_bytes(make_clip):
    assert make_clip("x").pack() == make_clip("x").pack()


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "a.b", "x" * 101])
def test_an_id_is_a_file_name(name):
    with pytest.raises(EgoReactError, match="is no clip id"):
        ClipRecord(name, "ball_left", "", "hand", "CC0-1.0", "train")


def refused(files: dict[str, bytes]) -> str:
    with pytest.raises(EgoReactError) as caught:
        Clip.unpack(files, where="shard.tar")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_damaged_groups_are_refused(make_clip):
    good = make_clip().pack()
    assert "lacks mp4, motion.npz" in refused({name: good[name] for name in ("json", "camera.npz")})
    assert "not a clip record" in refused(good | {"json": b"{}"})
    assert "not a clip record" in refused(good | {"json": b"\xff"})
    assert "schema version 9" in refused(
        good | {"json": json.dumps(json.loads(good["json"]) | {"schema_version": 9}).encode()}
    )
    assert "joints has shape (9, 21, 3)" in refused(good | {"motion.npz": npz(joints=np.zeros((9, 21, 3)))})
    assert "T_world_camera has shape (8, 4, 4)" in refused(
        good | {"camera.npz": npz(K=np.eye(3), T_world_camera=np.zeros((8, 4, 4)))}
    )
    assert "lacks the array K" in refused(good | {"camera.npz": npz(T_world_camera=np.zeros((9, 4, 4)))})
    for content in (b"", b"text", good["motion.npz"][:100]):
        assert "not a readable npz" in refused(good | {"motion.npz": content})


def test_pickled_objects_are_never_loaded():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    with pytest.raises(EgoReactError, match="not a readable npz"):
        unpack_npz(npz(joints=np.array([Bomb()], dtype=object)), where="x.npz")
