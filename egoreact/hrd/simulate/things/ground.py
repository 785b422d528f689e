"""Ground that is not as even as it was: a step up, an edge over a pit, ice and puddles."""

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import GROUND, Arrival, Parameters, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, f32, joined, poses

STAGE_HALF_M, STAGE_DEEP_M = 2.3, 5.6
PIT_HALF_M, PIT_LONG_M, PIT_DEEP_M = 1.95, 2.6, 2.2
ICE_LONG_M = 1.9
_ICE_THICK_M = 0.003
_STONES: tuple[Colour, ...] = ((0.42, 0.41, 0.39), (0.34, 0.33, 0.34), (0.46, 0.40, 0.33))
_BOARDS: tuple[Colour, ...] = ((0.30, 0.17, 0.09), (0.42, 0.27, 0.14), (0.22, 0.20, 0.20))


def step_up(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """A kerb of stones or a stage of boards, as deep as anybody walks in a clip."""
    high, z = parameters["height_m"], parameters["distance_m"]
    mesh = _kerb(high, rng) if rng.random() < 0.5 else _stage(high, rng)
    frames = len(times_s)
    solid = Solid(mesh, poses(still(frames, (0.0, 0.0, z)), np.eye(3)), GROUND, shadow=False, name="step")
    return Arrival([solid], still(frames, (0.0, high, z + 0.1)))


def edge(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """A pit with walls and a bottom; often with a line painted along its edge."""
    z, frames = parameters["distance_m"], len(times_s)
    stone = _STONES[rng.integers(len(_STONES))]
    here = poses(still(frames, (0.0, 0.0, z)), np.eye(3))
    solids = [Solid(_pit(stone, rng), here, GROUND, shadow=False, name="pit")]
    if rng.random() < 0.7:
        colour: Colour = (0.85, 0.68, 0.04) if rng.random() < 0.6 else (0.84, 0.83, 0.80)
        solids.append(Solid(_line(colour), here, GROUND, shadow=False, name="line"))
    hole = (-PIT_HALF_M, PIT_HALF_M, z, z + PIT_LONG_M)
    return Arrival(solids, still(frames, (0.0, -0.6, z + 0.35)), hole_m=hole)


def slippery_ground(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """A sheet of ice or water on the floor, longer than a stride, round at its ends."""
    z, frames = parameters["distance_m"], len(times_s)
    tint: Colour = (0.40, 0.60, 0.72) if rng.random() < 0.6 else (0.10, 0.13, 0.16)
    middle = (0.0, 0.0, z + ICE_LONG_M / 2)
    solid = Solid(
        _puddle(tint, rng), poses(still(frames, middle), np.eye(3)), GROUND, shadow=False, gloss=0.5, name="ice"
    )
    return Arrival([solid], still(frames, (0.0, 0.0, z + 0.8)))


def _kerb(high: float, rng: np.random.Generator) -> Mesh:
    """Kerb stones, and slabs behind them."""
    stone, parts = _STONES[rng.integers(len(_STONES))], []
    slab: Colour = (0.86 * stone[0], 0.86 * stone[1], 0.86 * stone[2])
    count = 6
    wide = 2 * STAGE_HALF_M / count
    for k in range(count):
        shade = float(rng.uniform(1.15, 1.4))
        x = (k + 0.5) * wide - STAGE_HALF_M
        colour: Colour = (shade * stone[0], shade * stone[1], shade * stone[2])
        parts.append(box((wide - 0.012, high, 0.16), colour, centre_m=(x, high / 2, 0.08)))
    rows = 6
    deep = (STAGE_DEEP_M - 0.16) / rows
    for row in range(rows):
        shade = 1.0 if row % 2 else 0.90
        colour = (shade * slab[0], shade * slab[1], shade * slab[2])
        size = (2 * STAGE_HALF_M, high - 0.004, deep)
        parts.append(box(size, colour, centre_m=(0.0, high / 2 - 0.002, 0.16 + (row + 0.5) * deep)))
    return joined(parts)


def _stage(high: float, rng: np.random.Generator) -> Mesh:
    """Boards on a dark frame, a light edge along the front."""
    wood, parts = _BOARDS[rng.integers(len(_BOARDS))], []
    count = 14
    wide = 2 * STAGE_HALF_M / count
    for k in range(count):
        shade = float(rng.uniform(0.85, 1.2))
        colour: Colour = (shade * wood[0], shade * wood[1], shade * wood[2])
        size = (wide - 0.006, 0.05, STAGE_DEEP_M)
        parts.append(box(size, colour, centre_m=((k + 0.5) * wide - STAGE_HALF_M, high - 0.025, STAGE_DEEP_M / 2)))
    low = (2 * STAGE_HALF_M, high - 0.05, STAGE_DEEP_M - 0.02)
    parts.append(box(low, (0.05, 0.05, 0.06), centre_m=(0.0, (high - 0.05) / 2, STAGE_DEEP_M / 2 + 0.01)))
    parts.append(box((2 * STAGE_HALF_M, 0.052, 0.05), (0.75, 0.72, 0.60), centre_m=(0.0, high - 0.025, 0.025)))
    return joined(parts)


def _pit(stone: Colour, rng: np.random.Generator) -> Mesh:
    """Walls around the hole, in courses that grow darker with depth, and a bottom with lumps to see how deep it is."""
    courses, thick, parts = 5, 0.10, []
    tall = PIT_DEEP_M / courses
    for k in range(courses):
        y = -(k + 0.5) * tall
        for side in (-1, 1):
            parts.append(
                box(
                    (thick, tall, PIT_LONG_M),
                    _dim(stone, k),
                    centre_m=(side * (PIT_HALF_M + thick / 2), y, PIT_LONG_M / 2),
                )
            )
            z = -thick / 2 if side < 0 else PIT_LONG_M + thick / 2
            parts.append(box((2 * PIT_HALF_M + 2 * thick, tall, thick), _dim(stone, k + 0.5), centre_m=(0.0, y, z)))
    parts.append(
        box((2 * PIT_HALF_M, 0.1, PIT_LONG_M), _dim(stone, courses), centre_m=(0.0, -PIT_DEEP_M - 0.05, PIT_LONG_M / 2))
    )
    for _ in range(5):
        size = float(rng.uniform(0.2, 0.5))
        at = (float(rng.uniform(-1.5, 1.5)), -PIT_DEEP_M + size / 2, float(rng.uniform(0.5, PIT_LONG_M - 0.4)))
        parts.append(box((size, size, size), _dim(stone, courses - 1.5), centre_m=at))
    return joined(parts)


def _dim(colour: Colour, courses_down: float) -> Colour:
    light = 0.95 * 0.72**courses_down
    return (light * colour[0], light * colour[1], light * colour[2])


def _line(colour: Colour) -> Mesh:
    return box((2 * PIT_HALF_M, 0.004, 0.14), colour, centre_m=(0.0, 0.002, -0.09))


def _puddle(tint: Colour, rng: np.random.Generator) -> Mesh:
    """A thin lens with a wavy outline; patches of it lighter."""
    sections, half_wide = 40, float(rng.uniform(0.75, 1.0))
    angles = np.arange(sections) * (2 * np.pi / sections)
    waves = sum(float(rng.uniform(0.02, 0.06)) * np.cos(k * angles + rng.uniform(0, 6.28)) for k in (2, 3, 5))
    # The foot comes down and slides along the middle: there it is as long as it says.
    waves *= np.abs(np.cos(angles))
    rings = (0.0, 0.45, 0.8, 1.0)
    outline = np.stack([half_wide * np.cos(angles), 0.5 * ICE_LONG_M * np.sin(angles)], axis=-1) * (
        1.0 + waves[:, None]
    )
    vertices = np.zeros((len(rings), sections, 3))
    vertices[..., ::2] = np.asarray(rings)[:, None, None] * outline
    vertices[:-1, :, 1] = _ICE_THICK_M
    vertices[-1, :, 1] = 0.0005
    faces, shades = [], []
    for ring in range(len(rings) - 1):
        for k in range(sections):
            a, b = ring * sections + k, ring * sections + (k + 1) % sections
            faces += [(a, b + sections, a + sections), (a, b, b + sections)]
            shades += [float(rng.uniform(0.88, 1.1))] * 2
    flat = vertices.reshape(-1, 3).astype(np.float32)
    normals = np.tile(f32([0.0, 1.0, 0.0]), (len(flat), 1))
    colours = f32(shades)[:, None] * f32(tint)
    mesh = Mesh(flat, np.array(faces, np.int32), normals, colours.astype(np.float32))
    turn = rotation(float(rng.integers(2)) * np.pi).astype(np.float32)
    return Mesh(mesh.vertices_m @ turn.T, mesh.faces, mesh.normals, mesh.face_colours)
