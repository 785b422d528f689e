"""Motion capture in BVH: three dialects of the CMU recordings and this project's own export → 22 joints at 20 fps.

A dialect is a table from roles to the names it uses (`DIALECTS`). Knees, elbows, wrists and the like are taken as they are. SMPL's
trunk has other joints than any dialect, so it is laid out anew: the pelvis above the middle of the hips, spine1…3 along the
line through the dialect's own trunk joints at SMPL's fractions of its length, the collars between spine3, neck and shoulder.
`representation.retarget` then gives every bone the reference body's length.

In all dialects the head's rest frame is the project's: x left, y up, z forward. So its global rotation is R_world_head, but for
a constant turn that some skeletons give it (15 to 20° in three of four takes of CMU's): see `head.without_yaw_offset`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.bvh import BvhMotion, read_bvh
from egoreact.hrd.importers.head import without_yaw_offset
from egoreact.hrd.importers.resample import moments
from egoreact.hrd.importers.take import Take, checked_joints, on_the_floor, retargeted
from egoreact.motion.skeleton import BONE_LENGTHS_M, JOINTS, T_POSE_OFFSETS_M

CMU_UNIT_M = 0.0254 / 0.45
"""CMU's skeletons are in inches over 0.45."""
PLAUSIBLE_LEG_M = (0.5, 1.3)
UNITS_M = (1.0, 0.01, CMU_UNIT_M, 0.0254, 0.001)
"""Tried in this order where a dialect's own unit makes no person. Only one of them makes a leg plausible."""


@dataclass(frozen=True)
class Dialect:
    """Which joint of a file plays which role. Names are compared without case and without a `prefix:`."""

    name: str
    metres_per_unit: float
    roles: Mapping[str, str]
    """`head`, `neck`, and with `left_` and `right_`: `hip`, `knee`, `ankle`, `foot`, `shoulder`, `elbow`, `wrist`.
    `X/end` is the end site below X."""
    trunk: tuple[str, ...]
    """The joints between the hips and `neck`, from below."""
    lost_bone: tuple[str, tuple[str, ...]] | None = None
    """A joint whose bone the file lost where the tree branches, and the children to move by its length (that of the bone
    before it)."""


def _sided(left: str, right: str, **roles: str) -> dict[str, str]:
    return {
        f"{side}_{role}": prefix + name
        for side, prefix in (("left", left), ("right", right))
        for role, name in roles.items()
    }


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "poser",
        0.01,
        {"head": "head", "neck": "neck"}
        | _sided(
            "l",
            "r",
            hip="Thigh",
            knee="Shin",
            ankle="Foot",
            foot="Foot/end",
            shoulder="Shldr",
            elbow="ForeArm",
            wrist="Hand",
        ),
        trunk=("hip", "abdomen", "chest"),
    ),
    Dialect(
        "cmu_leg",
        CMU_UNIT_M,
        {"head": "Head", "neck": "Neck1"}
        | _sided(
            "Left",
            "Right",
            hip="UpLeg",
            knee="Leg",
            ankle="Foot",
            foot="ToeBase",
            shoulder="Arm",
            elbow="ForeArm",
            wrist="Hand",
        ),
        trunk=("Hips", "Spine", "Spine1", "Neck"),
        lost_bone=("Spine1", ("Neck", "LeftShoulder", "RightShoulder")),
    ),
    Dialect(
        "cmu_knee",
        CMU_UNIT_M,
        {"head": "Head", "neck": "Neck"}
        | _sided(
            "Left",
            "Right",
            hip="Hip",
            knee="Knee",
            ankle="Ankle",
            foot="Toe",
            shoulder="Shoulder",
            elbow="Elbow",
            wrist="Wrist",
        ),
        trunk=("Hips", "Chest", "Chest2", "lowerneck"),
        lost_bone=("Chest2", ("lowerneck", "LeftCollar", "RightCollar")),
    ),
    Dialect("smpl", 0.01, {name: name for name in JOINTS}, trunk=("pelvis", "spine1", "spine2", "spine3")),
)
"""poser: hip, abdomen, chest, lThigh …, centimetres. cmu_leg: LeftUpLeg, LeftLeg …; cmu_knee: LeftHip, LeftKnee …; both in
CMU's unit, both without the thorax's own bone. smpl: this project's export, centimetres."""


