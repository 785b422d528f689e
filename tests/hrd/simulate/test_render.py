"""The renderer against geometry that can be solved by hand, and against rays cast at the same triangles."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import OWN_BODY, PERSON
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.figures.skin import shortest_turn, skin_of
from egoreact.hrd.simulate.figures.tailor import tailored
from egoreact.hrd.simulate.picture.lens import Camera
from egoreact.hrd.simulate.picture.raster.scan import NEAR_M
from egoreact.hrd.simulate.picture.render import pixel_rays, render
from egoreact.hrd.simulate.scenery import paints
from egoreact.hrd.simulate.scenery.place import Light, Panel, Place, cut_out
from egoreact.hrd.simulate.scenery.places import PlaceKind, make_place
from egoreact.hrd.simulate.simulate import stage
from egoreact.hrd.simulate.solids import Solid, box, ellipsoid, extrude, f32, lathe, limb, poses
from egoreact.motion.camera import camera_from_head, intrinsics

SIZE = 48
K = intrinsics(SIZE, 80.0)
GREY = (0.4, 0.4, 0.4)
HIGH = np.array([0.0, 1.5, 0.0])


def floor_alone(strength: float = 0.6, towards: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Place:
    rng = np.random.default_rng(0)
    ground = Panel(
        np.array([-20.0, 0.0, -20.0]),
        np.array([0.0, 0, 40]),
        np.array([40.0, 0, 0]),
        paints.plain(GREY, rng, mottled=0.0),
    )
    light = Light(np.array(towards), is_lamp=False, strength=strength, ambient=0.5)
    return Place((ground,), light, sky=((0.8, 0.9, 1.0), (0.2, 0.4, 0.8)))


def checked() -> Place:
    """A floor of black and white squares."""
    rng = np.random.default_rng(0)
    checks = paints.tiles((0.05, 0.05, 0.05), (0.7, 0.7, 0.7), rng, size_m=0.3, gap=1.0)
    ground = Panel(np.array([-10.0, 0, -10]), np.array([0.0, 0, 20]), np.array([20.0, 0, 0]), checks, 0.03)
    return Place((ground,), Light(np.array([0.0, 1, 0]), False, 0.6, 0.5), ((0.8, 0.9, 1), (0.2, 0.4, 0.8)))


def cameras(heights_m: list[float], pitch: float = 0.3) -> np.ndarray:
    heads = np.array([[0.1 * k, height, 0.0] for k, height in enumerate(heights_m)])
    return camera_from_head(heads, rotation(np.full(len(heads), 0.2), pitch))


def sphere_depth(centre: np.ndarray, radius: float, T: np.ndarray) -> np.ndarray:
    """(pixels,) depth along the axis by the quadratic formula; inf where it is missed."""
    rays = pixel_rays(SIZE, K).astype(np.float64)
    away = T[:3, :3].T @ (centre - T[:3, 3])
    a, b, c = np.sum(rays**2, axis=1), rays @ away, away @ away - radius**2
    root = b**2 - a * c
    return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def test_depth_of_a_floor_is_that_of_a_plane() -> None:
    T = cameras([1.6, 1.2, 0.7])
    images = render(floor_alone(), [], T, K, SIZE)
    for frame in range(3):
        down = (pixel_rays(SIZE, K) @ T[frame, :3, :3].T)[:, 1]
        expected = np.where(down < 0, -T[frame, 1, 3] / np.minimum(down, -1e-9), 0.0)
        point = T[frame, :3, 3] + expected[:, None] * (pixel_rays(SIZE, K) @ T[frame, :3, :3].T)
        on_floor = (down < 0) & (np.abs(point[:, ::2]) < 19.9).all(axis=1)
        depth = images.depth_m[frame].ravel()
        assert on_floor.sum() > 500
        np.testing.assert_allclose(depth[on_floor], expected[on_floor], rtol=2e-4)
        assert (depth[down >= 0] == 0).all()
        assert not images.segmentation[frame].any()


def test_depth_of_a_ball_is_that_of_a_sphere_and_occludes_the_floor() -> None:
    T = cameras([1.6, 1.6])
    centre, radius = np.array([[0.3, 1.2, 3.0], [0.5, 1.0, 2.0]]), 0.35
    mesh = ellipsoid((radius,) * 3, GREY, rings=61, sections=120)
    images = render(floor_alone(), [Solid(mesh, poses(centre, rotation(0.4)), 1)], T, K, SIZE)
    for frame in range(2):
        expected = sphere_depth(centre[frame], radius, T[frame])
        hit = images.segmentation[frame].ravel() == 1
        assert hit.sum() > 25
        assert np.mean(hit == np.isfinite(expected)) > 0.99
        both = hit & np.isfinite(expected)
        np.testing.assert_allclose(images.depth_m[frame].ravel()[both], expected[both], atol=0.02)
        assert np.median(np.abs(images.depth_m[frame].ravel()[both] - expected[both])) < 0.002


@pytest.mark.parametrize("seed", range(4))
def test_a_solid_is_cast_for_every_pixel_it_covers(seed: int) -> None:
    """Also beside, behind and around the camera: as if all rays of all frames were cast."""
    rng = np.random.default_rng(seed)
    T = camera_from_head(rng.uniform(-0.5, 0.5, (12, 3)) + HIGH, rotation(*rng.uniform(-1, 1, (3, 12))))
    mesh = limb(0.9, 0.25, 0.1, GREY)
    where = poses(
        T[:, :3, 3] + rng.uniform(-0.5, 0.5, (12, 3)) + 0.4 * T[:, :3, 2], rotation(*rng.uniform(-3, 3, (3, 12)))
    )
    images = render(floor_alone(), [Solid(mesh, where, 4)], T, K, SIZE)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices_m, mesh.faces)
    rays = pixel_rays(SIZE, K)
    covered = 0
    for frame in range(12):
        T_solid_camera = (np.linalg.inv(where[frame].astype(np.float64)) @ T[frame]).astype(np.float32)
        directions = np.ascontiguousarray(rays @ T_solid_camera[:3, :3].T)
        hit = scene.run(np.tile(T_solid_camera[:3, 3], (len(rays), 1)), directions, output=1)
        floor = floor_depth(T[frame])
        shown = (hit["primID"] >= 0) & (hit["tfar"] >= NEAR_M) & (hit["tfar"] < floor - 1e-4)
        hidden = (hit["primID"] < 0) | (hit["tfar"] > floor + 1e-4)
        segment = images.segmentation[frame].ravel()
        assert (segment[shown] == 4).all() and (segment[hidden] == 0).all()
        np.testing.assert_allclose(images.depth_m[frame].ravel()[shown], hit["tfar"][shown], rtol=1e-4)
        covered += shown.sum()
    assert covered > 300


def floor_depth(T: np.ndarray) -> np.ndarray:
    down = (pixel_rays(SIZE, K) @ T[:3, :3].T)[:, 1]
    depth = np.where(down < 0, -T[1, 3] / np.minimum(down, -1e-9), np.inf)
    point = T[:3, 3] + np.where(np.isfinite(depth), depth, 0)[:, None] * (pixel_rays(SIZE, K) @ T[:3, :3].T)
    return np.where((np.abs(point[:, ::2]) < 20).all(axis=1), depth, np.inf)


def test_a_ball_overhead_casts_its_shadow_on_the_floor_below() -> None:
    T = cameras([1.6], pitch=0.5)
    ball = Solid(ellipsoid((0.3,) * 3, GREY), poses(np.array([[0.4, 2.6, 1.8]]), np.eye(3)), 1)
    lit = render(floor_alone(), [], T, K, SIZE).rgb[0].astype(int)
    shaded = render(floor_alone(), [ball], T, K, SIZE)
    darker = (lit - shaded.rgb[0]).sum(axis=-1) > 60
    dark = darker & (shaded.segmentation[0] == 0)
    assert dark.sum() > 10
    depth = floor_depth(T[0]).reshape(SIZE, SIZE)[dark]
    points = T[0, :3, 3] + depth[:, None] * (pixel_rays(SIZE, K) @ T[0, :3, :3].T).reshape(SIZE, SIZE, 3)[dark]
    away = np.linalg.norm(points[:, ::2] - [0.4, 1.8], axis=1)
    assert away.max() < 0.5 and away.mean() < 0.35


def test_an_unseen_solid_casts_a_shadow_and_hides_nothing() -> None:
    T = cameras([1.6], pitch=0.6)
    mesh = ellipsoid((0.3,) * 3, GREY)
    place = poses(np.array([[0.2, 1.2, 1.0]]), np.eye(3))
    images = render(floor_alone(), [Solid(mesh, place, 7, seen=False)], T, K, SIZE)
    plain = render(floor_alone(), [], T, K, SIZE)
    assert not images.segmentation.any() and (images.depth_m == plain.depth_m).all()
    assert (images.rgb.astype(int) < plain.rgb.astype(int) - 20).any()


def test_furniture_shades_the_floor_once_and_for_all() -> None:
    """A roof over half the floor, painted into its picture."""
    place = floor_alone()
    roof = Panel(
        np.array([0.0, 3.0, -20.0]), np.array([20.0, 0, 0]), np.array([0.0, 0, 40]), place.panels[0].paint, texel_m=0.5
    )
    T = camera_from_head(np.array([[0.0, 1.6, 0.0]]), rotation(np.zeros(1), 0.7))
    rgb = render(Place((*place.panels, roof), place.light, place.sky), [], T, K, SIZE).rgb[0]
    row = rgb[SIZE - 8].mean(axis=-1)  # +x is left
    assert row[:15].mean() < 0.8 * row[-15:].mean()


def test_edges_are_smoothed_in_colour_alone() -> None:
    """Between a white box and a black floor there are greys, though every pixel belongs to one of them."""
    T = cameras([1.6])
    solid = Solid(
        box((0.5, 0.5, 0.5), (0.9, 0.9, 0.9)), poses(np.array([[0.3, 1.1, 2.0]]), rotation(0.5)), 2, grain=(0.0, 1.0)
    )
    black = replace(floor_alone().panels[0], paint=paints.plain((0.0, 0.0, 0.0), np.random.default_rng(0)))
    place = replace(floor_alone(strength=0.0), panels=(black,), sky=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    images = render(place, [solid], T, K, SIZE)
    inside = images.segmentation[0] == 2
    beside = ~inside & cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    grey = images.rgb[0].mean(axis=-1)
    assert not grey[~inside & ~beside].any() and grey[beside].mean() > 10
    assert grey[inside].min() < 0.9 * np.median(grey[inside])
    assert set(np.unique(images.segmentation)) == {0, 2}


@pytest.mark.parametrize("kind", ["room", "street", "road"])
def test_all_of_a_place_and_a_body_is_where_rays_meet_it(kind: PlaceKind) -> None:
    """Every pixel of a whole scene, a bending body among it, against Embree's rays at the same triangles."""
    staged = stage(SimulatorConfig(frames=9, image_size_px=SIZE), "passer_by", 4)
    place = make_place(kind, np.random.default_rng(2), 9)
    seen = [solid for solid in staged.arrival.solids if solid.seen]
    images = render(place, staged.arrival.solids, staged.T_world_camera, staged.K, SIZE)
    rays = pixel_rays(SIZE, staged.K)
    for frame in (0, 8):
        T = staged.T_world_camera[frame].astype(np.float32)
        eye, directions = np.tile(T[:3, 3], (len(rays), 1)), np.ascontiguousarray(rays @ T[:3, :3].T)
        everything = [(place.scene, 0)]
        for solid in seen:
            vertices = solid.mesh.vertices_m if solid.skin_m is None else solid.skin_m[frame]
            R, t = solid.T_world_solid[frame, :3, :3], solid.T_world_solid[frame, :3, 3]
            scene = EmbreeScene()
            TriangleMesh(scene, np.ascontiguousarray(vertices @ R.T + t, dtype=np.float32), solid.mesh.faces)
            everything.append((scene, solid.segment))
        depths = np.stack([scene.run(eye, directions, query="DISTANCE") for scene, _ in everything])
        nearest = depths.min(axis=0)
        expected = np.array([segment for _, segment in everything])[depths.argmin(axis=0)]
        depth, segment = images.depth_m[frame].ravel(), images.segmentation[frame].ravel()
        met = nearest < 1e4
        assert np.mean((depth > 0) == met) > 0.999
        wrong = met & (np.abs(depth - nearest) > 1e-3 * np.maximum(nearest, 1.0))
        assert wrong.mean() < 2e-3  # rays along an edge may pass on either side
        assert np.mean(segment[met & ~wrong] == expected[met & ~wrong]) > 0.999
        assert PERSON in segment


