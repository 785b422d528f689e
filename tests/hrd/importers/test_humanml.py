"""HumanML3D's forms: what the project encodes comes back as joints, with a head that is guessed; broken arrays are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.importers import ImportConfig, import_recording
from egoreact.hrd.importers.egoego import read_egoego
from egoreact.hrd.importers.head import estimated_head, without_yaw_offset
from egoreact.hrd.importers.humanml import read_humanml
from egoreact.hrd.importers.mocap import read_mocap
from egoreact.hrd.importers.take import heading, retargeted
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.representation import encode
from egoreact.motion.skeleton import BONE_LENGTHS_M, PARENTS

CONFIG = SimulatorConfig(frames=81, own_body=False)


def gaze_apart_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(one[:, :, 2] * other[:, :, 2], axis=-1), -1, 1)))


@pytest.fixture(scope="module")
def joints() -> np.ndarray:
    return retargeted(stage(CONFIG, "ball_left", 5).performance.joints_m)


@pytest.fixture
def file(tmp_path: Path):
    def write(array: np.ndarray) -> Path:
        np.save(tmp_path / "my motion.npy", array)
        return tmp_path / "my motion.npy"

    return write


def test_features_and_joints_give_the_motion_that_was_written(joints, file):
    canonical = joints - joints[..., 1].min() * np.array([0, 1, 0])
    features = encode(torch.from_numpy(joints)).numpy()
    for array in (features, joints, joints.reshape(81, 66), np.concatenate([joints, joints], axis=1)[:, :24]):
        take = read_humanml(file(array.astype(np.float32)))
        assert len(take.joints_m) in (80, 81)
        apart = np.linalg.norm(take.joints_m - canonical[: len(take.joints_m)], axis=-1)
        assert apart.max() < 0.02
        lengths = np.linalg.norm(take.joints_m[:, 1:] - take.joints_m[:, PARENTS[1:]], axis=-1)
        np.testing.assert_allclose(lengths, np.tile(BONE_LENGTHS_M[1:], (len(lengths), 1)), atol=1e-4)
        assert take.details["head_rotation"] == "estimated from chest and neck"


def test_another_rate_is_resampled(joints, file):
    take = read_humanml(file(np.repeat(joints, 2, axis=0)[:-1]), source_fps=40)
    assert len(take.joints_m) == 81
    np.testing.assert_allclose(take.joints_m[:, 0, [0, 2]], joints[:, 0, [0, 2]], atol=1e-3)


def test_clips_pass_the_gate_and_say_that_the_head_is_guessed(joints, file):
    (clip,) = import_recording(
        file(encode(torch.from_numpy(joints)).numpy()), licence="CC0-1.0", config=ImportConfig(image_size_px=112)
    )
    assert [str(failure) for failure in failures(measure(clip))] == []
    assert clip.id == "my-motion-000"
    assert clip.record.details["head_rotation"] == "estimated from chest and neck"


def test_the_guess_is_near_the_head_of_the_simulators_people():
    apart = []
    for category in list(ENCOUNTERS)[::3]:
        body = stage(CONFIG, category, 1).performance.body
        apart.append(float(np.median(gaze_apart_deg(estimated_head(body.joints_m), body.head_rotation))))
    assert np.median(apart) < 15
    assert max(apart) < 40


def test_the_guess_is_near_the_head_of_real_people(shared_data):
    recording = read_egoego(shared_data / "ego" / "ares")
    assert np.median(gaze_apart_deg(estimated_head(recording.joints_m), recording.head_rotation)) < 35
    walk = read_mocap(shared_data / "mocap" / "pybvh_cmu_12_01.bvh")
    yaw = np.arctan2(walk.head_rotation[:, 0, 2], walk.head_rotation[:, 2, 2])
    guess = estimated_head(walk.joints_m)
    assert np.degrees(np.abs(yaw - np.arctan2(guess[:, 0, 2], guess[:, 2, 2]))).max() < 12


def test_a_constant_turn_of_the_head_is_taken_out_and_a_gaze_is_not():
    body = stage(CONFIG, "low_obstacle", 4).performance.body
    turned, by_deg = without_yaw_offset(body.joints_m, body.head_rotation @ rotation(np.radians(-18.0)))
    assert by_deg == pytest.approx(-18, abs=3)
    assert np.median(gaze_apart_deg(turned, body.head_rotation)) < 3
    # Looking to one side for half of the time is looking.
    angles = np.where(np.arange(81) < 40, 0.0, np.radians(30.0))
    gaze = rotation(heading(body.joints_m) + angles)
    same, by_deg = without_yaw_offset(body.joints_m, gaze)
    assert by_deg == 0 and same is gaze


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((50, 262), np.float32), r"is float32 of shape \(50, 262\); give \(frames, 263\) features"),
        (np.zeros((50, 22, 2), np.float32), r"shape \(50, 22, 2\)"),
        (np.zeros((1, 263), np.float32), r"shape \(1, 263\)"),
        (np.zeros(263, np.float32), r"shape \(263,\)"),
        (np.zeros((), np.float32), r"shape \(\)"),
        (np.zeros((50, 263), np.float32), "a body of 0 times a person's size; give raw features"),
        (np.random.default_rng(0).normal(size=(50, 263)), "times a person's size; give raw features, not normalised"),
        (np.full((50, 22, 3), np.nan), "not finite, first in frame 0"),
        (np.array([["a"] * 263] * 50), "is <U1 of shape"),
        (np.array([{}] * 50, dtype=object), "is not a readable npy"),
    ],
)  # fmt: skip
def test_broken_arrays_are_refused_in_one_line(file, array, message):
    with pytest.raises(EgoReactError, match=message) as raised:
        read_humanml(file(array))
    assert "my motion.npy" in str(raised.value) and "\n" not in str(raised.value)


def test_joints_in_millimetres_are_refused(joints, file):
    with pytest.raises(EgoReactError, match=r"a body of 1e\+03 times a person's size; give metres"):
        read_humanml(file(joints * 1000))


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path, joints):
    path = tmp_path / "huge.npy"
    np.save(path, joints)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(EgoReactError, match=r"is not a readable npy \(ValueError"):
        read_humanml(path)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 22, 3)})
    with pytest.raises(EgoReactError, match="is not a readable npy"):
        read_humanml(path)
    path.write_bytes(b"")
    with pytest.raises(EgoReactError, match="is empty"):
        read_humanml(path)


def test_the_real_sample_passes_the_gate(shared_data):
    folder = shared_data / "humanml3d"
    clips = import_recording(folder / "012314_features.npy", licence="HumanML3D: AMASS, non-commercial")
    assert [list(map(str, failures(measure(clip)))) for clip in clips] == [[]] * 2
    joints = read_humanml(folder / "012314_joints.npy").joints_m
    assert np.linalg.norm(read_humanml(folder / "012314_features.npy").joints_m - joints, axis=-1).max() < 2e-3