def read_mocap(path: Path, *, metres_per_unit: float | None = None, to_reference_body: bool = True) -> Take:
    """A BVH take as 22 joints and the head's rotation at 20 fps: metres, y up, the lowest step at height 0.

    Args:
        path: the file.
        metres_per_unit: the file's unit; by default the dialect's, or else the one that makes a person.
        to_reference_body: retarget to the reference bone lengths, which training expects.

    Raises:
        EgoReactError: see `read_bvh`; or no dialect knows its joints; or the unit makes no person.
    """
    motion = read_bvh(path)
    index = {_plain(name): joint for joint, name in reversed(list(enumerate(motion.names)))}
    dialect = _dialect_of(index, path)
    motion, restored = _restore_lost_bone(motion, dialect, index)
    skipped = _reference_frames(motion)
    first_s, last_s = skipped * motion.frame_time_s, (motion.num_frames - 1) * motion.frame_time_s
    positions, rotations = motion.at(moments(first_s, last_s))
    unit_m, leg_m = _unit(positions[0], dialect, index, metres_per_unit, path)
    positions = positions * unit_m
    joints_m = _as_smpl(positions, rotations, dialect, index, leg_m)
    checked_joints(joints_m, path, remedy="check the skeleton's offsets")
    if to_reference_body:
        joints_m = retargeted(joints_m)
    joints_m, _ = on_the_floor(joints_m)
    head_rotation, yaw_deg = rotations[:, index[_plain(dialect.roles["head"])]], 0.0
    if dialect.name != "smpl":  # this project's own has its head straight
        head_rotation, yaw_deg = without_yaw_offset(joints_m, head_rotation)
    details = {
        "format": "bvh",
        "dialect": dialect.name,
        "metres_per_unit": unit_m,
        "source_fps": round(1 / motion.frame_time_s, 3),
        "leg_m": round(leg_m, 4),
        "reference_frames_skipped": skipped,
        "restored_bone": restored,
        "head_yaw_removed_deg": round(yaw_deg, 2),
        "retargeted": to_reference_body,
    }
    return Take(joints_m.astype(np.float32), head_rotation.astype(np.float32), details)


def _plain(name: str) -> str:
    joint, slash, end = name.partition("/")
    return joint.rpartition(":")[2].strip().lower() + slash + end


def _dialect_of(index: dict[str, int], path: Path) -> Dialect:
    """The dialect all of whose names the file has."""
    missing = {}
    for dialect in DIALECTS:
        wanted = [*dialect.roles.values(), *dialect.trunk]
        missing[dialect.name] = [name for name in wanted if _plain(name) not in index]
        if not missing[dialect.name]:
            return dialect
    nearest = min(missing, key=lambda name: len(missing[name]))
    raise EgoReactError(
        f"its joints are of no known dialect; of the nearest, {nearest}, it lacks {', '.join(missing[nearest][:6])}",
        where=path,
        remedy=f"rename the joints to those of one of {', '.join(missing)} (egoreact/hrd/importers/mocap.py)",
    )


def _unit(
    positions: np.ndarray, dialect: Dialect, index: dict[str, int], given: float | None, path: Path
) -> tuple[float, float]:
    """Metres a unit, and the length of a leg in metres."""
    hip, knee, ankle = (positions[index[_plain(dialect.roles[f"left_{role}"])]] for role in ("hip", "knee", "ankle"))
    leg = float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
    candidates = (dialect.metres_per_unit, *UNITS_M) if given is None else (given,)
    for unit_m in candidates:
        if PLAUSIBLE_LEG_M[0] <= leg * unit_m <= PLAUSIBLE_LEG_M[1]:
            return unit_m, leg * unit_m
    raise EgoReactError(
        f"a leg is {leg * candidates[0]:.3g} m long with {candidates[0]:.4g} m a unit",
        where=path,
        remedy="give metres_per_unit (0.01 for centimetres)",
    )