def test_a_camera_with_faults_leaves_depth_and_classes_alone() -> None:
    T = cameras([1.6, 1.6, 1.6])
    T[1:, 0, 3] += 0.4
    solid = Solid(box((0.5, 0.5, 0.5), (0.8, 0.1, 0.1)), poses(np.array([[0.3, 1.1, 2.0]] * 3), np.eye(3)), 2)
    plain = render(checked(), [solid], T, K, SIZE)
    camera = Camera(shutter_s=1 / 60, exposure_stops=0.3, exposure_lag_s=0.3, warmth=0.05, vignette=0.3, noise=1.0)
    images = render(checked(), [solid], T, K, SIZE, camera=camera)
    assert (images.depth_m == plain.depth_m).all() and (images.segmentation == plain.segmentation).all()
    assert np.abs(images.rgb.astype(int) - plain.rgb).mean() > 3


def test_motion_blurs_along_its_way_and_stillness_does_not() -> None:
    """A camera that moves to the side smears the floor's checks across, not down."""
    still, moving = np.tile(cameras([1.6]), (2, 1, 1)), np.tile(cameras([1.6]), (2, 1, 1))
    moving[1, :3, 3] += 1.0 * moving[0, :3, 0]
    shutter = Camera(shutter_s=1 / 60)
    sharp = render(checked(), [], still, K, SIZE).rgb[0].astype(float)
    assert (render(checked(), [], still, K, SIZE, camera=shutter).rgb[0] == sharp).all()
    blurred = render(checked(), [], moving, K, SIZE, camera=shutter).rgb[0].astype(float)
    low = slice(SIZE // 2, None)
    across, down = (np.abs(np.diff(image[low], axis=axis)).mean() for axis in (1, 0) for image in [blurred])
    was_across, was_down = (np.abs(np.diff(image[low], axis=axis)).mean() for axis in (1, 0) for image in [sharp])
    assert across < 0.75 * was_across
    assert across / was_across < 0.9 * down / was_down


def test_a_fast_ball_is_blurred_beyond_its_outline() -> None:
    T = np.tile(cameras([1.6]), (2, 1, 1))
    path = np.array([[0.0, 1.3, 2.0], [0.9, 1.3, 2.0]])
    ball = Solid(ellipsoid((0.12,) * 3, (0.9, 0.02, 0.02)), poses(path, np.eye(3)), 1, shadow=False)
    sharp, blurred = (
        render(floor_alone(), [ball], T, K, SIZE, camera=Camera(shutter_s=shutter)) for shutter in (0.0, 1 / 60)
    )
    outside = (sharp.segmentation[0] == 0) & (sharp.rgb[0] != blurred.rgb[0]).any(axis=-1)
    redder = (
        blurred.rgb[0, ..., 0].astype(int) - blurred.rgb[0, ..., 1]
        > sharp.rgb[0, ..., 0].astype(int) - sharp.rgb[0, ..., 1] + 10
    )
    assert (outside & redder).sum() >= 3
    assert (sharp.depth_m == blurred.depth_m).all()


def test_a_flash_lights_all_and_the_exposure_follows_late() -> None:
    T = np.tile(cameras([1.6]), (9, 1, 1))
    flash = np.array([1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    plain = render(floor_alone(), [], T, K, SIZE).rgb.mean(axis=(1, 2, 3))
    lit = render(floor_alone(), [], T, K, SIZE, brightness=flash).rgb.mean(axis=(1, 2, 3))
    assert lit[1] == plain[1] and lit[2] > plain[2] + 25
    adapting = render(floor_alone(), [], T, K, SIZE, brightness=flash, camera=Camera(exposure_lag_s=0.1))
    means = adapting.rgb.mean(axis=(1, 2, 3))
    assert means[2] > means[1] + 10 and (np.diff(means[2:7]) < 0).all()


def test_a_hole_in_the_floor_shows_what_lies_below() -> None:
    hole = (-0.6, 0.7, 1.0, 2.2)
    T = cameras([1.6], pitch=0.9)
    pit = Solid(box((3.0, 0.1, 3.0), GREY, centre_m=(0, -0.55, 1.6)), poses(np.zeros((1, 3)), np.eye(3)), 8)
    for kind in ("room", "street", "road"):
        whole, open_ = (make_place(kind, np.random.default_rng(5), 1, h) for h in (None, hole))
        assert not (render(whole, [pit], T, K, SIZE).segmentation == 8).any()
        images = render(open_, [pit], T, K, SIZE)
        depth = floor_depth(T[0]).reshape(SIZE, SIZE)
        rays = (pixel_rays(SIZE, K) @ T[0, :3, :3].T).reshape(SIZE, SIZE, 3)
        x, _, z = np.moveaxis(T[0, :3, 3] + np.where(np.isfinite(depth), depth, 0)[..., None] * rays, -1, 0)
        within = np.isfinite(depth) & (x > hole[0]) & (x < hole[1]) & (z > hole[2]) & (z < hole[3])
        assert within.sum() > 100
        assert ((images.segmentation[0] == 8) == within).mean() > 0.99
        beside = np.isfinite(depth) & ~within & (np.abs(x) < 1.5) & (z < 3)
        np.testing.assert_allclose(images.depth_m[0][beside], depth[beside], rtol=1e-3)


def test_what_is_cut_keeps_its_picture() -> None:
    panel = checked().panels[0]
    parts = cut_out(panel, (-1.0, 1.0, 2.0, 3.0))
    assert len(parts) == 4
    area = sum(np.linalg.norm(part.across_m) * np.linalg.norm(part.up_m) for part in parts)
    assert area == pytest.approx(np.linalg.norm(panel.across_m) * np.linalg.norm(panel.up_m) - 2.0)
    for part in parts:
        offset = part.corner_m - panel.corner_m
        across, up = (side / np.linalg.norm(side) for side in (panel.across_m, panel.up_m))
        s, t = np.meshgrid(f32([0.05, 0.33]), f32([0.07, 0.21]))
        np.testing.assert_array_equal(part.paint(s, t), panel.paint(s + f32(offset @ across), t + f32(offset @ up)))


def test_a_body_is_skinned_around_its_joints_and_a_childs_head_is_large() -> None:
    body = stage(SimulatorConfig(frames=9), "ball_left", 3).performance.body
    cut = tailored()
    for scale, bigger in ((1.0, 1.0), (0.65, 1.2)):
        small = replace(body, joints_m=scale * body.joints_m)
        skin_m = skin_of(small, scale)
        assert skin_m.shape == (9, len(cut.vertices_m), 3) and np.isfinite(skin_m).all()
        assert -0.03 < skin_m[..., 1].min() < 0.03  # soles on the floor
        for joint in (4, 7, 18, 20):
            around = skin_m[0, cut.weights.argmax(axis=1) == joint]
            assert np.linalg.norm(around - small.joints_m[0, joint], axis=1).min() < 0.09 * scale
        head = skin_m[0, np.unique(cut.head)]
        height = (head[:, 1].max() - small.joints_m[0, 15, 1]) / scale
        assert 0.19 * bigger < height / 1.0 < 0.24 * bigger


def test_the_shortest_turns_turn_vectors_onto_others() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50, 3))
    b[0] = -a[0]
    R = shortest_turn(a, b)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-9)
    assert (np.linalg.det(R) > 0).all()
    turned = np.einsum("nij,nj->ni", R, a) / np.linalg.norm(a, axis=1, keepdims=True)
    np.testing.assert_allclose(turned, b / np.linalg.norm(b, axis=1, keepdims=True), atol=1e-9)


