"""The GLB as other programs read it: by pygltflib and glTF's own rules, and by three.js where node is there."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation

from egoreact.errors import EgoReactError
from egoreact.motion.gltf import write_glb
from egoreact.motion.mannequin import PARTS, build
from egoreact.motion.skeleton import JOINTS
from tests.motion.conftest import random_motion

THREE = Path(__file__).parents[2] / "serving" / "web" / "node_modules" / "three"
TYPES = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
LOADS = """
import { readFile } from "node:fs/promises";
globalThis.self = globalThis;
const [three, file, names] = process.argv.slice(2);
const THREE = await import(three + "/build/three.module.js");
const { GLTFLoader } = await import(three + "/examples/jsm/loaders/GLTFLoader.js");
const bytes = await readFile(file);
const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength), "");
const [clip] = gltf.animations;
const mixer = new THREE.AnimationMixer(gltf.scene);
mixer.clipAction(clip).play();
const frames = clip.tracks[0].times.length, joints = [];
for (let frame = 0; frame < frames; frame++) {
  mixer.setTime(Math.min(frame / 20, clip.duration - 1e-6));
  gltf.scene.updateMatrixWorld(true);
  joints.push(JSON.parse(names).map((name) => gltf.scene.getObjectByName(name).getWorldPosition(new THREE.Vector3()).toArray()));
}
const box = new THREE.Box3(), materials = [];
gltf.scene.traverse((node) => {
  if (!node.isSkinnedMesh) return;
  materials.push(node.material.name);
  node.computeBoundingBox();
  box.union(node.boundingBox.clone().applyMatrix4(node.matrixWorld));
});
const size = box.getSize(new THREE.Vector3()).toArray();
console.log(JSON.stringify({ animations: gltf.animations.length, name: clip.name, duration: clip.duration, joints, materials, size }));
"""


@pytest.fixture(scope="module")
def motion():
    return random_motion(0, 30).numpy()


@pytest.fixture(scope="module")
def path(motion, tmp_path_factory):
    return write_glb(tmp_path_factory.mktemp("glb") / "motion.glb", motion, extras={"digest": "abcd"})


@pytest.fixture(scope="module")
def document(path):
    return pygltflib.GLTF2.load(path)


def values(document, index: int) -> np.ndarray:
    accessor = document.accessors[index]
    view = document.bufferViews[accessor.bufferView]
    kind, width = TYPES[accessor.componentType], WIDTHS[accessor.type]
    assert view.byteOffset % 4 == 0
    flat = np.frombuffer(document.binary_blob(), kind, accessor.count * width, view.byteOffset)
    return flat.reshape(accessor.count, width)


def world_positions(document, frame: int) -> np.ndarray:
    """(22, 3) of the joints, by the animation's keys and the tree of nodes."""
    (animation,) = document.animations
    keys = {}
    for channel in animation.channels:
        keys[channel.target.node, channel.target.path] = values(document, animation.samplers[channel.sampler].output)[
            frame
        ]
    placed = {}

    def place(node: int, at: np.ndarray, turn: Rotation) -> None:
        here = keys.get((node, "translation"), np.array(document.nodes[node].translation))
        position = at + turn.apply(here)
        placed[document.nodes[node].name] = position
        for child in document.nodes[node].children or []:
            place(child, position, turn * Rotation.from_quat(keys[node, "rotation"]))

    place(JOINTS.index("pelvis"), np.zeros(3), Rotation.identity())
    return np.array([placed[name] for name in JOINTS])


def test_the_joints_are_where_the_motion_has_them(document, motion):
    for frame in (0, 7, 29):
        np.testing.assert_allclose(world_positions(document, frame), motion[frame], atol=2e-5)


def test_one_animation_of_twenty_keys_a_second(document):
    (animation,) = document.animations
    assert animation.name == "reaction"
    assert [channel.target.path for channel in animation.channels].count("rotation") == 22
    (times,) = {sampler.input for sampler in animation.samplers}
    np.testing.assert_allclose(values(document, times)[:, 0], np.arange(30) / 20, atol=1e-6)
    assert document.accessors[times].max == pytest.approx([29 / 20])
    assert document.asset.extras == {"fps": 20, "frames": 30, "digest": "abcd"}


def test_neighbouring_keys_lie_on_the_same_side(document):
    """Else a player that blends two quaternions would spin the limb the long way round."""
    (animation,) = document.animations
    for channel in animation.channels:
        if channel.target.path == "rotation":
            turns = values(document, animation.samplers[channel.sampler].output)
            np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-6)
            assert ((turns[1:] * turns[:-1]).sum(1) > 0).all()


def test_the_skin_is_the_mannequin_and_follows_the_rules_of_gltf(document):
    body = build()
    (mesh,), (skin,) = document.meshes, document.skins
    assert [document.materials[primitive.material].name for primitive in mesh.primitives] == list(PARTS)
    faces = sum(document.accessors[primitive.indices].count for primitive in mesh.primitives) // 3
    assert faces == len(body.faces)
    attributes = mesh.primitives[0].attributes
    np.testing.assert_array_equal(values(document, attributes.POSITION), body.vertices_m)
    np.testing.assert_allclose(np.linalg.norm(values(document, attributes.NORMAL), axis=1), 1, atol=1e-3)
    weights, joints = values(document, attributes.WEIGHTS_0), values(document, attributes.JOINTS_0)
    assert (weights.sum(1) == 255).all()
    assert joints.max() < 22
    assert (joints[weights == 0] == 0).all()
    assert [document.nodes[node].name for node in skin.joints] == list(JOINTS)
    bind = values(document, skin.inverseBindMatrices).reshape(22, 4, 4)
    np.testing.assert_allclose(bind[:, 3, :3], -body.rest_joints_m[:22])


def test_the_same_motion_gives_the_same_bytes(path, motion, tmp_path):
    again = write_glb(tmp_path / "again.glb", motion, extras={"digest": "abcd"})
    assert again.read_bytes() == path.read_bytes()


def test_one_frame_is_a_motion(tmp_path, motion):
    document = pygltflib.GLTF2.load(write_glb(tmp_path / "one.glb", motion[:1]))
    np.testing.assert_allclose(world_positions(document, 0), motion[0], atol=2e-5)


@pytest.mark.parametrize("bad", [np.zeros((0, 22, 3)), np.zeros((4, 21, 3)), np.full((4, 22, 3), np.nan)])
def test_what_is_no_motion_leaves_no_file(tmp_path, bad):
    with pytest.raises(EgoReactError):
        write_glb(tmp_path / "bad.glb", bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not (THREE.is_dir() and shutil.which("node")), reason="node or three.js is absent: see `make web`")
def test_three_js_plays_it(path, motion, tmp_path):
    script = tmp_path / "load.mjs"
    script.write_text(LOADS)
    command = ["node", str(script), str(THREE), str(path), json.dumps(JOINTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert (played["animations"], played["name"]) == (1, "reaction")
    assert played["duration"] == pytest.approx(29 / 20)
    assert played["materials"] == list(PARTS)
    np.testing.assert_allclose(played["joints"], motion, atol=1e-4)
    assert 1.0 < max(played["size"]) < 2.5