def _restore_lost_bone(motion: BvhMotion, dialect: Dialect, index: dict[str, int]) -> tuple[BvhMotion, str | None]:
    if dialect.lost_bone is None:
        return motion, None
    joint_name, children = dialect.lost_bone
    moved = [index[_plain(name)] for name in children if _plain(name) in index]
    if not all(np.allclose(motion.offsets[child], 0) for child in moved):
        return motion, None
    offsets = motion.offsets.copy()
    offsets[moved] = [0.0, np.linalg.norm(motion.offsets[index[_plain(joint_name)]]), 0.0]
    return replace(motion, offsets=offsets), joint_name


def _reference_frames(motion: BvhMotion) -> int:
    """How many frames at the start are a rest pose put before the take and the leap from it, which filters smear.

    None where frame 0 does not leap, that is, move more than five times as far as 95 % of the frames do.
    """
    steps = np.linalg.norm(np.diff(motion.forward()[0], axis=0), axis=-1).mean(axis=1)
    usual = float(np.percentile(steps, 95))
    if not steps[0] > 5 * max(usual, 1e-6):
        return 0
    settled = np.flatnonzero(steps[: max(2, round(0.25 / motion.frame_time_s))] <= usual)
    return int(settled[0]) if len(settled) else 1


def _as_smpl(
    positions_m: np.ndarray, rotations: np.ndarray, dialect: Dialect, index: dict[str, int], leg_m: float
) -> Float[np.ndarray, "frames 22 3"]:
    def at(name: str) -> np.ndarray:
        return positions_m[:, index[_plain(name)]]

    joints = np.empty((len(positions_m), 22, 3))
    for joint, name in enumerate(JOINTS):
        if name in dialect.roles:
            joints[:, joint] = at(dialect.roles[name])
    if dialect.name == "smpl":
        return joints
    scale = leg_m / float(BONE_LENGTHS_M[[5, 8]].sum())
    to_pelvis = -T_POSE_OFFSETS_M[[1, 2]].mean(axis=0) * scale
    joints[:, 0] = joints[:, [1, 2]].mean(axis=1) + rotations[:, index[_plain(dialect.trunk[0])]] @ to_pelvis
    line = np.stack([joints[:, 0], *(at(name) for name in dialect.trunk[1:]), joints[:, 12]], axis=1)
    trunk = BONE_LENGTHS_M[[3, 6, 9, 12]].cumsum() / BONE_LENGTHS_M[[3, 6, 9, 12]].sum()
    joints[:, [3, 6, 9]] = _along(line, trunk[:3])
    spine3, neck = joints[:, 9], joints[:, 12]
    for collar, shoulder in ((13, 16), (14, 17)):
        # SMPL's rest pose: the collar is 37 % of the way to the shoulder plus 26 % of the way to the neck.
        joints[:, collar] = spine3 + 0.37 * (joints[:, shoulder] - spine3) + 0.26 * (neck - spine3)
    return joints


def _along(line: Float[np.ndarray, "frames points 3"], shares: np.ndarray) -> Float[np.ndarray, "frames shares 3"]:
    """Points at these shares of the length of a polyline, whose mean lengths count, so that a point keeps its bone."""
    lengths = np.linalg.norm(np.diff(line, axis=1), axis=-1).mean(axis=0)
    stations = np.concatenate([[0.0], lengths.cumsum()])
    found = []
    for share in shares:
        wanted = share * stations[-1]
        piece = min(int(np.searchsorted(stations, wanted, side="right")) - 1, len(lengths) - 1)
        part = (wanted - stations[piece]) / max(lengths[piece], 1e-9)
        found.append(line[:, piece] + part * (line[:, piece + 1] - line[:, piece]))
    return np.stack(found, axis=1)