def test_the_wearers_own_head_is_unseen_and_shades() -> None:
    body = stage(SimulatorConfig(frames=9), "ball_left", 3).performance.body
    wearer = dress(body, sample_clothes(np.random.default_rng(0)), OWN_BODY, 1.0, wearer=True)
    other = dress(body, sample_clothes(np.random.default_rng(0)), PERSON, 1.0)
    assert [solid.seen for solid in wearer] == [True, False] and all(solid.shadow for solid in wearer)
    assert all(solid.seen for solid in other)
    edges = np.concatenate([wearer[0].mesh.faces[:, k] for k in ([0, 1], [1, 2], [2, 0])])
    _, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert (counts == 2).all()  # the neck is closed: nobody looks into a chest


@pytest.mark.parametrize("mesh", [
    ellipsoid((0.3, 0.5, 0.2), GREY), limb(0.5, 0.1, 0.06, GREY, bulge_m=0.02), box((1, 2, 3), GREY, centre_m=(1, 0, 0)),
    lathe([(0.0, 0.0), (0.3, 0.1), (0.2, 0.6), (0.0, 0.7)], GREY), extrude([(0, 0), (1, 0), (1, 1), (0, 1)], 0.8, GREY, taper=0.7),
])  # fmt: skip
def test_meshes_are_closed_and_their_normals_point_outward(mesh) -> None:
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    _, point = np.unique(mesh.vertices_m.round(5), axis=0, return_inverse=True)
    edges = np.sort(point.reshape(-1)[edges], axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    centre = mesh.vertices_m.mean(axis=0)
    outward = np.sum((mesh.vertices_m - centre) * mesh.normals, axis=1)
    assert (outward > -1e-3).all()
    length = np.linalg.norm(mesh.normals, axis=1)
    assert np.mean(np.abs(length - 1) < 1e-4) > 0.9


def test_distant_floor_uses_smaller_pictures_and_keeps_its_colour() -> None:
    """A fine checkerboard far away is its mean, not noise."""
    rng = np.random.default_rng(0)
    checks = paints.tiles((0.1, 0.1, 0.1), (0.7, 0.7, 0.7), rng, size_m=0.1, gap=1.0)
    ground = Panel(np.array([-15.0, 0, -1]), np.array([0.0, 0, 30]), np.array([30.0, 0, 0]), checks)
    place = Place((ground,), Light(np.array([0.0, 1, 0]), False, 0.6, 0.5), ((0.8, 0.9, 1), (0.2, 0.4, 0.8)))
    T = camera_from_head(np.array([[0.0, 1.6, 0.0]]), rotation(np.zeros(1), 0.25))
    images = render(place, [], T, K, SIZE)
    depth, grey = images.depth_m[0], images.rgb[0].mean(axis=-1)
    assert grey[depth > 12].std() < 0.5 * grey[(depth > 0) & (depth < 2.5)].std()
