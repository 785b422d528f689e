"""Motion as GLB (glTF 2.0, binary): the mannequin, skinned, with one animation. Metres, y up, facing +z, as glTF has it.

The skeleton is the one that BVH gets: 22 joints under SMPL's names, a T pose where nothing turns, bones of their mean
lengths. The skin is bound to the mannequin's own joints, so where a motion's bones are longer it stretches at the joints.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
import roma
import trimesh
from jaxtyping import Float, Float32, Float64, UInt8

from egoreact.files import whole_file
from egoreact.motion import kinematics, mannequin
from egoreact.motion.export import checked_joints
from egoreact.motion.skeleton import FPS, JOINTS, NUM_JOINTS, PARENTS, PELVIS

_COLOURS = {
    "skin": (0.60, 0.36, 0.25),
    "hair": (0.05, 0.03, 0.02),
    "shirt": (0.80, 0.16, 0.07),
    "trousers": (0.06, 0.09, 0.16),
    "shoes": (0.04, 0.04, 0.045),
}
"""Of `mannequin.PARTS`; linear RGB, as glTF's factors are."""
_INFLUENCES = 4
"""Joints that may pull at one vertex: what every reader of glTF supports."""


def write_glb(
    path: Path,
    joints_m: Float[np.ndarray, "frames 22 3"],
    *,
    fps: int = FPS,
    extras: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the moving mannequin; the same bytes for the same motion.

    Nodes: `body` (the skin) and `pelvis` with the other joints below it. One animation, `reaction`, has a key a frame:
    turns of all joints and the way of the pelvis. Limb twists are the shortest ones: joints leave them open.

    Args:
        path: the .glb.
        joints_m: world positions, y up.
        fps: keys a second.
        extras: JSON-able, kept in the file's `asset.extras` beside `fps` and `frames`, for example the bundle's digest.

    Raises:
        EgoReactError: misshapen or not finite joints.
    """
    joints = checked_joints(joints_m)
    offsets_m = kinematics.fit_skeleton(joints)
    local = kinematics.local_rotations(kinematics.joint_rotations(joints, offsets_m))
    turns = _continuous(roma.rotmat_to_unitquat(local).numpy())
    file = _File()
    file.document.asset = gltf.Asset(
        version="2.0", generator="EgoReAct", extras={"fps": fps, "frames": len(joints), **(extras or {})}
    )
    _add_joints(file, offsets_m.numpy(), joints[0, PELVIS].numpy())
    _add_body(file)
    _add_animation(file, joints[:, PELVIS].numpy(), turns, fps)
    with whole_file(Path(path)) as beside:
        beside.write_bytes(file.content())
    return Path(path)


class _File:
    """A document and the one buffer that all its numbers lie in."""

    def __init__(self) -> None:
        self.document = gltf.GLTF2(scene=0, scenes=[gltf.Scene(name="reaction", nodes=[])])
        self.blob = bytearray()

    def accessor(self, values: np.ndarray, kind: str, *, target: int | None = None, **more: Any) -> int:
        """Appends an array, (count, …); gives the index of its accessor."""
        components = {"u1": gltf.UNSIGNED_BYTE, "u2": gltf.UNSIGNED_SHORT, "f4": gltf.FLOAT}
        content = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        self.document.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=content.nbytes, target=target)
        )
        self.blob += content.tobytes() + bytes(-content.nbytes % 4)
        self.document.accessors.append(
            gltf.Accessor(
                bufferView=len(self.document.bufferViews) - 1,
                componentType=components[content.dtype.str[1:]],
                count=len(content),
                type=kind,
                **more,
            )
        )
        return len(self.document.accessors) - 1

    def content(self) -> bytes:
        self.document.buffers = [gltf.Buffer(byteLength=len(self.blob))]
        self.document.set_binary_blob(bytes(self.blob))
        return b"".join(self.document.save_to_bytes())


def _add_joints(file: _File, offsets_m: Float64[np.ndarray, "22 3"], pelvis_m: Float64[np.ndarray, "3"]) -> None:
    """Nodes 0 … 21, the joints in SMPL's order, as they stand before the animation runs."""
    for joint, name in enumerate(JOINTS):
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        place_m = pelvis_m if joint == PELVIS else offsets_m[joint]
        file.document.nodes.append(
            gltf.Node(name=name, children=children, translation=place_m.tolist(), rotation=[0.0, 0.0, 0.0, 1.0])
        )
    file.document.scenes[0].nodes.append(PELVIS)


def _add_body(file: _File) -> None:
    body = mannequin.build()
    joints, weights = _influences()
    normals = trimesh.Trimesh(body.vertices_m, body.faces, process=False).vertex_normals
    bind = np.tile(np.eye(4, dtype=np.float32), (NUM_JOINTS, 1, 1))
    bind[:, 3, :3] = -body.rest_joints_m[:NUM_JOINTS]  # matrices are stored by columns
    array, indices = gltf.ARRAY_BUFFER, gltf.ELEMENT_ARRAY_BUFFER
    attributes = gltf.Attributes(
        POSITION=file.accessor(
            body.vertices_m, gltf.VEC3, target=array,
            min=body.vertices_m.min(0).tolist(), max=body.vertices_m.max(0).tolist(),
        ),
        NORMAL=file.accessor(np.asarray(normals, np.float32), gltf.VEC3, target=array),
        JOINTS_0=file.accessor(joints, gltf.VEC4, target=array),
        WEIGHTS_0=file.accessor(weights, gltf.VEC4, target=array, normalized=True),
    )  # fmt: skip
    document = file.document
    primitives = []
    for part, name in enumerate(mannequin.PARTS):
        corners = body.faces[body.face_parts == part].reshape(-1).astype(np.uint16)
        paint = gltf.PbrMetallicRoughness(
            baseColorFactor=[*_COLOURS[name], 1.0], metallicFactor=0.0, roughnessFactor=0.8
        )
        document.materials.append(gltf.Material(name=name, pbrMetallicRoughness=paint))
        primitives.append(
            gltf.Primitive(
                attributes=attributes, indices=file.accessor(corners, gltf.SCALAR, target=indices), material=part
            )
        )
    document.meshes.append(gltf.Mesh(name="mannequin", primitives=primitives))
    document.skins.append(
        gltf.Skin(
            name="skeleton",
            joints=list(range(NUM_JOINTS)),
            skeleton=PELVIS,
            inverseBindMatrices=file.accessor(bind.reshape(-1, 16), gltf.MAT4),
        )
    )
    document.nodes.append(gltf.Node(name="body", mesh=0, skin=0))
    document.scenes[0].nodes.append(len(document.nodes) - 1)


def _add_animation(
    file: _File, pelvis_m: Float64[np.ndarray, "frames 3"], turns: Float32[np.ndarray, "frames 22 4"], fps: int
) -> None:
    times_s = (np.arange(len(turns)) / fps).astype(np.float32)
    times = file.accessor(times_s, gltf.SCALAR, min=[float(times_s[0])], max=[float(times_s[-1])])
    animation = gltf.Animation(name="reaction", channels=[], samplers=[])

    def animate(joint: int, path: str, values: np.ndarray, kind: str) -> None:
        animation.samplers.append(
            gltf.AnimationSampler(input=times, output=file.accessor(values, kind), interpolation=gltf.ANIM_LINEAR)
        )
        target = gltf.AnimationChannelTarget(node=joint, path=path)
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    animate(PELVIS, "translation", pelvis_m.astype(np.float32), gltf.VEC3)
    for joint in range(NUM_JOINTS):
        animate(joint, "rotation", turns[:, joint], gltf.VEC4)
    file.document.animations.append(animation)


@lru_cache(maxsize=1)
def _influences() -> tuple[UInt8[np.ndarray, "vertices 4"], UInt8[np.ndarray, "vertices 4"]]:
    """Which four joints pull at each vertex, and how much in 255ths; fingers count as wrists, jaw and eyes as the head."""
    weights = mannequin.build().weights.astype(np.float64)
    parents = np.array(mannequin.SMPLX_PARENTS)
    for joint in reversed(range(NUM_JOINTS, len(parents))):
        weights[:, parents[joint]] += weights[:, joint]
    joints = np.argsort(-weights[:, :NUM_JOINTS], axis=1, kind="stable")[:, :_INFLUENCES]
    strongest = np.take_along_axis(weights, joints, axis=1)
    parts = np.rint(255 * strongest / strongest.sum(1, keepdims=True)).astype(int)
    parts[:, 0] += 255 - parts.sum(1)  # they must add up to one exactly
    joints[parts == 0] = 0
    return joints.astype(np.uint8), parts.astype(np.uint8)


def _continuous(turns: Float64[np.ndarray, "frames 22 4"]) -> Float32[np.ndarray, "frames 22 4"]:
    """The same quaternions (x y z w), each on the side of the one before: players interpolate the shorter way."""
    flips = np.sign((turns[1:] * turns[:-1]).sum(-1, keepdims=True))
    signs = np.cumprod(np.where(flips < 0, -1.0, 1.0), axis=0)
    return np.concatenate([turns[:1], turns[1:] * signs]).astype(np.float32)
