import numpy as np
import pytest
import roma
import smplx
import torch
import trimesh

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.motion import kinematics, mannequin
from egoreact.motion.body import (
    body_joints,
    load_body,
    mannequin_file,
    pose_from_joints,
    write_mannequin,
)
from egoreact.motion.camera import EYES_IN_HEAD_M, camera_from_head
from egoreact.motion.skeleton import BONE_LENGTHS_M, PARENTS, T_POSE_OFFSETS_M
from tests.motion.conftest import random_motion

pytestmark = pytest.mark.usefixtures("in_workspace")


def random_parameters(seed: int, frames: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "global_orient": rng.normal(size=(frames, 3)),
        "body_pose": rng.normal(size=(frames, 63)) * 0.4,
        "transl": rng.normal(size=(frames, 3)),
        "betas": rng.normal(size=10),
    }


@pytest.fixture(scope="module")
def broken(workspace, tmp_path_factory):
    """Damaged copies of the mannequin's file, by kind."""
    folder = tmp_path_factory.mktemp("broken")
    whole = dict(np.load(write_mannequin(folder / "whole.npz")))
    files = {"text": folder / "text.npz", "absent": folder / "absent.npz"}
    files["text"].write_text("not a zip")
    for name, change in {
        "lacks": lambda a: a.pop("weights"),
        "shape": lambda a: a.update(J_regressor=a["J_regressor"][:24]),
        "few": lambda a: a.update(v_template=a["v_template"][:100]),
        "pickled": lambda a: a.update(v_template=np.array([{"x": 1}], dtype=object)),
    }.items():
        arrays = whole | {"posedirs": np.zeros((1, 3, 486), np.float32)} if name != "few" else dict(whole)
        change(arrays)
        files[name] = folder / f"{name}.npz"
        np.savez(files[name], **arrays)
    return files


# ---- the mannequin


@pytest.mark.parametrize("low_poly", [False, True])
def test_mannequin_is_one_closed_body_of_human_size(low_poly):
    body = mannequin.build(low_poly=low_poly)
    mesh = trimesh.Trimesh(body.vertices_m, body.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.body_count == 1
    assert 0.05 < mesh.volume < 0.09  # m³; positive: faces look outwards
    assert 1.7 < np.ptp(body.vertices_m[:, 1]) < 1.9
    if low_poly:
        assert len(body.faces) <= 2500
    else:
        assert len(body.vertices_m) == 10_475
    np.testing.assert_allclose(body.weights.sum(1), 1, atol=1e-5)
    assert set(np.unique(body.parts)) == set(range(len(mannequin.PARTS)))
    assert len(body.face_parts) == len(body.faces)
    # The joints of the body lie inside it.
    assert mesh.contains(body.rest_joints_m[[0, 3, 6, 9, 12, 15, 4, 5, 7, 8, 16, 17, 18, 19]]).all()
    head = body.vertices_m[body.faces[body.head_faces]]
    assert head[..., 1].min() > body.rest_joints_m[9, 1]
    assert head[..., 1].max() == body.vertices_m[:, 1].max()


def test_mannequin_file_is_the_same_bytes_and_made_once(tmp_path, in_workspace):
    cached = mannequin_file()
    before = cached.stat().st_mtime_ns
    assert mannequin_file() == cached and cached.stat().st_mtime_ns == before
    assert cached.is_relative_to(in_workspace / "body") and mannequin.digest() in cached.name
    mannequin.build.cache_clear()
    assert sha256_file(write_mannequin(tmp_path / "again.npz")) == sha256_file(cached)


def test_skeleton_has_reference_bones_and_the_cameras_eyes():
    rest_m = load_body().rest_joints_m()
    lengths_m = np.linalg.norm(rest_m[1:22] - rest_m[list(PARENTS[1:])], axis=1)
    np.testing.assert_allclose(lengths_m, BONE_LENGTHS_M[1:], atol=1e-5)
    np.testing.assert_allclose((rest_m[23] + rest_m[24]) / 2 - rest_m[15], EYES_IN_HEAD_M, atol=1e-5)
    assert rest_m[23, 0] > rest_m[24, 0]  # the left eye is at +x
    assert rest_m[20, 0] > 0.5 and rest_m[21, 0] < -0.5  # a T pose
    np.testing.assert_allclose(mannequin.SMPLX_PARENTS, [-1, *load_body().model.parents[1:].tolist()])


def test_betas_do_what_is_said():
    body = load_body()
    mean, large, stout = (body.rest_joints_m(np.array(betas)) for betas in ([0.0], [1.0], [0.0, 1.0]))
    np.testing.assert_allclose(large - large[0], 1.04 * (mean - mean[0]), atol=1e-5)
    np.testing.assert_allclose(stout, mean, atol=1e-5)
    zero = {"global_orient": np.zeros((1, 3)), "body_pose": np.zeros((1, 63)), "transl": np.zeros((1, 3))}
    thin_m, stout_m = body.vertices_m(**zero)[0], body.vertices_m(**zero, betas=np.array([0.0, 1.0]))[0]
    volumes = [trimesh.Trimesh(v, body.faces, process=False).volume for v in (thin_m, stout_m)]
    assert 1.1 < volumes[1] / volumes[0] < 1.25
    # Girth leaves the head as it is.
    head = body.vertices_m(**zero)[0][:, 1] > mean[15, 1] + 0.06
    assert np.abs(stout_m - thin_m)[head].max() < 1e-3


# ---- SMPL-X parameters


def test_joints_and_skin_are_those_of_smplx():
    body, parameters = load_body(), random_parameters(0)
    motion, skin_m = body.forward(**parameters), body.vertices_m(**parameters)
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in parameters.items()}
    for frame in range(7):
        one = {name: value[frame : frame + 1] for name, value in tensors.items() if name != "betas"}
        reference = body.model(**one, betas=tensors["betas"][None])
        np.testing.assert_allclose(motion.joints_m[frame], reference.joints[0, :22], atol=1e-5)
        np.testing.assert_allclose(motion.eyes_m[frame], reference.joints[0, [23, 24]].mean(0), atol=1e-5)
        np.testing.assert_allclose(skin_m[frame], reference.vertices[0], atol=1e-5)
    assert isinstance(body.model, smplx.SMPLX)


