"""Images of a place and of what moves in it: colour, metric depth along the optical axis, and what each pixel belongs to.

Depth and class are those of the nearest triangle at the pixel's centre, exactly; colour is that of the light which falls on it,
through a camera with faults of its own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from egoreact.hrd.simulate.picture.lens import Camera, Exposure, noise_table
from egoreact.hrd.simulate.picture.raster.develop import DISPLAY, STILL, blur, develop, find_motion
from egoreact.hrd.simulate.picture.raster.packing import Packed, pack
from egoreact.hrd.simulate.picture.raster.scan import FORM, fill, place_vertices, set_up
from egoreact.hrd.simulate.picture.raster.scenery import Air, Panels, Solids, View
from egoreact.hrd.simulate.picture.raster.shade import TILE, draw, smooth_edges
from egoreact.hrd.simulate.picture.raster.shadow_maps import ShadowMapper
from egoreact.hrd.simulate.picture.raster.visibility import in_view, way_to_floor
from egoreact.hrd.simulate.scenery.bake import bake, light_reaches
from egoreact.hrd.simulate.scenery.place import Place
from egoreact.hrd.simulate.solids import Solid
from egoreact.motion.skeleton import FPS

_TEXELS_FIT_PX = 70.0
"""Focal length at which the places' own texels are about as large as the pixels that show them."""
_REACH_OF_SIDE = 1 / 56
"""How far around a pixel a faster neighbour's blur reaches, in sides of the image."""


@dataclass(frozen=True)
class Images:
    rgb: UInt8[np.ndarray, "frames height width 3"]
    depth_m: Float32[np.ndarray, "frames height width"]
    """0 where there is nothing."""
    segmentation: UInt8[np.ndarray, "frames height width"]


def pixel_rays(size_px: int, K: np.ndarray) -> Float32[np.ndarray, "pixels 3"]:
    """Directions of unit depth, camera axes, row by row. Pixel (0, 0) is a centre."""
    column, row = np.meshgrid(np.arange(size_px), np.arange(size_px))
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], np.ones_like(column)], axis=-1)
    return rays.reshape(-1, 3).astype(np.float32)


def render(
    place: Place,
    solids: list[Solid],
    T_world_camera: np.ndarray,
    K: np.ndarray,
    size_px: int,
    *,
    camera: Camera | None = None,
    brightness: Float64[np.ndarray, " frames"] | None = None,
) -> Images:
    """Images of all frames.

    Args:
        T_world_camera: (frames, 4, 4).
        camera: what becomes of the light; a perfect camera by default.
        brightness: how much more light there is than usual in each frame.
    """
    artist = Artist(place, solids, T_world_camera, K, size_px, camera or Camera())
    frames = len(T_world_camera)
    rgb = np.empty((frames, size_px, size_px, 3), np.uint8)
    depth_m = np.empty((frames, size_px, size_px), np.float32)
    segmentation = np.empty((frames, size_px, size_px), np.uint8)
    for frame in range(frames):
        artist.draw(frame, 1.0 if brightness is None else float(brightness[frame]), rgb[frame], depth_m[frame])
        segmentation[frame] = artist.segments[artist.owner]
    return Images(rgb, depth_m, segmentation)


