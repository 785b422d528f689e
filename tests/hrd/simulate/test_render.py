"""The ray caster against geometry that can be solved by hand."""

import numpy as np
import pytest

from egoreact.hrd.simulate import paints
from egoreact.hrd.simulate.kinematics import rotation
from egoreact.hrd.simulate.place import Light, Panel, Place
from egoreact.hrd.simulate.render import NEAR_M, pixel_rays, render
from egoreact.hrd.simulate.solids import Solid, box, ellipsoid, extrude, lathe, limb, poses
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
    rays = pixel_rays(SIZE, K)
    covered = 0
    for frame in range(12):
        T_solid_camera = (np.linalg.inv(where[frame].astype(np.float64)) @ T[frame]).astype(np.float32)
        directions = np.ascontiguousarray(rays @ T_solid_camera[:3, :3].T)
        hit = mesh.scene.run(np.tile(T_solid_camera[:3, 3], (len(rays), 1)), directions, output=1)
        floor = floor_depth(T[frame])
        shown = (hit["primID"] >= 0) & (hit["tfar"] >= NEAR_M) & (hit["tfar"] < floor - 1e-4)
        hidden = (hit["primID"] < 0) | (hit["tfar"] > floor + 1e-4) | (hit["tfar"] < NEAR_M)
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


def test_supersampling_changes_colours_alone() -> None:
    T = cameras([1.6])
    solid = Solid(box((0.5, 0.5, 0.5), (0.8, 0.1, 0.1)), poses(np.array([[0.3, 1.1, 2.0]]), rotation(0.5)), 2)
    one = render(floor_alone(), [solid], T, K, SIZE)
    two = render(floor_alone(), [solid], T, K, SIZE, supersample=2)
    assert (one.depth_m == two.depth_m).all() and (one.segmentation == two.segmentation).all()
    difference = np.abs(one.rgb.astype(int) - two.rgb.astype(int))
    assert difference.any() and difference.mean() < 6


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
