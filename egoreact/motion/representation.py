"""HumanML3D's 263 features of a motion of 22 joints, both ways.

20 fps, metres, y up. T poses give T − 1 rows. A row holds the root's yaw velocity ω (half angle, rad a frame), its velocity
x, z in the heading frame (m a frame), its height, the positions of joints 1…21 in the heading frame, their 6-D rotations,
the velocities of all joints (m a frame) and four foot contacts. The heading of the *encoding* is smoothed over ±80 frames
and so sees the future; decoding is causal and O(1) a frame. The released data's slip in the sign of the hips is kept:
pretrained tokenizers and evaluators know no other form.

Reference: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import roma
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from egoreact.errors import EgoReactError
from egoreact.motion.kinematics import shortest_rotation
from egoreact.motion.skeleton import (
    BONE_LENGTHS_M,
    CHAINS,
    FEET,
    HEAD,
    LEFT_HIP,
    LEFT_SHOULDER,
    NUM_JOINTS,
    PARENTS,
    PELVIS,
    REST_DIRECTIONS,
    RIGHT_HIP,
    RIGHT_SHOULDER,
)

FEATURE_DIM = 263
YAW_VELOCITY = slice(0, 1)
ROOT_VELOCITY = slice(1, 3)
ROOT_HEIGHT = slice(3, 4)
ROOT = slice(0, 4)
POSITIONS = slice(4, 67)
ROTATIONS = slice(67, 193)
VELOCITIES = slice(193, 259)
CONTACTS = slice(259, 263)

HEADING_SIGMA_FRAMES = 20
CONTACT_MAX_SQUARED_STEP_M2 = 0.002
"""A foot that moves less than this in a frame (0.894 m/s) is in contact, whatever its height."""

_RIGHT_KNEE, _RIGHT_ANKLE = 5, 8


def encode(
    joints_m: Float[Tensor, "*batch frames 22 3"], *, canonical: bool = True
) -> Float[Tensor, "*batch frames-1 263"]:
    """Features of motions. The joints should have the reference bone lengths: see `retarget`.

    ω takes the short way round: the official code flips its sign in the one frame where the heading passes 180 degrees
    from where it began, after which the released features decode to a wrong heading.

    Args:
        joints_m: world positions, y up.
        canonical: first put the motion's lowest joint on the floor, its first root over the origin and its first pose
            facing +z, as all released data are. Without it, heights stay, and frame 0 must face +z already.

    Raises:
        EgoReactError: fewer than two frames, another shape, not a floating-point tensor, or a value that is not finite.
    """
    check_joints(joints_m, min_frames=2)
    if canonical:
        joints_m = canonicalise(joints_m)
    half_yaw = _heading_half_yaw(joints_m)
    next_half_yaw = half_yaw[..., 1:]
    yaw_velocity = _wrap_half_turn(next_half_yaw - half_yaw[..., :-1])

    root_m = joints_m[..., PELVIS, :]
    root_velocity = _turn(next_half_yaw, root_m[..., 1:, :] - root_m[..., :-1, :])
    ground = torch.tensor([1.0, 0.0, 1.0], dtype=joints_m.dtype, device=joints_m.device)
    local_m = _turn(half_yaw[..., None], joints_m - root_m[..., None, :] * ground)[..., :-1, :, :]
    step_m = joints_m[..., 1:, :, :] - joints_m[..., :-1, :, :]
    contacts = step_m[..., FEET, :].square().sum(-1) < CONTACT_MAX_SQUARED_STEP_M2
    rotations = _chain_rotations(joints_m[..., :-1, :, :], half_yaw[..., :-1])
    return torch.cat(
        [
            yaw_velocity[..., None],
            root_velocity[..., [0, 2]],
            local_m[..., PELVIS, 1:2],
            local_m[..., 1:, :].flatten(-2),
            rotations[..., :2].transpose(-1, -2).flatten(-3),
            _turn(half_yaw[..., :-1, None], step_m).flatten(-2),
            contacts.to(joints_m.dtype),
        ],
        dim=-1,
    )


def decode(features: Float[Tensor, "*batch frames 263"]) -> Float[Tensor, "*batch frames 22 3"]:
    """World joints of features: first root over the origin, first heading +z. Row t gives pose t; causal.

    Raises:
        EgoReactError: another shape.
    """
    return decode_from(features, None)[0]


@dataclass(frozen=True)
class DecoderState:
    """What decoding carries from frame to frame: the heading and root of the frame that comes next. Double precision."""

    half_yaw: Float[Tensor, "*batch"]
    """Radians of half the turn to the heading frame, within ±π/2."""
    root_xz_m: Float[Tensor, "*batch 2"]

    @staticmethod
    def initial(batch_shape: tuple[int, ...], device: torch.device | str = "cpu") -> "DecoderState":
        zeros = torch.zeros(*batch_shape, 3, dtype=torch.float64, device=device)
        return DecoderState(half_yaw=zeros[..., 0], root_xz_m=zeros[..., 1:])


def decode_from(
    features: Float[Tensor, "*batch frames 263"], state: DecoderState | None
) -> tuple[Float[Tensor, "*batch frames 22 3"], DecoderState]:
    """Joints of the next rows after `state` (None: the beginning), and the state after them. A pure function."""
    if features.ndim < 2 or features.shape[-1] != FEATURE_DIM:
        raise EgoReactError(
            f"have shape {tuple(features.shape)}", where="features", remedy=f"give (..., frames, {FEATURE_DIM})"
        )
    if state is None:
        state = DecoderState.initial(tuple(features.shape[:-2]), features.device)
    # Sums run in double precision: a stream in single precision would drift from the whole clip.
    yaw_velocity = features[..., 0].double()
    next_half_yaw = state.half_yaw[..., None] + yaw_velocity.cumsum(-1)
    half_yaw = next_half_yaw - yaw_velocity
    velocity_x, velocity_z = features[..., ROOT_VELOCITY].double().unbind(-1)
    sin, cos = torch.sin(2 * next_half_yaw), torch.cos(2 * next_half_yaw)
    step_xz_m = torch.stack([cos * velocity_x - sin * velocity_z, sin * velocity_x + cos * velocity_z], dim=-1)
    next_root_xz_m = state.root_xz_m[..., None, :] + step_xz_m.cumsum(-2)
    root_xz_m = (next_root_xz_m - step_xz_m).to(features.dtype)

    local_m = features[..., POSITIONS].unflatten(-1, (NUM_JOINTS - 1, 3))
    root_m = functional.pad(features[..., ROOT_HEIGHT], (1, 1))[..., None, :]
    joints_m = _turn(-half_yaw.to(features.dtype)[..., None], torch.cat([root_m, local_m], dim=-2))
    joints_m = joints_m + torch.stack(
        [root_xz_m[..., 0], torch.zeros_like(root_xz_m[..., 0]), root_xz_m[..., 1]], dim=-1
    ).unsqueeze(-2)
    if features.shape[-2] == 0:
        return joints_m, state
    return joints_m, DecoderState(_wrap_half_turn(next_half_yaw[..., -1]), next_root_xz_m[..., -1, :])


class StreamingDecoder:
    """Decodes piece by piece, in O(1) memory for ever, what `decode` makes of the whole."""

    def __init__(self) -> None:
        self.state: DecoderState | None = None

    def step(self, features: Float[Tensor, "*batch n 263"]) -> Float[Tensor, "*batch n 22 3"]:
        """World joints of the next n rows."""
        joints_m, self.state = decode_from(features, self.state)
        return joints_m


def retarget(joints_m: Float[Tensor, "*batch frames 22 3"]) -> Float[Tensor, "*batch frames 22 3"]:
    """The same motion of the reference body: every bone keeps its direction and takes the reference length.

    The root's path is scaled by the ratio of leg lengths (means over the frames). Inverse kinematics along the chains
    followed by forward kinematics with the reference offsets comes to exactly this.

    Raises:
        EgoReactError: not finite, misshapen, or a bone without length.
    """
    check_joints(joints_m)
    bones_m = _bones(joints_m)
    lengths_m = bones_m.norm(dim=-1, keepdim=True)
    if bool((lengths_m[..., 1:, :] < 1e-6).any()):
        raise EgoReactError(
            "have a bone of zero length", where="joints", remedy="give 22 distinct joints in SMPL's order"
        )
    reference_m = torch.as_tensor(BONE_LENGTHS_M, dtype=joints_m.dtype, device=joints_m.device)
    legs = [_RIGHT_KNEE, _RIGHT_ANKLE]
    leg_m = lengths_m[..., legs, 0].sum(-1).mean(-1)
    scale = (reference_m[legs].sum() / leg_m)[..., None, None]
    directions = bones_m / lengths_m.clamp_min(1e-6)
    placed = [joints_m[..., PELVIS, :] * scale]
    for joint in range(1, NUM_JOINTS):
        placed.append(placed[PARENTS[joint]] + directions[..., joint, :] * reference_m[joint])
    return torch.stack(placed, dim=-2)


def canonicalise(joints_m: Float[Tensor, "*batch frames 22 3"]) -> Float[Tensor, "*batch frames 22 3"]:
    """Lowest joint of the clip at height 0, first root over the origin, first pose facing +z."""
    floor_m = joints_m[..., 1].amin(dim=(-1, -2))
    root_m = joints_m[..., 0, PELVIS, :]
    origin_m = torch.stack([root_m[..., 0], floor_m, root_m[..., 2]], dim=-1)
    first = joints_m[..., 0, :, :]
    across = (first[..., RIGHT_HIP, :] - first[..., LEFT_HIP, :]) + (
        first[..., RIGHT_SHOULDER, :] - first[..., LEFT_SHOULDER, :]
    )
    half_yaw = _half_yaw_to_z(_forward_of(across))
    return _turn(half_yaw[..., None, None], joints_m - origin_m[..., None, None, :])


def head_velocity(joints_m: Float[Tensor, "*batch frames 22 3"]) -> Float[Tensor, "*batch frames 3"]:
    """World displacement of the head joint since the frame before, metres a frame; the first is zero."""
    head_m = joints_m[..., HEAD, :]
    return torch.cat([torch.zeros_like(head_m[..., :1, :]), head_m[..., 1:, :] - head_m[..., :-1, :]], dim=-2)


_GROUPS: tuple[tuple[slice, float], ...] = (
    (YAW_VELOCITY, 0.002),
    (ROOT_VELOCITY, 0.002),
    (ROOT_HEIGHT, 0.01),
    (POSITIONS, 0.01),
    (ROTATIONS, 0.01),
    (VELOCITIES, 0.002),
    (CONTACTS, 0.05),
)
"""Features that share one standard deviation, and the least it may be, in the features' own units."""


