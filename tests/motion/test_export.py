import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from egoreact.errors import EgoReactError
from egoreact.motion import export
from egoreact.motion.body import load_body
from egoreact.motion.drawing import LEFT, RIGHT, View
from egoreact.motion.representation import decode, encode, retarget
from egoreact.motion.skeleton import JOINTS
from egoreact.vision.video import read_video, video_rate
from tests.motion.conftest import random_motion, rest_pose


def read_bvh(path) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    """Names, offsets (22, 3), world positions (T, 22, 3) in the file's unit, and seconds a frame. Its own reading of BVH."""
    tokens = iter(path.read_text().split())
    names, parents, offsets, channels, stack = [], [], [], [], []
    for token in tokens:
        if token in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(next(tokens))
            current = len(names) - 1
        elif token == "End":
            next(tokens)
            current = None
        elif token == "{":
            stack.append(current)
        elif token == "}":
            stack.pop()
        elif token == "OFFSET":
            offset = [float(next(tokens)) for _ in range(3)]
            if stack[-1] is not None:
                offsets.append(offset)
        elif token == "CHANNELS":
            channels.append([next(tokens) for _ in range(int(next(tokens)))])
        elif token == "MOTION":
            break
    assert next(tokens) == "Frames:"
    frames = int(next(tokens))
    assert [next(tokens), next(tokens)] == ["Frame", "Time:"]
    seconds = float(next(tokens))
    values = np.array([float(token) for token in tokens]).reshape(frames, -1)
    positions, turns, column = [], [], 0
    for joint, names_of_channels in enumerate(channels):
        of_joint = dict(zip(names_of_channels, values[:, column : column + len(names_of_channels)].T, strict=True))
        column += len(names_of_channels)
        order = "".join(name[0] for name in names_of_channels if name.endswith("rotation"))
        turn = Rotation.from_euler(order, np.stack([of_joint[f"{axis}rotation"] for axis in order], 1), degrees=True)
        if parents[joint] < 0:
            positions.append(np.stack([of_joint[f"{axis}position"] for axis in "XYZ"], 1))
        else:
            positions.append(positions[parents[joint]] + turns[parents[joint]].apply(offsets[joint]))
            turn = turns[parents[joint]] * turn
        turns.append(turn)
    assert column == values.shape[1]
    return names, np.array(offsets), np.stack(positions, 1), seconds


def assert_bvh_gives_back(path, joints_m, *, unit_m: float, within_m: float) -> None:
    names, _, positions, seconds = read_bvh(path)
    assert sorted(names) == sorted(JOINTS) and seconds == pytest.approx(0.05)
    ours = np.stack([positions[:, names.index(name)] for name in JOINTS], 1) * unit_m
    assert np.abs(ours - np.asarray(joints_m)).max() < within_m


@pytest.mark.parametrize("unit,unit_m", [("cm", 0.01), ("m", 1.0)])
def test_bvh_gives_back_the_joints(tmp_path, unit, unit_m):
    joints_m = random_motion(0, 30)
    path = export.write_bvh(tmp_path / "motion.bvh", joints_m.numpy(), unit=unit)
    assert_bvh_gives_back(path, joints_m, unit_m=unit_m, within_m=1e-5)


def test_bvh_of_a_real_motion_is_exact_to_a_millimetre(tmp_path, humanml3d):
    joints_m = humanml3d[0]
    path = export.write_bvh(tmp_path / "serve.bvh", joints_m.numpy())
    assert_bvh_gives_back(path, joints_m, unit_m=0.01, within_m=1e-3)
    decoded = decode(encode(retarget(joints_m.double())))
    assert_bvh_gives_back(export.write_bvh(tmp_path / "d.bvh", decoded.numpy()), decoded, unit_m=0.01, within_m=1e-3)


def test_bvh_rests_in_a_t_pose_and_turns_without_jumps(tmp_path):
    angles = np.linspace(0, 4 * np.pi, 60)
    turns = Rotation.from_rotvec(np.stack([0 * angles, angles, 0 * angles], 1)).as_matrix()
    joints_m = np.einsum("tij,tkj->tki", turns, rest_pose(60).numpy())
    path = export.write_bvh(tmp_path / "turn.bvh", joints_m)
    names, offsets, _, _ = read_bvh(path)
    elbow = offsets[names.index("left_elbow")]
    assert elbow[0] > 0.98 * np.linalg.norm(elbow)
    rows = path.read_text().split("Frame Time:")[1].splitlines()[1:]
    values = np.array([[float(value) for value in row.split()] for row in rows])
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 30  # degrees a frame; the body turns 12


def test_bvh_of_bones_that_stretch_is_near(tmp_path):
    noise_m = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 22, 3))) * 0.003
    joints_m = random_motion(1, 30) + noise_m
    path = export.write_bvh(tmp_path / "noisy.bvh", joints_m.numpy())
    assert_bvh_gives_back(path, joints_m, unit_m=0.01, within_m=0.05)


