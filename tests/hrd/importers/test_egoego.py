"""EgoEgo's form: a recording that the project makes itself comes back, broken ones are refused, the real one is exact."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import roma
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.importers import import_recording
from egoreact.hrd.importers.egoego import Y_UP_FROM_Z_UP, is_egoego, read_egoego
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.motion.body import load_body, pose_from_joints
from egoreact.motion.camera import camera_from_head
from egoreact.motion.skeleton import FEET, HEAD
from egoreact.vision.video import encode_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A simulated motion on the mannequin, written as EgoEgo would: z up, 30 fps, the head pose at the camera."""
    clip = simulate_clip(SimulatorConfig(frames=61, image_size_px=112), "ball_right", 2, "clip", "train")
    pose = pose_from_joints(clip.joints_m, clip.head_rotation)
    body = load_body().forward(pose["global_orient"], pose["body_pose"], pose["transl"])
    joints = body.joints_m - [0, body.joints_m[:, FEET, 1].min(), 0]
    T = camera_from_head(joints[:, HEAD], body.head_rotation)
    z_up = Y_UP_FROM_Z_UP.T
    R_head = torch.from_numpy(z_up @ body.head_rotation)
    quaternion = roma.rotmat_to_unitquat(R_head).numpy()
    R_root = roma.rotvec_to_rotmat(torch.from_numpy(pose["global_orient"])).double().numpy()
    arrays = {
        "root_orient": roma.rotmat_to_rotvec(torch.from_numpy(z_up @ R_root)).numpy(),
        "body_pose": pose["body_pose"],
        "trans": pose["transl"] @ z_up.T,
        "head_qpos": np.concatenate([T[:, :3, 3] @ z_up.T, quaternion[:, [3, 0, 1, 2]]], axis=1),
        "fps": np.float32(30),
    }
    video = encode_video(clip.rgb, fps=30)
    return arrays, video, joints, T


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return write(tmp_path / "take one", made[0], made[1])


def write(folder: Path, arrays: dict, video: bytes) -> Path:
    folder.mkdir()
    np.savez(folder / "body.npz", **arrays)
    (folder / "video.mp4").write_bytes(video)
    return folder


def test_what_was_written_comes_back_at_20_fps(made, folder):
    _, _, joints, T = made
    assert is_egoego(folder)
    recording = read_egoego(folder)
    assert recording.details["source_fps"] == 30
    assert len(recording.rgb) == len(recording.joints_m) == 41  # 61 frames at 30 fps: 2 s
    # Every second frame at 20 fps is every third at 30 fps.
    np.testing.assert_allclose(recording.T_world_camera[::2], T[::3], atol=1e-5)
    assert recording.details["body_scale"] == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(recording.joints_m[::2], joints[::3], atol=0.05)
    assert recording.details["gaze_against_body_deg_max"] < 2  # slerp of the head against slerp of each joint
    body = load_body().forward(**{name: recording.smplx[name] for name in ("global_orient", "body_pose", "transl")})
    np.testing.assert_allclose(body.joints_m[:, 0], recording.joints_m[:, 0], atol=1e-5)


def test_clips_pass_the_gate_and_say_what_was_assumed(folder):
    (clip,) = import_recording(folder, licence="CC0-1.0", split="val")
    assert failures(measure(clip)) == []
    assert clip.id == "take-one-000"
    assert clip.record.source == "take one"
    assert (clip.record.licence, clip.record.split, clip.record.category) == ("CC0-1.0", "val", "unknown")
    assert (clip.record.details["fov_degrees"], clip.record.details["intrinsics"]) == (90.0, "assumed")
    assert clip.num_frames == 41
    assert clip.K[0, 0] == pytest.approx(56)


def test_a_taller_person_gets_a_larger_body_not_a_lower_camera(made, tmp_path):
    arrays, video, _, _ = made
    qpos = arrays["head_qpos"].copy()
    qpos[:, 2] *= 1.1
    recording = read_egoego(write(tmp_path / "tall", arrays | {"head_qpos": qpos}, video))
    np.testing.assert_allclose(recording.T_world_camera[::2, 1, 3], qpos[::3, 2], atol=1e-5)
    assert recording.details["body_scale"] == pytest.approx(1.1, abs=0.03)
    assert abs(np.median(recording.joints_m[:, FEET, 1].min(axis=1))) < 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_qpos": None}, "lacks the array head_qpos"),
        ({"fps": None}, "lacks a rate `fps`"),
        ({"fps": np.float32(0)}, "lacks a rate `fps`"),
        ({"fps": np.array("thirty")}, "lacks a rate `fps`"),
        ({"body_pose": np.zeros((61, 69))}, r"body_pose is float64 of shape \(61, 69\)"),
        ({"trans": np.zeros((0, 3))}, r"trans is float64 of shape \(0, 3\)"),
        ({"trans": np.zeros((60, 3))}, "arrays differ in length"),
        ({"root_orient": np.full((61, 3), np.nan)}, "root_orient holds numbers that are not finite"),
        ({"head_qpos": np.ones((61, 7))}, "quaternions that are not of length 1"),
        ({"head_qpos": np.tile([0, 0, 16, 1, 0, 0, 0], (61, 1))}, "the head is 16.00 m above height 0"),
        ({"head_qpos": np.tile([0, 0, -1, 1, 0, 0, 0], (61, 1))}, "the head is -1.00 m above height 0"),
        ({"trans": np.array([{"a": 1}] * 61, dtype=object)}, "is not a readable npz"),
        ({"fps": np.float32(20)}, r"lasts 2.05 s \(41 frames at 20 fps\), the motion 3.05 s \(61\)"),
    ],
)  # fmt: skip
def test_broken_recordings_are_refused(made, tmp_path, changes, message):
    arrays = {name: value for name, value in (made[0] | changes).items() if value is not None}
    with pytest.raises(EgoReactError, match=message) as raised:
        read_egoego(write(tmp_path / "take", arrays, made[1]))
    assert "take/" in str(raised.value)


