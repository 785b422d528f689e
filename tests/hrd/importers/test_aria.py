"""Aria-style recordings: a simulated clip written as video, trajectory and AMASS body comes back; broken ones are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import roma
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.importers import ImportConfig, find_recordings, import_recording
from egoreact.hrd.importers.amass import Y_UP_FROM_Z_UP
from egoreact.hrd.importers.aria import read_aria
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.body import load_body, pose_from_joints
from egoreact.motion.camera import camera_from_head
from egoreact.motion.skeleton import FEET, HEAD
from egoreact.vision.video import encode_video, read_video

FIRST_US = 7_000_000_000
STRAIGHT = np.eye(3)
QUARTER = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
"""A camera that is mounted a quarter of a turn about its axis."""


@pytest.fixture(scope="module")
def made():
    """Video, trajectory (100 Hz, z up, floor at −0.3 m) and body arrays of one clip; its joints and cameras."""
    clip = simulate_clip(SimulatorConfig(frames=81, image_size_px=112), "ball_left", 2, "clip", "train")
    pose = pose_from_joints(clip.joints_m, clip.head_rotation)
    body = load_body().forward(pose["global_orient"], pose["body_pose"], pose["transl"])
    joints = body.joints_m.astype(np.float64)
    T = camera_from_head(joints[:, HEAD], body.head_rotation.astype(np.float64))
    z_up = Y_UP_FROM_Z_UP.T
    # The device's stamps: five a frame, poses held between frames' own ones by slerp.
    place = np.arange(401) / 5
    before = np.minimum(place.astype(int), 79)
    share = (place - before)[:, None]
    steps = roma.rotmat_to_rotvec(torch.from_numpy(np.swapaxes(T[:-1, :3, :3], 1, 2) @ T[1:, :3, :3])).numpy()
    R = T[before, :3, :3] @ roma.rotvec_to_rotmat(torch.from_numpy(share * steps[before])).numpy()
    position = T[before, :3, 3] + share * (T[before + 1, :3, 3] - T[before, :3, 3])
    # The body's own world is turned against the device's by 40 degrees, as motion capture's is.
    R_root = roma.rotvec_to_rotmat(torch.from_numpy(pose["global_orient"]).double()).numpy()
    orient = roma.rotmat_to_rotvec(torch.from_numpy(z_up @ rotation(np.radians(40.0)) @ R_root)).numpy()
    arrays = {
        "poses": np.concatenate([orient, pose["body_pose"], np.zeros((81, 90))], axis=1),
        "trans": np.zeros((81, 3)),
        "mocap_framerate": np.array(20.0),
    }
    return clip.video_mp4, (position @ z_up.T + [0, 0, -0.3], z_up @ R), arrays, joints, T


def table(position: np.ndarray, R: np.ndarray, R_device_camera: np.ndarray = STRAIGHT) -> pd.DataFrame:
    quaternion = roma.rotmat_to_unitquat(torch.from_numpy(R @ R_device_camera.T)).numpy()
    columns = {
        "graph_uid": ["a"] * len(position),
        "tracking_timestamp_us": FIRST_US + 10_000 * np.arange(len(position)),
    }
    columns |= {f"t{axis}_world_device": position[:, k] for k, axis in enumerate("xyz")}
    columns |= {f"q{axis}_world_device": quaternion[:, k] for k, axis in enumerate("xyzw")}
    return pd.DataFrame(columns)


def write(folder: Path, video: bytes, trajectory: pd.DataFrame, arrays: dict | None) -> Path:
    folder.mkdir()
    (folder / "my recording.mp4").write_bytes(video)
    trajectory.to_csv(folder / "closed_loop_trajectory.csv", index=False)
    if arrays is not None:
        np.savez(folder / "body.npz", **arrays)
    return folder


def test_what_was_written_comes_back(made, tmp_path):
    video, way, arrays, joints, T = made
    folder = write(tmp_path / "Aria 1", video, table(*way), arrays)
    assert find_recordings(folder).recordings[0].kind == "aria"
    recording = read_aria(folder, ImportConfig())
    assert len(recording.rgb) == len(recording.joints_m) == 81
    floor = joints - [0, np.percentile(joints[:, FEET, 1].min(axis=1), 1), 0]
    np.testing.assert_allclose(recording.joints_m, floor, atol=5e-3)
    np.testing.assert_allclose(recording.T_world_camera[:, :3, :3], T[:, :3, :3], atol=1e-3)
    assert recording.details["body_turned_deg"] == pytest.approx(-40, abs=1)
    (clip,) = import_recording(folder, licence="CC0-1.0")
    assert [str(failure) for failure in failures(measure(clip))] == []


def test_a_turned_camera_and_a_late_video(made, tmp_path):
    video, way, arrays, _, T = made
    R_device_camera = roma.unitquat_to_rotmat(torch.tensor(QUARTER).double()).numpy()
    folder = write(tmp_path / "late", encode_video(read_video(video)[20:]), table(*way, R_device_camera), arrays)
    config = ImportConfig(device_camera_xyzw=QUARTER, video_start_us=FIRST_US + 1_000_000)
    recording = read_aria(folder, config)
    np.testing.assert_allclose(recording.T_world_camera[:, :3, :3], T[20:, :3, :3], atol=1e-3)
    assert recording.details["video_start_s"] == 1.0
    # Without the quarter turn the body's head and the camera disagree.
    with pytest.raises(EgoReactError, match="past the camera at every turn"):
        read_aria(folder, ImportConfig(video_start_us=FIRST_US + 1_000_000))
    with pytest.raises(EgoReactError, match=r"lasts 3\.05 s \(61 frames at 20 fps\), the motion 4\.05 s \(81\)"):
        read_aria(folder, ImportConfig(device_camera_xyzw=QUARTER))


def test_without_a_body_it_says_what_is_missing(made, tmp_path):
    video, way, _, _, _ = made
    folder = write(tmp_path / "eyes alone", video, table(*way), None)
    with pytest.raises(EgoReactError, match=r"has a camera and no body motion, and a clip needs both; add body\.npz"):
        import_recording(folder, licence="x")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.iloc[:0], "has 0 poses"),
        (lambda t: t.drop(columns="qw_world_device"), "lacks the columns qw_world_device"),
        (lambda t: t.assign(tx_world_device="x"), "row 2 holds no finite numbers"),
        (lambda t: t.iloc[::-1], "the stamp of row 3 is not after the one before"),
        (lambda t: t.assign(qw_world_device=3.0), "quaternions that are not of length 1"),
        (lambda t: t.drop(index=range(100, 200)), r"has a gap of 1\.01 s"),
        (lambda t: t.iloc[:200], r"lasts 4\.05 s \(81 frames at 20 fps\), the motion 2\.00 s \(40\)"),
    ],
)  # fmt: skip
def test_broken_trajectories_are_refused_in_one_line(made, tmp_path, spoil, message):
    video, way, arrays, _, _ = made
    folder = write(tmp_path / "take", video, spoil(table(*way)), arrays)
    with pytest.raises(EgoReactError, match=message) as raised:
        read_aria(folder, ImportConfig())
    assert "\n" not in str(raised.value)


def test_what_is_no_table_and_times_that_do_not_meet_are_refused(made, tmp_path):
    video, way, arrays, _, _ = made
    folder = write(tmp_path / "take", video, table(*way), arrays)
    with pytest.raises(EgoReactError, match=r"the video begins 9\.00 s after the first stamp"):
        read_aria(folder, ImportConfig(video_start_us=FIRST_US + 9_000_000))
    with pytest.raises(EgoReactError, match="has length 2"):
        read_aria(folder, ImportConfig(device_camera_xyzw=(0, 0, 0, 2)))
    for content in (b"", b"\x00\xff\xfe" * 20, b'a,b\n"1'):
        (folder / "closed_loop_trajectory.csv").write_bytes(content)
        with pytest.raises(
            EgoReactError, match=r"closed_loop_trajectory\.csv: (is no readable table|lacks the columns)"
        ):
            read_aria(folder, ImportConfig())
