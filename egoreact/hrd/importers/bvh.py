"""Motion capture in BVH: three dialects of the CMU recordings and this project's own export → 22 joints at 20 fps.

A dialect is a table from roles to the names it uses (`DIALECTS`). Knees, elbows, wrists and the like are taken as they are. SMPL's
trunk has other joints than any dialect, so it is laid out anew: the pelvis above the middle of the hips, spine1…3 along the
line through the dialect's own trunk joints at SMPL's fractions of its length, the collars between spine3, neck and shoulder.
`representation.retarget` then gives every bone the reference body's length.

In all dialects the head's rest frame is the project's: x left, y up, z forward. So its global rotation is R_world_head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.motion.representation import retarget
from egoreact.motion.skeleton import BONE_LENGTHS_M, FEET, JOINTS, T_POSE_OFFSETS_M

CMU_UNIT_M = 0.0254 / 0.45
"""CMU's skeletons are in inches over 0.45."""
PLAUSIBLE_LEG_M = (0.5, 1.3)
UNITS_M = (1.0, 0.01, CMU_UNIT_M, 0.0254, 0.001)
"""Tried in this order where a dialect's own unit makes no person. Only one of them makes a leg plausible."""
MAX_CHANNELS, MAX_FRAMES = 2_000, 1_000_000


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


