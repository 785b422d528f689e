"""What the page downloads is what it was sent: BVH by the project's own reader, GLB by glTF's rules."""

import numpy as np
import pygltflib
import pytest
import roma
import torch
from page_driver import choose_file, download, until, until_frames, until_status
from running import make_video

from egoreact.hrd.importers.bvh import read_bvh
from egoreact.motion.export import write_bvh
from egoreact.motion.skeleton import FPS, JOINTS, PARENTS

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture
def streamed(visit, service, tmp_path):
    """A page that has streamed a whole file, and the motion that came: (frames, 22, 3) metres."""
    page = visit(service.url)
    page.uncheck("#repeat")
    choose_file(page, tmp_path / "A walk (2).mp4", make_video(61, 96))
    assert page.locator("#bvh").is_disabled() and page.locator("#glb").is_disabled()
    page.click("#start")
    until_frames(page, 8)
    until_status(page, "idle")
    return page, np.array(page.evaluate("window.egoreact.motion"), np.float32).reshape(-1, len(JOINTS), 3)


def test_bvh(streamed, tmp_path):
    page, joints_m = streamed
    path = download(page, "#bvh", tmp_path)
    assert path.name == f"egoreact-a-walk-2--{page.evaluate('window.egoreact.digest')[:10]}.bvh"
    motion = read_bvh(path)
    assert motion.frame_time_s == pytest.approx(1 / FPS)
    assert [name for name in motion.names if not name.endswith("/end")] == _depth_first()
    ours, _ = motion.forward()
    theirs, _ = read_bvh(write_bvh(tmp_path / "theirs.bvh", joints_m)).forward()
    np.testing.assert_allclose(ours, theirs, atol=0.02)  # cm
    pelvis = motion.names.index("pelvis")
    np.testing.assert_allclose(ours[:, pelvis] / 100, joints_m[:, 0], atol=1e-6)


def test_glb(streamed, tmp_path):
    page, joints_m = streamed
    path = download(page, "#glb", tmp_path)
    model = pygltflib.GLTF2().load(str(path))
    [skin], [animation] = model.skins, model.animations
    nodes = [model.nodes[index].name for index in skin.joints]
    assert sorted(nodes) == sorted(JOINTS)
    assert model.scenes[0].extras["digest"] == page.evaluate("window.egoreact.digest")
    theirs, _ = read_bvh(write_bvh(tmp_path / "theirs.bvh", joints_m)).forward()
    names = read_bvh(tmp_path / "theirs.bvh").names
    ours = _positions(model, animation)
    for joint, name in enumerate(JOINTS):
        np.testing.assert_allclose(ours[:, joint], theirs[:, names.index(name)] / 100, atol=1e-3, err_msg=name)
    [mesh] = [node for node in model.nodes if node.mesh is not None]
    assert mesh.skin == 0
    weights = _values(model, model.meshes[mesh.mesh].primitives[0].attributes.WEIGHTS_0)
    np.testing.assert_allclose(weights.sum(-1), 1)


def test_a_repeat_keeps_the_whole_take(visit, service):
    page = visit(service.url)
    page.click("#start")
    until_status(page, "live")
    until_status(page, "idle")
    whole = page.evaluate("window.egoreact.motion.length")
    until_status(page, "live")  # it repeats by itself
    until(page, "window.egoreact.frames > 0 && window.egoreact.frames < 12")
    assert page.evaluate("window.egoreact.motion.length") == whole


def _depth_first(joint: int = 0) -> list[str]:
    children = [child for child, parent in enumerate(PARENTS) if parent == joint]
    return [JOINTS[joint], *(name for child in children for name in _depth_first(child))]


def _values(model, index: int) -> np.ndarray:
    accessor = model.accessors[index]
    view = model.bufferViews[accessor.bufferView]
    kind, width = COMPONENTS[accessor.componentType], WIDTHS[accessor.type]
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    values = np.frombuffer(model.binary_blob(), kind, accessor.count * width, start)
    return values.reshape(accessor.count, width)


def _positions(model, animation) -> np.ndarray:
    """(frames, 22, 3) metres: the animation played through the tree of nodes."""
    tracks = {}
    for channel in animation.channels:
        name = model.nodes[channel.target.node].name
        times_s = _values(model, animation.samplers[channel.sampler].input)[:, 0]
        np.testing.assert_allclose(np.diff(times_s), 1 / FPS, atol=1e-5)
        tracks[name, channel.target.path] = _values(model, animation.samplers[channel.sampler].output)
    nodes = {node.name: node for node in model.nodes}
    placed: list[np.ndarray] = []
    turned: list[np.ndarray] = []
    for name, parent in zip(JOINTS, PARENTS, strict=True):
        turn = roma.unitquat_to_rotmat(torch.tensor(tracks[name, "rotation"].astype(np.float64))).numpy()
        if parent < 0:
            placed.append(tracks[name, "translation"].astype(np.float64))
            turned.append(turn)
        else:
            placed.append(placed[parent] + turned[parent] @ np.array(nodes[name].translation))
            turned.append(turned[parent] @ turn)
    return np.stack(placed, axis=1)
