"""BVH: a parser against positions worked out by hand, dialects against bodies of known posture, and real takes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.bvh import read_bvh
from egoreact.hrd.importers.mocap import CMU_UNIT_M, DIALECTS, Dialect, read_mocap
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.motion.export import write_bvh
from egoreact.motion.representation import retarget
from egoreact.motion.skeleton import BONE_LENGTHS_M, FEET, HEAD, JOINTS, PARENTS, T_POSE_OFFSETS_M

ARM = """HIERARCHY
ROOT base
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT upper
  {
    OFFSET 0 1 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    End Site
    {
      OFFSET 0 0 2
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.05
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 90 0 0
0 0 0 90 90 0 90 90 0
"""


def write(tmp_path: Path, text: str, name: str = "take.bvh") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_forward_kinematics_against_positions_by_hand(tmp_path):
    motion = read_bvh(write(tmp_path, ARM))
    positions, rotations = motion.forward()
    assert motion.names == ("base", "upper", "upper/end")
    np.testing.assert_allclose(positions[0], [[1, 2, 3], [1, 3, 3], [1, 3, 5]], atol=1e-12)
    # Z by 90 turns the bone (0 1 0) to (−1 0 0); X by 90 then turns (0 0 2) to (0 −2 0), which Z turns to (2 0 0).
    np.testing.assert_allclose(positions[1], [[1, 2, 3], [0, 2, 3], [2, 2, 3]], atol=1e-12)
    # ZY: (0 1 0) stays under Y and goes to (−1 0 0) under Z. XZ leaves (0 0 2) → Z: same → X: (0 −2 0); then Y, Z of the root.
    np.testing.assert_allclose(positions[2], [[0, 0, 0], [-1, 0, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(rotations[1, 0], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_between_frames_bones_keep_their_lengths(tmp_path):
    motion = read_bvh(write(tmp_path, ARM))
    positions, _ = motion.at(np.array([0.0, 0.025, 0.05, 0.09, 9.0]))
    np.testing.assert_allclose(np.linalg.norm(positions[:, 1] - positions[:, 0], axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(positions[1, 1], [1 - np.sqrt(0.5), 2 + np.sqrt(0.5), 3], atol=1e-12)
    np.testing.assert_allclose(positions[4], motion.forward()[0][2])


def dialect_file(
    dialect: Dialect, unit_m: float, *, yaw_degrees: float = 30.0, frames: int = 121, rest_frame: bool = True
) -> str:
    """A T pose of 1.1 times the reference size that walks along its own z at 120 fps, head turned left by another 20 degrees."""
    size = 1.1 / unit_m
    smpl = np.zeros((22, 3))
    for joint in range(1, 22):
        smpl[joint] = smpl[PARENTS[joint]] + T_POSE_OFFSETS_M[joint] * size
    at = {name: smpl[JOINTS.index(role)] for role, name in dialect.roles.items()}
    middle = smpl[[1, 2]].mean(axis=0)
    for share, name in zip(np.linspace(0.1, 0.9, len(dialect.trunk)), dialect.trunk, strict=True):
        at.setdefault(name, middle + share * (smpl[12] - middle))
    root, *trunk = dialect.trunk
    chains = [[root, *trunk, dialect.roles["neck"], dialect.roles["head"]]]
    if dialect.lost_bone:
        lost, children = dialect.lost_bone
        at |= dict.fromkeys(children, at[lost])
        # The thorax is as long as the bone before it: what the reader restores.
        thorax = np.array([0.0, np.linalg.norm(at[lost] - at[trunk[trunk.index(lost) - 1]]), 0.0])
        moved = [
            name
            for role, name in dialect.roles.items()
            if role in ("neck", "head") or role.split("_")[-1] in ("shoulder", "elbow", "wrist")
        ]
        at |= {name: at[name] - thorax for name in moved}
    for side in ("left", "right"):
        leg = [dialect.roles[f"{side}_{role}"] for role in ("hip", "knee", "ankle", "foot")]
        arm = [dialect.roles[f"{side}_{role}"] for role in ("shoulder", "elbow", "wrist")]
        carrier = [name for name in dialect.lost_bone[1] if name.lower().startswith(side)] if dialect.lost_bone else []
        chains += [[root, *leg], [dialect.lost_bone[0] if dialect.lost_bone else trunk[-1], *carrier, *arm]]
    children_of: dict[str, list[str]] = {}
    for chain in chains:
        for parent, child in itertools.pairwise(chain):
            if child not in children_of.setdefault(parent, []):
                children_of[parent].append(child)
    order: list[str] = []

    def joint(name: str, parent: str | None) -> list[str]:
        offset = " ".join(f"{x:.6f}" for x in (at[name] - at[parent] if parent else np.zeros(3)))
        if name.endswith("/end"):
            return ["End Site", "{", f"OFFSET {offset}", "}"]
        order.append(name)
        channels = (
            "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
            if parent is None
            else "3 Zrotation Xrotation Yrotation"
        )
        inner = [line for child in children_of.get(name, []) for line in joint(child, name)]
        kind = "JOINT" if parent else "ROOT"
        return [f"{kind} {name}", "{", f"OFFSET {offset}", f"CHANNELS {channels}", *inner, "}"]

    hierarchy = joint(root, None)
    yaw = np.radians(yaw_degrees)
    rows = []
    for frame in range(frames):
        leap = rest_frame and frame == 0
        along = 0.0 if leap else 0.01 * frame / unit_m
        x, z = (50.0, 80.0) if leap else (np.sin(yaw) * along, np.cos(yaw) * along)
        row = [x, at[root][1] + 1.0 / unit_m, z, 0.0, 0.0 if leap else yaw_degrees, 0.0]
        for name in order[1:]:
            row += [0.0, 0.0, 20.0 if name == dialect.roles["head"] and not leap else 0.0]
        rows.append(" ".join(f"{value:.6f}" for value in row))
    return "\n".join(["HIERARCHY", *hierarchy, "MOTION", f"Frames: {frames}", "Frame Time: .0083333", *rows]) + "\n"


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect.name != "smpl"], ids=lambda d: d.name)
def test_every_dialect_gives_the_body_that_was_written(tmp_path, dialect):
    motion = read_mocap(write(tmp_path, dialect_file(dialect, dialect.metres_per_unit)))
    assert motion.details["dialect"] == dialect.name
    assert motion.details["metres_per_unit"] == dialect.metres_per_unit
    assert motion.details["reference_frames_skipped"] == 1
    assert motion.details["leg_m"] == pytest.approx(1.1 * (0.3936 + 0.4324), abs=0.005)
    joints = motion.joints_m
    assert joints.shape == (20, 22, 3)  # 121 frames at 120 fps less one: 0.99 s
    assert joints[:, FEET, 1].min() == pytest.approx(0, abs=1e-3)
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    np.testing.assert_allclose(lengths, np.tile(BONE_LENGTHS_M[1:], (20, 1)), atol=1e-4)
    # 0.06 m a frame at 20 fps, along the heading; legs of 1.1 times the length scale the way.
    yaw = np.radians(30.0)
    np.testing.assert_allclose(
        np.diff(joints[:, 0], axis=0),
        np.tile([0.06 / 1.1 * np.sin(yaw), 0, 0.06 / 1.1 * np.cos(yaw)], (19, 1)),
        atol=1e-3,
    )
    across = joints[0, 1] - joints[0, 2]
    assert np.degrees(np.arctan2(-across[2], across[0])) == pytest.approx(30.0, abs=0.5)
    gaze = motion.head_rotation[:, :, 2]
    np.testing.assert_allclose(
        gaze, np.tile([np.sin(yaw + np.radians(20)), 0, np.cos(yaw + np.radians(20))], (20, 1)), atol=1e-3
    )
    # The T pose itself: every bone within a few degrees of SMPL's, the trunk's included.
    R = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    bones = (joints[0, 1:] - joints[0, PARENTS[1:]]) @ R / BONE_LENGTHS_M[1:, None]
    cosine = np.sum(bones * T_POSE_OFFSETS_M[1:], axis=-1) / BONE_LENGTHS_M[1:]
    limbs = [
        JOINTS.index(name) - 1 for name in JOINTS if name.split("_")[-1] in ("knee", "ankle", "foot", "elbow", "wrist")
    ]
    assert cosine[limbs].min() > 0.999
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 30


def test_a_head_that_never_looks_ahead_has_its_rest_frame_turned(tmp_path):
    motion = read_mocap(write(tmp_path, dialect_file(DIALECTS[1], CMU_UNIT_M, frames=361)))
    assert motion.details["head_yaw_removed_deg"] == pytest.approx(20, abs=0.5)
    yaw = np.arctan2(motion.head_rotation[:, 0, 2], motion.head_rotation[:, 2, 2])
    np.testing.assert_allclose(np.degrees(yaw), 30, atol=0.5)


def test_the_projects_own_export_comes_back(tmp_path):
    clip = simulate_clip(SimulatorConfig(frames=41, image_size_px=16), "low_obstacle", 4, "clip", "train")
    joints = retarget(torch.from_numpy(clip.joints_m)).numpy()
    for unit in ("cm", "m"):
        back = read_mocap(write_bvh(tmp_path / f"{unit}.bvh", joints, unit=unit)).joints_m
        # The floor is the first percentile of the lower foot: it may lie elsewhere than the simulator's.
        np.testing.assert_allclose(back - back[:1, :1] * [0, 1, 0], joints - joints[:1, :1] * [0, 1, 0], atol=2e-4)


def test_another_unit_is_found_or_given(tmp_path):
    poser = DIALECTS[0]
    assert read_mocap(write(tmp_path, dialect_file(poser, 1.0))).details["metres_per_unit"] == 1.0
    assert read_mocap(write(tmp_path, dialect_file(poser, 0.011)), metres_per_unit=0.011).details[
        "leg_m"
    ] == pytest.approx(0.909, abs=0.01)
    with pytest.raises(EgoReactError, match=r"a leg is 9\.\d+ m long with 0\.1 m a unit; give metres_per_unit"):
        read_mocap(write(tmp_path, dialect_file(poser, 0.01)), metres_per_unit=0.1)


def test_a_take_without_rest_frame_loses_nothing(tmp_path):
    motion = read_mocap(write(tmp_path, dialect_file(DIALECTS[0], 0.01, rest_frame=False)))
    assert motion.details["reference_frames_skipped"] == 0
    assert len(motion.joints_m) == 21


def test_names_may_carry_a_prefix_and_any_case(tmp_path):
    text = dialect_file(DIALECTS[0], 0.01).replace("JOINT ", "JOINT Actor:").replace("Actor:lThigh", "Actor:LTHIGH")
    assert read_mocap(write(tmp_path, text)).details["dialect"] == "poser"


GOOD = dialect_file(DIALECTS[0], 0.01, frames=13)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no HIERARCHY"),
        ("some notes\n", "no HIERARCHY"),
        (GOOD[: GOOD.index("MOTION")], "ends before MOTION: it is truncated"),
        (GOOD[: GOOD.index("MOTION") - 4] + GOOD[GOOD.index("MOTION") :], "MOTION begins before the hierarchy is closed"),
        (GOOD[:-40], r"frame 12 has \d+ numbers, not"),
        (GOOD[: GOOD.rindex("\n", 0, -1) + 1], "has 12 frames where it announces 13"),
        (GOOD.replace("Frame Time: .0083333", "Frame Time: 0"), "frame time of 0 s"),
        (GOOD.replace("Frame Time: .0083333", "Frame Time: nan"), "frame time of nan s"),
        (GOOD.replace("Frame Time: .0083333\n", ""), "lacks 'Frames:' and 'Frame Time:'"),
        (GOOD.replace("Frames: 13", "Frames: 1"), "has 1 frames"),
        (GOOD.replace("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 zero 0", 1), "expected numbers, found '0 zero 0'"),
        (GOOD.replace("30.000000", "nan", 1), "not finite"),
        (GOOD.replace("3 Zrotation Xrotation Yrotation", "3 Zrotation Xrotation Wrotation", 1), "unknown channels"),
        (GOOD.replace("3 Zrotation Xrotation Yrotation", "4 Zrotation Xrotation Yrotation", 1), "unknown channels"),
        (GOOD.replace("JOINT lThigh", "JOINT thigh"), "of the nearest, poser, it lacks lThigh"),
        (GOOD.replace("JOINT lThigh", "ROOT lThigh"), "second ROOT"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(EgoReactError, match=message) as raised:
        read_mocap(write(tmp_path, text))
    assert "take.bvh" in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "take.bvh").write_bytes(bytes(range(128, 256)))
    with pytest.raises(EgoReactError, match="cannot be read as text"):
        read_mocap(tmp_path / "take.bvh")
    with pytest.raises(EgoReactError, match="no such file"):
        read_mocap(tmp_path / "none.bvh")


@pytest.mark.parametrize(
    ("name", "dialect", "unit_m", "frames", "skipped"),
    [
        ("bvh11_131_03", "cmu_knee", CMU_UNIT_M, 184, 0),
        ("lawrennd_10_01", "poser", 0.01, 133, 5),
        ("papagina_martial_05", "poser", 0.01, 410, 5),
        ("pybvh_cmu_12_01", "cmu_leg", CMU_UNIT_M, 88, 1),
    ],
)
def test_real_takes(shared_data, name, dialect, unit_m, frames, skipped):
    motion = read_mocap(shared_data / "mocap" / f"{name}.bvh")
    details = motion.details
    assert (details["dialect"], details["metres_per_unit"], details["reference_frames_skipped"]) == (
        dialect,
        unit_m,
        skipped,
    )
    assert motion.joints_m.shape == (frames, 22, 3)
    assert 0.75 < details["leg_m"] < 0.85
    assert 1.25 < np.median(motion.joints_m[:, HEAD, 1]) < 1.6
    assert motion.head_rotation[:, 1, 1].mean() > 0.9  # heads are upright
    offsets = {"bvh11_131_03": -19.6, "lawrennd_10_01": -20.5, "papagina_martial_05": 0.0, "pybvh_cmu_12_01": -15.5}
    assert details["head_yaw_removed_deg"] == pytest.approx(offsets[name], abs=0.2)
    speed = np.linalg.norm(np.diff(motion.joints_m, axis=0), axis=-1) * 20
    assert speed.max() < 12  # the leap from the rest pose would be 16 m/s
    if name == "pybvh_cmu_12_01":  # a walk goes where the pelvis faces
        across = motion.joints_m[:-1, 1] - motion.joints_m[:-1, 2]
        forward = np.stack([-across[:, 2], across[:, 0]], axis=-1) / np.linalg.norm(
            across[:, [0, 2]], axis=-1, keepdims=True
        )
        step = np.diff(motion.joints_m[:, 0], axis=0)[:, [0, 2]]
        assert (np.sum(forward * step, axis=-1) / np.linalg.norm(step, axis=-1)).mean() > 0.95