@dataclass(frozen=True)
class BvhMotion:
    """A BVH file as it stands: its own units, names and rate. End sites are joints named `<parent>/end` without channels."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[np.ndarray, "joints 3"]
    channels: tuple[tuple[str, ...], ...]
    values: Float[np.ndarray, "frames channels"]
    frame_time_s: float
    where: str

    @property
    def num_frames(self) -> int:
        return len(self.values)

    def forward(self) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints 3 3"]]:
        """World positions, the file's unit, and world rotations of all joints."""
        return self._forward(*self._local())

    def at(
        self, times_s: np.ndarray
    ) -> tuple[Float[np.ndarray, "times joints 3"], Float[np.ndarray, "times joints 3 3"]]:
        """`forward` at other times: local rotations by slerp, so that bones keep their lengths."""
        translations, rotations = self._local()
        resampler = Resampler(times_s, fps=1 / self.frame_time_s, num_frames=self.num_frames)
        return self._forward(resampler.values(translations), resampler.rotations(rotations))

    def _local(self) -> tuple[np.ndarray, np.ndarray]:
        frames, joints = self.num_frames, len(self.names)
        translations = np.tile(self.offsets, (frames, 1, 1))
        rotations = np.tile(np.eye(3), (frames, joints, 1, 1))
        column = 0
        for joint, channels in enumerate(self.channels):
            values = dict(zip(channels, self.values[:, column : column + len(channels)].T, strict=True))
            column += len(channels)
            # A joint's position channels replace its offset.
            for axis, name in enumerate(("xposition", "yposition", "zposition")):
                if name in values:
                    translations[:, joint, axis] = values[name]
            turns = [name for name in channels if name.endswith("rotation")]
            if turns:
                angles = torch.from_numpy(np.radians(np.stack([values[name] for name in turns], axis=-1)))
                order = "".join(name[0].upper() for name in turns)
                rotations[:, joint] = roma.euler_to_rotmat(order, list(angles.unbind(-1))).numpy()
        return translations, rotations

    def _forward(self, translations: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positions, world = np.empty_like(translations), np.empty_like(rotations)
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                positions[:, joint], world[:, joint] = translations[:, joint], rotations[:, joint]
            else:
                positions[:, joint] = positions[:, parent] + np.einsum(
                    "tij,tj->ti", world[:, parent], translations[:, joint]
                )
                world[:, joint] = world[:, parent] @ rotations[:, joint]
        return positions, world


@dataclass(frozen=True)
class MocapMotion:
    """A take at 20 fps on the 22-joint skeleton."""

    joints_m: Float[np.ndarray, "frames 22 3"]
    head_rotation: Float[np.ndarray, "frames 3 3"]
    details: dict
    """Dialect, unit, rate and what else the import decided."""


def read_bvh(path: Path) -> BvhMotion:
    """Parses a BVH file.

    Raises:
        EgoReactError: not BVH, truncated, numbers that are none, or a frame time of zero; names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise EgoReactError("no such file", where=path, remedy="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise EgoReactError(
            f"cannot be read as text ({type(error).__name__})", where=path, remedy="give a BVH file"
        ) from error
    names, parents, offsets, channels, line = _read_hierarchy(lines, path)
    values, frame_time_s = _read_motion(lines, line, sum(map(len, channels)), path)
    return BvhMotion(tuple(names), tuple(parents), np.array(offsets), tuple(channels), values, frame_time_s, str(path))


def read_mocap(path: Path, *, metres_per_unit: float | None = None, to_reference_body: bool = True) -> MocapMotion:
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
    if to_reference_body:
        joints_m = retarget(torch.from_numpy(joints_m)).numpy()
    joints_m[..., 1] -= np.percentile(joints_m[:, FEET, 1].min(axis=1), 1)
    head_rotation = rotations[:, index[_plain(dialect.roles["head"])]]
    details = {
        "dialect": dialect.name,
        "metres_per_unit": unit_m,
        "source_fps": round(1 / motion.frame_time_s, 3),
        "leg_m": round(leg_m, 4),
        "reference_frames_skipped": skipped,
        "restored_bone": restored,
        "retargeted": to_reference_body,
    }
    return MocapMotion(joints_m.astype(np.float32), head_rotation.astype(np.float32), details)


# --- parsing --------------------------------------------------------------------------------------------------------------


def _bad(path: Path, line: int, what: str, remedy: str = "check that the file is a complete BVH") -> EgoReactError:
    return EgoReactError(what, where=f"{path}, line {line + 1}", remedy=remedy)


def _numbers(words: list[str], path: Path, line: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise _bad(path, line, f"expected numbers, found {' '.join(words)[:60]!r}") from error
    if not np.isfinite(numbers).all():
        raise _bad(path, line, "holds a number that is not finite")
    return numbers


def _read_hierarchy(lines: list[str], path: Path):
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []
    if not any(line.strip() == "HIERARCHY" for line in lines[:50]):
        raise _bad(path, 0, "has no HIERARCHY: it is no BVH file")
    for number, line in enumerate(lines):
        words = line.split()
        if not words or words[0] in ("HIERARCHY", "{"):
            continue
        if words[0] == "MOTION":
            if open_joints or not names:
                raise _bad(path, number, "MOTION begins before the hierarchy is closed" if names else "has no joints")
            return names, parents, offsets, channels, number + 1
        if words[0] in ("ROOT", "JOINT", "End"):
            if words[0] == "ROOT" and names:
                raise _bad(path, number, "has a second ROOT", "export one skeleton to a file")
            if words[0] != "ROOT" and not open_joints:
                raise _bad(path, number, f"{words[0]} outside a joint")
            parent = open_joints[-1] if open_joints else -1
            names.append(f"{names[parent]}/end" if words[0] == "End" else " ".join(words[1:]))
            parents.append(parent)
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
            open_joints.append(len(names) - 1)
        elif words[0] == "OFFSET" and open_joints and len(words) == 4:
            offsets[open_joints[-1]] = _numbers(words[1:], path, number)
        elif words[0] == "CHANNELS" and open_joints and len(words) >= 2:
            kinds = tuple(word.lower() for word in words[2:])
            known = all(kind[:1] in ("x", "y", "z") and kind[1:] in ("position", "rotation") for kind in kinds)
            turns = sum(kind.endswith("rotation") for kind in kinds)
            if not known or words[1] != str(len(kinds)) or len(set(kinds)) != len(kinds) or turns not in (0, 3):
                raise _bad(path, number, f"unknown channels {' '.join(words[1:])!r}")
            channels[open_joints[-1]] = kinds
            if sum(map(len, channels)) > MAX_CHANNELS:
                raise _bad(path, number, f"has more than {MAX_CHANNELS} channels")
        elif words[0] == "}" and open_joints:
            open_joints.pop()
        else:
            raise _bad(path, number, f"expected a joint, found {line.strip()[:60]!r}")
    raise _bad(path, len(lines), "ends before MOTION: it is truncated", "copy the file again")


def _read_motion(lines: list[str], line: int, num_channels: int, path: Path) -> tuple[np.ndarray, float]:
    header: dict[str, str] = {}
    while line < len(lines) and len(header) < 2:
        if lines[line].strip():
            key, _, value = lines[line].partition(":")
            header[key.strip().lower()] = value.strip()
        line += 1
    try:
        frames, frame_time_s = int(header["frames"]), float(header["frame time"])
    except (KeyError, ValueError) as error:
        raise _bad(path, line - 1, "lacks 'Frames:' and 'Frame Time:' after MOTION") from error
    if not (np.isfinite(frame_time_s) and frame_time_s > 0):
        raise _bad(
            path,
            line - 1,
            f"has a frame time of {frame_time_s:g} s",
            "set 'Frame Time:' to 1 / rate, for example 0.0083333",
        )
    if not 2 <= frames <= MAX_FRAMES:
        raise _bad(path, line - 1, f"has {frames} frames", f"give 2 to {MAX_FRAMES} frames")
    rows: list[list[float]] = []
    for number in range(line, len(lines)):
        if not lines[number].strip():
            continue
        words = lines[number].split()
        if len(words) != num_channels:
            raise _bad(
                path, number, f"frame {len(rows)} has {len(words)} numbers, not {num_channels}", "copy the file again"
            )
        rows.append(_numbers(words, path, number))
    if len(rows) != frames:
        raise _bad(path, len(lines) - 1, f"has {len(rows)} frames where it announces {frames}", "copy the file again")
    return np.array(rows), frame_time_s


# --- from a dialect to SMPL -----------------------------------------------------------------------------------------------


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
        remedy=f"rename the joints to those of one of {', '.join(missing)} (egoreact/hrd/importers/bvh.py)",
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
    restored = BvhMotion(
        motion.names, motion.parents, offsets, motion.channels, motion.values, motion.frame_time_s, motion.where
    )
    return restored, joint_name


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