@dataclass(frozen=True)
class Normaliser:
    """Statistics that bring features to zero mean and about unit variance. They belong in the model's bundle."""

    mean: Float[Tensor, "263"]
    std: Float[Tensor, "263"]

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value.shape != (FEATURE_DIM,) or not bool(torch.isfinite(value).all()):
                raise EgoReactError("is not 263 finite numbers", where=f"normaliser {name}", remedy="compute it again")
        if bool((self.std <= 0).any()):
            raise EgoReactError("is not positive", where="normaliser std", remedy="compute it again")

    @staticmethod
    def from_features(features: Sequence[Float[Tensor, "frames 263"]]) -> "Normaliser":
        """Mean of each feature, standard deviation of each group of like features, over all rows of all clips.

        Raises:
            EgoReactError: no rows, or a value that is not finite.
        """
        if sum(len(rows) for rows in features) == 0:
            raise EgoReactError("there are no rows", where="normaliser", remedy="give at least one clip of two frames")
        rows = torch.cat([clip.double().cpu() for clip in features])
        deviations = rows.std(0, correction=0)
        std = torch.empty_like(deviations)
        for group, floor in _GROUPS:
            std[group] = deviations[group].mean().clamp_min(floor)
        return Normaliser(mean=rows.mean(0).float(), std=std.float())

    def normalise(self, features: Float[Tensor, "*batch 263"]) -> Float[Tensor, "*batch 263"]:
        return (features - self.mean.to(features)) / self.std.to(features)

    def denormalise(self, normalised: Float[Tensor, "*batch 263"]) -> Float[Tensor, "*batch 263"]:
        return normalised * self.std.to(normalised) + self.mean.to(normalised)

    def tensors(self) -> dict[str, Tensor]:
        """For safetensors; `Normaliser(**tensors)` is the way back."""
        return {"mean": self.mean, "std": self.std}