def test_up_to_two_frames_are_trimmed_and_more_refused(made, tmp_path):
    arrays, video, _, _ = made
    recording = read_egoego(write(tmp_path / "near", arrays | {"fps": np.float32(28.6)}, video))  # 42 frames at 20 fps
    assert recording.details["trimmed_frames"] == 1
    assert len(recording.rgb) == len(recording.joints_m) == 41
    with pytest.raises(EgoReactError, match=r"lasts 2\.05 s \(41 frames at 20 fps\), the motion 2\.25 s \(45\)"):
        read_egoego(write(tmp_path / "far", arrays | {"fps": np.float32(27)}, video))


def test_a_truncated_video_is_refused(made, tmp_path):
    arrays, video, _, _ = made
    for kept in (0, 100, len(video) // 2):
        with pytest.raises(EgoReactError, match=r"video\.mp4: (cannot be read as video|has zero frames|lasts)"):
            read_egoego(write(tmp_path / f"cut at {kept}", arrays, video[:kept]))


def test_missing_and_damaged_files_are_named(made, folder):
    (folder / "body.npz").write_bytes((folder / "body.npz").read_bytes()[:100])
    with pytest.raises(EgoReactError, match=r"body\.npz: is not a readable npz"):
        read_egoego(folder)
    (folder / "video.mp4").unlink()
    with pytest.raises(EgoReactError, match=r"lacks video\.mp4"):
        read_egoego(folder)
    assert not is_egoego(folder)


# --- the real recording ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ares(shared_data):
    (clip,) = import_recording(
        shared_data / "ego" / "ares", licence="MIT code; AMASS motion, non-commercial", split="test"
    )
    return clip


def test_ares_passes_the_gate(ares):
    row = measure(ares)
    assert failures(row) == []
    assert ares.num_frames == 81
    assert row["foot_skate_cm_per_frame"] < 1
    assert abs(row["foot_height_cm"]) < 4


def test_ares_camera_is_the_recorded_head_path(ares, shared_data):
    with np.load(shared_data / "ego" / "ares" / "body.npz") as body:
        qpos = body["head_qpos"][::3]
    recorded = qpos[:, :3] @ Y_UP_FROM_Z_UP.T
    np.testing.assert_allclose(ares.T_world_camera[::2, :3, 3], recorded[:41], atol=1e-5)


def epipolar_error_px(clip, *, frames_late: int = 0, K: np.ndarray | None = None) -> float:
    """How far tracked features lie from where the poses of two frames say they may, median of Sampson distances."""
    K = clip.K if K is None else K
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.rgb]
    T, inverse_K, found = clip.T_world_camera.astype(np.float64), np.linalg.inv(K), []
    for i in range(0, clip.num_frames - 8, 6):
        first = cv2.goodFeaturesToTrack(gray[i], 150, 0.01, 5)
        then, seen, _ = cv2.calcOpticalFlowPyrLK(gray[i], gray[i + 4], first, None, winSize=(15, 15))
        back, again, _ = cv2.calcOpticalFlowPyrLK(gray[i + 4], gray[i], then, None, winSize=(15, 15))
        good = (seen & again).ravel().astype(bool) & (np.abs(back - first).reshape(len(first), -1).max(axis=1) < 0.5)
        a, b = (cv2.convertPointsToHomogeneous(points.reshape(-1, 2)[good]).reshape(-1, 3) for points in (first, then))
        move = np.linalg.inv(T[i + 4 + frames_late]) @ T[i + frames_late]
        t = move[:3, 3]
        F = inverse_K.T @ np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]]) @ move[:3, :3] @ inverse_K
        Fa, Fb = a @ F.T, b @ F
        found.append(np.abs(np.sum(b * Fa, axis=1)) / np.sqrt((Fa[:, :2] ** 2).sum(1) + (Fb[:, :2] ** 2).sum(1)))
    return float(np.median(np.concatenate(found)))


def test_ares_pixels_agree_with_its_camera(ares):
    """Facing, field of view and time, from what the video shows."""
    error_px = epipolar_error_px(ares)
    assert error_px < 0.5
    assert epipolar_error_px(ares, frames_late=2) > 3 * error_px
    narrow = ares.K.copy()
    narrow[[0, 1], [0, 1]] *= 1.25  # 77 degrees
    assert epipolar_error_px(ares, K=narrow) > 2 * error_px