@pytest.mark.usefixtures("in_workspace")
def test_npz_poses_an_smplx_body_in_the_same_place(tmp_path):
    joints_m = random_motion(2, 12).numpy()
    path = export.write_npz(tmp_path / "motion.npz", joints_m, tokens=np.arange(3))
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    np.testing.assert_allclose(arrays["joints"], joints_m, atol=1e-6)
    assert (
        arrays["poses"].shape == (12, 165) and arrays["mocap_frame_rate"] == 20 and list(arrays["tokens"]) == [0, 1, 2]
    )
    assert tuple(arrays["joint_names"]) == JOINTS
    again = load_body().forward(arrays["root_orient"], arrays["pose_body"], arrays["trans"], arrays["betas"])
    np.testing.assert_allclose(again.joints_m, joints_m, atol=1e-4)
    other = export.write_npz(tmp_path / "other.npz", joints_m, tokens=np.arange(3))
    assert other.read_bytes() == path.read_bytes()
    with pytest.raises(EgoReactError, match="poses"):
        export.write_npz(tmp_path / "x.npz", joints_m, poses=np.zeros(3))


def test_film_shows_video_left_and_body_right(tmp_path):
    joints_m = random_motion(3, 12).numpy()
    rgb = np.zeros((9, 64, 96, 3), np.uint8)
    rgb[:] = (200, 30, 30)
    rgb[8:] = (30, 30, 200)
    path = export.write_side_by_side(
        tmp_path / "film.mp4", rgb, joints_m, caption="A ball — от мяча — from the left " * 9
    )
    film = read_video(path)
    assert film.shape[:2] == (12, 720) and video_rate(path) == 20
    left = film[:, 300, 200].astype(int)
    assert (left[:8, 0] > 150).all() and (left[8:, 2] > 150).all()  # the last frame of the video stays
    right = film[:, :656, 984:].astype(int)
    assert (np.abs(right - right[:1]).max(-1) > 40).any(axis=(1, 2))[1:].all()  # the body moves
    bar = film[-1, 660:]
    assert (bar.min(-1) < 120).any()  # caption and clock are there


def test_film_letterboxes_tall_and_wide_video():
    joints_m = random_motion(3, 1).numpy()
    tall = next(export.side_by_side(np.full((1, 400, 100, 3), 200, np.uint8), joints_m))
    assert tall.shape[1] == 328 + 656 and (tall[300, 4] < 60).all() and (tall[300, 164] == 200).all()
    wide = next(export.side_by_side(iter([np.full((100, 400, 3), 200, np.uint8)]), joints_m))
    assert (wide[4, 500] < 60).all() and (wide[328, 500] == 200).all()


def test_picture_shows_left_and_right_limbs_where_they_are():
    joints_m = rest_pose(1).numpy()[0]

    def mean_column(picture, colour):
        near = np.abs(picture.astype(int) - colour).sum(-1) < 40
        assert near.sum() > 200
        return np.argwhere(near)[:, 1].mean()

    behind = export.render_skeleton(joints_m, view=View(azimuth_degrees=180))
    front = export.render_skeleton(joints_m, view=View(azimuth_degrees=0))
    assert behind.shape == (720, 720, 3) and behind.dtype == np.uint8
    assert mean_column(behind, LEFT) < mean_column(behind, RIGHT)
    assert mean_column(front, LEFT) > mean_column(front, RIGHT)
    small = export.render_skeleton(joints_m, view=View(size_px=(120, 200)))
    assert small.shape == (120, 200, 3)
    far = export.render_skeleton(joints_m + np.array([100.0, 0, -300.25]), view=View(azimuth_degrees=0))
    assert np.abs(far.astype(int) - front).mean() < 6  # the view follows


def test_picture_has_a_shadow_and_a_trail():
    joints_m = rest_pose(1).numpy()[0]
    plain = export.render_skeleton(joints_m).astype(int)
    trail_m = joints_m[15] + np.linspace(0, 1, 20)[::-1, None] * [1.0, 0, 0]
    trailed = export.render_skeleton(joints_m, trail_m=trail_m).astype(int)
    assert (np.abs(trailed - plain).sum(-1) > 60).sum() > 50
    beneath = plain[560:640, 300:420].max(-1)
    assert beneath.min() < 200 < plain[700, 360].max()


def test_export_refuses_what_is_no_motion_and_leaves_nothing(tmp_path):
    good, bad = random_motion(0, 3).numpy(), np.full((3, 22, 3), np.nan)
    for write in (export.write_bvh, export.write_npz):
        with pytest.raises(EgoReactError, match="finite"):
            write(tmp_path / "x", bad)
    with pytest.raises(EgoReactError, match="zero frames"):
        export.write_side_by_side(tmp_path / "x.mp4", np.zeros((0, 64, 64, 3), np.uint8), good)
    with pytest.raises(EgoReactError, match="shape"):
        export.write_side_by_side(tmp_path / "x.mp4", np.zeros((3, 64, 64, 3), np.uint8), good[:, :20])
    with pytest.raises(EgoReactError, match="finite"):
        export.render_skeleton(bad[0])
    assert list(tmp_path.iterdir()) == []