def check_joints(joints_m: Tensor, *, min_frames: int = 1, where: str = "joints") -> None:
    """Raises EgoReactError where joints are not (..., frames >= min_frames, 22, 3) finite floating-point numbers."""
    if joints_m.ndim < 3 or tuple(joints_m.shape[-2:]) != (NUM_JOINTS, 3):
        raise EgoReactError(f"have shape {tuple(joints_m.shape)}", where=where, remedy="give (..., frames, 22, 3)")
    if not joints_m.is_floating_point():
        raise EgoReactError(f"are {joints_m.dtype}", where=where, remedy="give float32 or float64 metres")
    if joints_m.shape[-3] < min_frames:
        raise EgoReactError(
            f"have {joints_m.shape[-3]} frames", where=where, remedy=f"give at least {min_frames} frames at 20 fps"
        )
    finite = torch.isfinite(joints_m)
    if not bool(finite.all()):
        *_, frame, joint, _ = (int(index) for index in (~finite).nonzero()[0])
        raise EgoReactError(
            f"are not finite (frame {frame}, joint {joint})", where=where, remedy="repair or drop the clip"
        )


def _bones(joints_m: Tensor) -> Tensor:
    """(…, 22, 3) from parent to joint; zeros for the root."""
    return functional.pad(joints_m[..., 1:, :] - joints_m[..., list(PARENTS[1:]), :], (0, 0, 1, 0))