class Artist:
    """Draws one frame after another into the same memory."""

    def __init__(
        self, place: Place, solids: list[Solid], T_world_camera: np.ndarray, K: np.ndarray, size_px: int, camera: Camera
    ):
        self.T = T_world_camera.astype(np.float64)
        self.T_inverse = np.linalg.inv(self.T)
        self.K, self.camera = (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])), camera
        everything = [*place.things, *solids]
        self.packed = pack(place, everything, len(self.T))
        self.panels: Panels = bake(place, float(np.clip(K[0, 0] / _TEXELS_FIT_PX, 0.5, 2.5)))
        self.air = _air_of(place)
        self.look = _look_of(everything)
        self.lit = _light_through(place, self.packed)
        self.segments = np.array([0, *(solid.segment for solid in everything)], np.uint8)
        self.seen = np.array([True, *(solid.seen for solid in everything)])
        self.mapper = ShadowMapper(self.packed, place.light)
        self.exposure, self.random = Exposure(camera), np.random.default_rng(camera.noise_seed)

        fx, fy, cx, cy = self.K
        self.window = (-(cx + 1) / fx, -(cy + 1) / fy, (size_px - cx) / fx, (size_px - cy) / fy)
        balls = self.packed.balls_m
        self.wanted = self.seen & in_view(balls, self.T_inverse, self.window)
        self.shaded = np.zeros((len(self.T), len(self.mapper.maps.groups)), np.bool_)
        for g, group in enumerate(self.mapper.maps.groups):
            way = way_to_floor(balls[:, group], place.light)
            self.shaded[:, g] = in_view(way, self.T_inverse, self.window).any(axis=1)
        faces = len(self.packed.faces)
        self.slope, self.offset = np.zeros((2, 4)), np.zeros((2, 4))
        self.points = np.zeros((len(self.packed.vertices_m), 5))
        self.points_then = np.zeros_like(self.points)
        self.forms, self.boxes, self.kept = np.zeros((faces, FORM)), np.zeros((faces, 4)), np.zeros(faces, np.int32)
        self.face_at = np.zeros((size_px, size_px), np.int32)
        self.nearness = np.zeros((size_px, size_px), np.float32)
        self.corner_face = np.zeros((size_px + 1, size_px + 1), np.int32)
        self.corner_nearness = np.zeros((size_px + 1, size_px + 1), np.float32)
        self.colour = np.zeros((size_px, size_px, 3), np.float32)
        self.blurred = np.zeros_like(self.colour)
        self.sharp = np.zeros_like(self.colour)
        self.motion = np.zeros((size_px, size_px, 2), np.float32)
        self.owner = np.zeros((size_px, size_px), np.int32)

    def draw(self, frame: int, brightness: float, rgb: np.ndarray, depth_m: np.ndarray) -> None:
        packed = self.packed
        T_camera_solid = self.T_inverse[frame] @ packed.T_world_solid[frame]
        wanted = self.wanted[frame]
        packed.pose_skins(frame, wanted)
        place_vertices(packed.vertices_m, packed.vertex_ranges, wanted, T_camera_solid, self.points)
        count = set_up(
            self.points, packed.faces, packed.face_ranges, wanted, packed.one_sided, self.window,
            self.forms, self.boxes, self.kept,
        )  # fmt: skip
        fx, fy, cx, cy = self.K
        fill(self.forms, self.boxes, self.kept, count, self.K, self.nearness, self.face_at, self.slope, self.offset)
        corners = (fx, fy, cx + 0.5, cy + 0.5)
        fill(
            self.forms,
            self.boxes,
            self.kept,
            count,
            corners,
            self.corner_nearness,
            self.corner_face,
            self.slope,
            self.offset,
        )
        view = View(self.T[frame, :3, :3].copy(), self.T[frame, :3, 3].copy(), 1.0 / fx)
        look = self.look._replace(
            faces=packed.faces, normals=packed.normals, rest_m=packed.rest_m, colours=packed.colours, owner=packed.owner,
            R=packed.T_world_solid[frame, :, :3, :3].copy(), lit=self.lit[frame],
        )  # fmt: skip
        shadows = self.mapper.draw(frame, self.shaded[frame])
        draw(
            self.face_at,
            self.K,
            self.forms,
            view,
            self.panels,
            look,
            self.air,
            shadows,
            self.sharp,
            depth_m,
            self.owner,
        )
        smooth_edges(self.face_at, self.corner_face, packed.owner, self.sharp, self.colour)
        if brightness != 1.0:
            self.colour *= np.float32(brightness)
        self._develop(self._blurred(frame, wanted), rgb)

    def _blurred(self, frame: int, wanted: np.ndarray) -> np.ndarray:
        share = self.camera.shutter_s * FPS
        if share <= 0 or len(self.T) < 2:
            return self.colour
        packed = self.packed
        before, after = (frame, frame + 1) if frame + 1 < len(self.T) else (frame - 1, frame)
        T_camera_solid = self.T_inverse[after] @ packed.T_world_solid[after]
        T_before = self.T_inverse[before] @ packed.T_world_solid[before]
        now = self.T_inverse[frame] @ packed.T_world_solid[frame]
        for number, solid in enumerate(packed.solids, start=1):
            if solid.skin_m is not None:
                first, last = packed.vertex_ranges[number]
                packed.vertices_m[first:last] += np.float32(share) * (solid.skin_m[after] - solid.skin_m[before])
        place_vertices(
            packed.vertices_m, packed.vertex_ranges, wanted, now + share * (T_camera_solid - T_before), self.points_then
        )
        then = self.T_inverse[frame] + share * (self.T_inverse[after] - self.T_inverse[before])
        turn = then[:3, :3] @ self.T[frame, :3, :3]
        if find_motion(self.face_at, self.K, self.forms, packed.faces, self.points_then, turn, self.motion) < STILL:
            return self.colour
        blur(self.colour, self.motion, max(round(len(self.colour) * _REACH_OF_SIDE), 1), self.blurred)
        return self.blurred

    def _develop(self, colour: np.ndarray, rgb: np.ndarray) -> None:
        camera, noise = self.camera, noise_table()
        exposure = self.exposure.meter(colour)
        shifts = self.random.integers(0, len(noise), (3, 2))
        grain = camera.grain * np.sqrt(exposure)
        develop(colour, camera.gains(exposure), camera.vignette, grain, noise, shifts, DISPLAY, rgb)


