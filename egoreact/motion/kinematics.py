"""From joint positions to joint rotations and back, for a skeleton that stands in a T pose when all rotations are zero.

Positions of 22 joints leave the twist of a limb open. Pelvis and chest have three bones each, which fix their rotation;
the spine shares the difference between them; every other joint swings the shortest way from its parent. These are poses one
can skin and animate, not the ones a person was captured in, and the head's own turn is unknown.
"""

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from egoreact.motion.skeleton import NUM_JOINTS, PARENTS, PELVIS, T_POSE_OFFSETS_M

_CHILDREN = {joint: [child for child, parent in enumerate(PARENTS) if parent == joint] for joint in range(NUM_JOINTS)}
_CHEST = 9
_SPINE_SHARES = {3: 1 / 3, 6: 2 / 3}


def shortest_rotation(
    source: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions (x y z w) that turn unit vectors the shortest way; opposite ones about any axis across."""
    cosine = (source * target).sum(-1, keepdim=True)
    quaternion = torch.cat([torch.linalg.cross(source, target), 1 + cosine], dim=-1)
    least = torch.nn.functional.one_hot(source.abs().argmin(-1), 3).to(source)
    across = torch.nn.functional.pad(torch.linalg.cross(source, least), (0, 1))
    quaternion = torch.where(quaternion.norm(dim=-1, keepdim=True) < 1e-6, across, quaternion)
    return roma.quat_normalize(quaternion)


def joint_rotations(
    joints_m: Float[Tensor, "*batch 22 3"],
    rest_offsets_m: Float[Tensor, "22 3"] | None = None,
    head_rotation: Float[Tensor, "*batch 3 3"] | None = None,
) -> Float[Tensor, "*batch 22 3 3"]:
    """World rotations of the joints, each of which carries its bones from rest to where they point.

    Args:
        joints_m: world positions.
        rest_offsets_m: from parent to joint at rest; the reference T pose by default.
        head_rotation: R_world_head where it is known; otherwise the head goes along with the neck.
    """
    rest = torch.as_tensor(T_POSE_OFFSETS_M) if rest_offsets_m is None else rest_offsets_m
    rest = rest.to(joints_m)
    rotations: dict[int, Tensor] = {}
    for joint in (PELVIS, _CHEST):
        children = _CHILDREN[joint]
        bones_m = joints_m[..., children, :] - joints_m[..., joint, None, :]
        rotations[joint] = roma.rigid_vectors_registration(rest[children].expand_as(bones_m).contiguous(), bones_m)
    pelvis, chest = roma.rotmat_to_unitquat(rotations[PELVIS]), roma.rotmat_to_unitquat(rotations[_CHEST])
    for joint in range(1, NUM_JOINTS):
        if joint == _CHEST:
            continue
        before = rotations[PARENTS[joint]]
        if joint in _SPINE_SHARES:
            steps = torch.tensor([_SPINE_SHARES[joint]], dtype=joints_m.dtype, device=joints_m.device)
            before = roma.unitquat_to_rotmat(roma.unitquat_slerp(pelvis, chest, steps, shortest_arc=True)[0])
        children = _CHILDREN[joint]
        if not children:
            rotations[joint] = before
            continue
        bone_m = joints_m[..., children[0], :] - joints_m[..., joint, :]
        carried = torch.nn.functional.normalize((before @ rest[children[0]][:, None])[..., 0], dim=-1)
        swing = shortest_rotation(carried, torch.nn.functional.normalize(bone_m, dim=-1))
        rotations[joint] = roma.unitquat_to_rotmat(swing) @ before
    if head_rotation is not None:
        rotations[15] = head_rotation.to(joints_m)
    return torch.stack([rotations[joint] for joint in range(NUM_JOINTS)], dim=-3)


def local_rotations(rotations: Float[Tensor, "*batch 22 3 3"]) -> Float[Tensor, "*batch 22 3 3"]:
    """Rotations of the joints relative to their parents: what SMPL-X and BVH store."""
    parents = rotations[..., list(PARENTS[1:]), :, :]
    return torch.cat([rotations[..., :1, :, :], parents.transpose(-1, -2) @ rotations[..., 1:, :, :]], dim=-3)


def forward(
    local: Float[Tensor, "*batch 22 3 3"], root_m: Float[Tensor, "*batch 3"], offsets_m: Float[Tensor, "22 3"]
) -> Float[Tensor, "*batch 22 3"]:
    """World positions of a skeleton with these offsets, rotations relative to the parents and place of the root."""
    rotations, placed = [local[..., 0, :, :]], [root_m]
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        placed.append(placed[parent] + (rotations[parent] @ offsets_m[joint][:, None])[..., 0])
        rotations.append(rotations[parent] @ local[..., joint, :, :])
    return torch.stack(placed, dim=-2)


def fit_skeleton(joints_m: Float[Tensor, "frames 22 3"]) -> Float[Tensor, "22 3"]:
    """Rest offsets of the rigid T-pose skeleton that moves most nearly like this motion.

    Bones have their mean length over the frames. How the bones of pelvis and chest stand to each other is the motion's own.
    """
    offsets = torch.as_tensor(T_POSE_OFFSETS_M).to(joints_m)
    parents = list(PARENTS[1:])
    bones_m = joints_m[:, 1:] - joints_m[:, parents]
    lengths_m = bones_m.norm(dim=-1).mean(0)
    directions = torch.nn.functional.normalize(offsets[1:], dim=-1)
    offsets = torch.cat([offsets[:1], directions * lengths_m[:, None]])
    for joint in (PELVIS, _CHEST):
        children = _CHILDREN[joint]
        observed_m = joints_m[:, children] - joints_m[:, joint, None]
        for _ in range(10):
            template = offsets[children].expand_as(observed_m).contiguous()
            rotation = roma.rigid_vectors_registration(template, observed_m)
            mean_m = (rotation.transpose(-1, -2)[:, None] @ observed_m[..., None])[..., 0].mean(0)
            offsets[children] = (
                torch.nn.functional.normalize(mean_m, dim=-1) * lengths_m[np.array(children) - 1][:, None]
            )
    return offsets