def _turn(half_yaw: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (…, 3) turned about y by twice the half angle."""
    sin, cos = torch.sin(2 * half_yaw), torch.cos(2 * half_yaw)
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def _forward_of(across: Tensor) -> Tensor:
    """(…, 2) the x, z of ŷ × norm(across)."""
    unit = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    return torch.stack([unit[..., 2], -unit[..., 0]], dim=-1)


def _half_yaw_to_z(forward_xz: Tensor) -> Tensor:
    """Half the turn about y that brings a direction to +z; 0 where there is none."""
    return -0.5 * torch.atan2(forward_xz[..., 0], forward_xz[..., 1])


def _wrap_half_turn(half_yaw: Tensor) -> Tensor:
    """The same rotation with its half angle within ±π/2."""
    return half_yaw - torch.pi * torch.round(half_yaw / torch.pi)


def _heading_half_yaw(joints_m: Tensor) -> Tensor:
    """(…, T) half the turn from each frame's smoothed heading to +z; zero in frame 0, whatever the heading there."""
    # The hips' sign is opposite to that in `canonicalise`: the slip of the released data.
    across = (joints_m[..., LEFT_HIP, :] - joints_m[..., RIGHT_HIP, :]) + (
        joints_m[..., RIGHT_SHOULDER, :] - joints_m[..., LEFT_SHOULDER, :]
    )
    half_yaw = _half_yaw_to_z(_smooth(_forward_of(across)))
    return torch.cat([torch.zeros_like(half_yaw[..., :1]), half_yaw[..., 1:]], dim=-1)


def _smooth(signal: Tensor) -> Tensor:
    """Gaussian along time, (…, T, C), cut at four sigma, edges replicated: scipy's `gaussian_filter1d(mode="nearest")`."""
    radius = 4 * HEADING_SIGMA_FRAMES
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / HEADING_SIGMA_FRAMES) ** 2)
    kernel = (kernel / kernel.sum()).to(signal)
    *batch, frames, channels = signal.shape
    rows = signal.movedim(-1, -2).reshape(-1, 1, frames)
    smooth = functional.conv1d(functional.pad(rows, (radius, radius), mode="replicate"), kernel[None, None])
    return smooth.reshape(*batch, channels, frames).movedim(-2, -1)


def _chain_rotations(joints_m: Tensor, half_yaw: Tensor) -> Tensor:
    """(…, 21, 3, 3) swing-only rotations of joints 1…21 along the chains, each chain starting from the heading turn."""
    rest = torch.as_tensor(REST_DIRECTIONS, dtype=joints_m.dtype, device=joints_m.device)
    bones_m = _bones(joints_m)[..., 1:, :]
    directions = bones_m / bones_m.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    world = shortest_rotation(rest[1:].expand_as(directions), directions)
    zero = torch.zeros_like(half_yaw)
    heading = torch.stack([zero, torch.sin(half_yaw), zero, torch.cos(half_yaw)], dim=-1)
    before = [heading] * (NUM_JOINTS - 1)
    for chain in CHAINS:
        for parent, joint in pairwise(chain[1:]):
            before[joint - 1] = world[..., parent - 1, :]
    local = roma.quat_product(roma.quat_conjugation(torch.stack(before, dim=-2)), world)
    return roma.unitquat_to_rotmat(local)