def _air_of(place: Place) -> Air:
    light = place.light
    return Air(
        towards=light.towards.astype(np.float64),
        is_lamp=light.is_lamp,
        sun=light.strength * np.array(light.colour),
        around=light.ambient * np.array(light.ambient_colour),
        horizon=np.array(place.sky[0]),
        zenith=np.array(place.sky[1]),
        clouds=place.clouds,
        haze_per_m=place.haze_per_m,
        tile=_tile(),
    )


def _tile() -> Float32[np.ndarray, "64 64"]:
    return np.random.default_rng(1).uniform(-1.0, 1.0, (TILE, TILE)).astype(np.float32)


def _look_of(solids: list[Solid]) -> Solids:
    nothing = np.zeros(0)
    return Solids(
        faces=nothing, normals=nothing, rest_m=nothing, colours=nothing, owner=nothing, R=nothing, lit=nothing,
        gloss=np.array([0.0, *(solid.gloss for solid in solids)]),
        glow=np.array([0.0, *(solid.glow for solid in solids)]),
        grain=np.array([(0.0, 0.0), *(solid.grain for solid in solids)]),
    )  # fmt: skip


def _light_through(place: Place, packed: Packed) -> np.ndarray:
    """(frames, solids) how much of the sun or lamp reaches each solid past what stands in the place, softly in time."""
    balls = packed.balls_m[:, 1:, :3]
    lit = np.ones(packed.balls_m.shape[:2])
    moving = [k for k, solid in enumerate(packed.solids) if solid.shadow]
    if moving:
        centres = balls[:, moving].reshape(-1, 3)
        reached = light_reaches(place, centres, place.light.direction(centres)).reshape(len(balls), -1).astype(float)
        kernel = np.ones(5) / 5
        smooth = [np.convolve(np.pad(one, 2, mode="edge"), kernel, mode="valid") for one in reached.T]
        lit[:, np.array(moving) + 1] = np.stack(smooth, axis=1)
    return lit
