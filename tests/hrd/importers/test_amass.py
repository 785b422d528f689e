"""Body models' parameters: a mannequin's motion written as AMASS, SMPL-H, SMPL-X and SMPL would comes back, broken ones do not."""

from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.importers import ImportConfig, arrays, import_recording
from egoreact.hrd.importers.amass import Y_UP_FROM_Z_UP, read_amass
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.body import load_body, pose_from_joints
from egoreact.motion.export import write_npz
from egoreact.motion.skeleton import FEET


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """AMASS's arrays of a mannequin at 40 fps, z up; its joints and head, y up, on the floor."""
    body = stage(SimulatorConfig(frames=81, own_body=False), "ball_right", 2).performance.body
    pose = pose_from_joints(body.joints_m, body.head_rotation)
    posed = load_body().forward(pose["global_orient"], pose["body_pose"], pose["transl"])
    R_root = roma.rotvec_to_rotmat(torch.from_numpy(pose["global_orient"]).double()).numpy()
    orient = roma.rotmat_to_rotvec(torch.from_numpy(Y_UP_FROM_Z_UP.T @ R_root)).numpy()
    # AMASS's worlds have their floor anywhere; turning about the pelvis' place at rest is the body model's own doing.
    rest = load_body().rest_joints_m()[0]
    pelvis = posed.joints_m[:, 0] @ Y_UP_FROM_Z_UP
    parameters = {
        "poses": np.concatenate([orient, pose["body_pose"], np.zeros((81, 90))], axis=1),
        "trans": pelvis - rest + [0.0, 0.0, 0.4],
        "betas": np.ones(16),
        "mocap_framerate": np.array(40.0),
        "gender": np.array("female"),
    }
    joints = posed.joints_m - [0, np.percentile(posed.joints_m[:, FEET, 1].min(axis=1), 1), 0]
    return parameters, joints, posed.head_rotation


def write(path: Path, parameters: dict) -> Path:
    np.savez(path, **parameters)
    return path


def layouts(parameters: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    poses, rest = parameters["poses"], {name: value for name, value in parameters.items() if name != "poses"}
    split = {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66]}
    later = {"mocap_frame_rate" if name == "mocap_framerate" else name: value for name, value in rest.items()}
    return {
        "smplh": parameters,
        "smplx": later | {"poses": np.concatenate([poses[:, :66], np.zeros((81, 99))], axis=1)},
        "smpl": rest | {"poses": np.concatenate([poses[:, :66], np.zeros((81, 6))], axis=1)},
        "amass smplx": later | split | {"surface_model_type": np.array("smplx")},
        "smplx package": {
            "global_orient": poses[:, :3],
            "body_pose": poses[:, 3:66],
            "transl": parameters["trans"],
            "fps": 40,
        },
    }


@pytest.mark.parametrize("layout", ["smplh", "smplx", "smpl", "amass smplx", "smplx package"])
def test_every_layout_gives_the_motion_that_was_written(made, tmp_path, layout):
    parameters, joints, head = made
    take = read_amass(write(tmp_path / "take.npz", layouts(parameters)[layout]), to_reference_body=False)
    assert take.joints_m.shape == (41, 22, 3)  # 2 s
    # From above AMASS's x is to the other side: z up to y up turns by half a turn about y as well.
    across = take.joints_m - take.joints_m[:1, :1]
    np.testing.assert_allclose(across, (joints - joints[:1, :1])[::2], atol=2e-4)
    np.testing.assert_allclose(take.joints_m[:, FEET, 1].min(), joints[:, FEET, 1].min(), atol=2e-3)
    np.testing.assert_allclose(take.head_rotation, head[::2], atol=2e-4)
    assert take.details["up"] == "z"
    assert take.details["source_fps"] == 40
    assert take.smplx is not None and take.smplx["body_pose"].shape == (41, 63)


def test_parameters_stay_those_of_the_joints_from_the_origin(made, tmp_path):
    take = read_amass(write(tmp_path / "take.npz", made[0]), to_reference_body=False)
    part = take.from_the_origin(slice(10, 35))
    assert part.smplx is not None
    posed = load_body().forward(part.smplx["global_orient"], part.smplx["body_pose"], part.smplx["transl"])
    np.testing.assert_allclose(posed.joints_m, part.joints_m, atol=1e-3)
    np.testing.assert_allclose(posed.head_rotation, part.head_rotation, atol=1e-4)
    np.testing.assert_allclose(part.joints_m[0, 0, [0, 2]], 0, atol=1e-6)


def test_clips_pass_the_gate(made, tmp_path):
    (clip,) = import_recording(
        write(tmp_path / "take.npz", made[0]), licence="CC0-1.0", config=ImportConfig(image_size_px=112)
    )
    assert [str(failure) for failure in failures(measure(clip))] == []
    assert clip.record.details["model"] == "smplh"
    assert clip.record.details["gender"] == "female"


def test_the_projects_own_export_is_y_up(tmp_path):
    body = stage(SimulatorConfig(frames=41, own_body=False), "car", 3).performance.body
    take = read_amass(write_npz(tmp_path / "own.npz", body.joints_m, head_rotation=body.head_rotation))
    assert take.details["up"] == "y"
    assert abs(np.median(take.joints_m[:, FEET, 1].min(axis=1))) < 0.03
    np.testing.assert_allclose(take.head_rotation, body.head_rotation, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": None}, "holds no body's pose but betas, gender"),
        ({"trans": None}, "lacks the array trans"),
        ({"mocap_framerate": None}, "lacks a rate `mocap_framerate`"),
        ({"mocap_framerate": np.array(0.0)}, "lacks a rate"),
        ({"poses": np.zeros((81, 100))}, r"poses is float64 of shape \(81, 100\); give numbers, \(frames, 66 or 72"),
        ({"poses": np.zeros((1, 156))}, "at least 2 frames"),
        ({"poses": np.zeros((80, 156))}, "arrays differ in length: the pose's root 80"),
        ({"trans": np.full((81, 3), np.inf)}, "trans holds numbers that are not finite, first in frame 0"),
        ({"trans": np.linspace(0, 1e6, 243).reshape(81, 3)}, "trans spans [0-9]+ m; give metres"),
        ({"poses": np.array([{"a": 1}] * 81, dtype=object)}, "is not a readable npz"),
        ({"poses": np.array(["x"] * 81)}, "poses is <U1"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_in_one_line(made, tmp_path, changes, message):
    changed = {name: value for name, value in (made[0] | changes).items() if value is not None}
    with pytest.raises(EgoReactError, match=message) as raised:
        read_amass(write(tmp_path / "take.npz", changed))
    assert "take.npz" in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_no_archive_is_refused(tmp_path):
    for content, message in (
        (b"", "is empty"),
        (b"PK\x03\x04 no more", "is not a readable npz"),
        (b"x" * 99, "readable npz"),
    ):
        (tmp_path / "take.npz").write_bytes(content)
        with pytest.raises(EgoReactError, match=message):
            read_amass(tmp_path / "take.npz")
    with pytest.raises(EgoReactError, match="no such file"):
        read_amass(tmp_path / "none.npz")


def test_a_small_file_of_large_arrays_is_refused_before_it_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "take.npz", poses=np.zeros((4096, 156)))
    assert (tmp_path / "take.npz").stat().st_size < 1 << 20
    with pytest.raises(EgoReactError, match=r"GiB of arrays; cut it"):
        read_amass(tmp_path / "take.npz")