def test_head_rotation_carries_the_camera_to_the_eyes():
    parameters = random_parameters(1) | {"betas": np.zeros(10)}
    motion = load_body().forward(**parameters)
    T_world_camera = camera_from_head(motion.joints_m[:, 15], motion.head_rotation)
    np.testing.assert_allclose(T_world_camera[:, :3, 3], motion.eyes_m, atol=1e-5)
    joints_m, head_rotation, eyes_m = body_joints(**parameters)
    assert (joints_m == motion.joints_m).all() and (head_rotation == motion.head_rotation).all()
    assert (eyes_m == motion.eyes_m).all()
    upright = load_body().forward(np.zeros((1, 3)), np.zeros((1, 63)), np.zeros((1, 3)))
    np.testing.assert_allclose(upright.head_rotation[0], np.eye(3), atol=1e-6)


def test_translation_moves_everything():
    body, parameters = load_body(), random_parameters(2)
    there = parameters | {"transl": parameters["transl"] + [1.0, 2.0, 3.0]}
    np.testing.assert_allclose(
        body.forward(**there).joints_m - body.forward(**parameters).joints_m, np.full((7, 22, 3), [1, 2, 3]), atol=1e-5
    )


def test_users_file_is_taken_from_the_environment(tmp_path, monkeypatch):
    arrays = dict(np.load(mannequin_file()))
    arrays["posedirs"] = arrays["posedirs"].astype(np.float16)  # a smaller file
    arrays["v_template"] = arrays["v_template"] * 2
    arrays["part2num"] = np.array({"pelvis": 0}, dtype=object)  # as in the official file; never unpickled
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays)
    monkeypatch.setenv("EGOREACT_SMPLX", str(tmp_path / "SMPLX_NEUTRAL.npz"))
    assert np.ptp(load_body().rest_joints_m()[:, 1]) > 2.4
    assert load_body(mannequin_file()).rest_joints_m()[0, 1] == pytest.approx(
        -0.351, abs=1e-5
    )  # a path given comes first


@pytest.mark.parametrize("kind", ["absent", "text", "lacks", "shape", "few", "pickled"])
def test_bad_model_files_are_one_line(broken, kind):
    with pytest.raises(EgoReactError) as caught:
        load_body(broken[kind])
    assert "\n" not in str(caught.value) and broken[kind].name in str(caught.value)


def test_bad_parameters_are_named():
    parameters = random_parameters(0)
    for name, value in (
        ("body_pose", np.zeros((7, 69))),
        ("transl", np.full((7, 3), np.nan)),
        ("transl", np.zeros((6, 3))),
    ):
        with pytest.raises(EgoReactError, match=name):
            load_body().forward(**(parameters | {name: value}))


# ---- from joints


def test_pose_from_joints_poses_the_same_joints():
    motion = load_body().forward(**(random_parameters(3) | {"betas": np.zeros(10)}))
    pose = pose_from_joints(motion.joints_m, motion.head_rotation)
    again = load_body().forward(**pose)
    np.testing.assert_allclose(again.joints_m, motion.joints_m, atol=1e-5)
    np.testing.assert_allclose(again.head_rotation, motion.head_rotation, atol=1e-5)


def test_kinematics_there_and_back():
    joints_m = random_motion(6, 9)
    local = kinematics.local_rotations(kinematics.joint_rotations(joints_m))
    again = kinematics.forward(local, joints_m[:, 0], torch.from_numpy(T_POSE_OFFSETS_M))
    torch.testing.assert_close(again, joints_m, atol=1e-9, rtol=0)
    torch.testing.assert_close(kinematics.fit_skeleton(joints_m), torch.from_numpy(T_POSE_OFFSETS_M), atol=1e-6, rtol=0)


def test_shortest_rotation_of_opposites():
    source = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0.6, 0.8, 0]], dtype=torch.float64)
    turned = roma.quat_action(kinematics.shortest_rotation(source, -source), source)
    torch.testing.assert_close(turned, -source)
