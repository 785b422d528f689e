"""What comes: a ball, something in the way, a person, a dog, a car; where it is in each frame and what it looks like."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.simulate.choreography import HANG, WAVE_IN, WAVE_OUT, Choreography, HandKey, perform
from egoreact.hrd.simulate.figures import dress, sample_clothes
from egoreact.hrd.simulate.kinematics import Body, rotation
from egoreact.hrd.simulate.person import sample_person
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, ellipsoid, joined, lathe, limb, moved, poses
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step

BALL, OBSTACLE, BAR, PERSON, ANIMAL, VEHICLE = (
    SEGMENTATION_CLASSES.index(name) for name in ("ball", "low_obstacle", "bar", "person", "animal", "vehicle")
)
BALL_GRAVITY = 3.0
"""m/s²: a light ball, half carried by the air."""
_BRIGHT: tuple[Colour, ...] = ((0.80, 0.08, 0.06), (0.90, 0.40, 0.03), (0.85, 0.70, 0.05), (0.05, 0.25, 0.75), (0.05, 0.50, 0.20))

Parameters = Mapping[str, float]


@dataclass(frozen=True)
class Arrival:
    solids: list[Solid]
    watched_m: Float64[np.ndarray, "frames 3"]
    """The point that draws the eyes."""
    extent: dict[str, float] = field(default_factory=dict)
    """Sizes that checks need, m."""


def _still(frames: int, position: tuple[float, float, float]) -> np.ndarray:
    return np.tile(np.asarray(position, dtype=np.float64), (frames, 1))


def _bright(rng: np.random.Generator) -> Colour:
    return _BRIGHT[rng.integers(len(_BRIGHT))]


def ball_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """Thrown from in front; at contact_s it crosses z = 0 at (pass_x_m, pass_y_m). It bounces off the floor behind."""
    contact, radius = parameters["contact_s"], parameters["radius_m"]
    until = times_s - contact
    x = parameters["pass_x_m"] + (parameters["pass_x_m"] - parameters["start_x_m"]) / contact * until
    climb = (parameters["pass_y_m"] - parameters["start_y_m"] - 0.5 * BALL_GRAVITY * contact**2) / contact
    y = parameters["pass_y_m"] + climb * until - 0.5 * BALL_GRAVITY * until**2
    y = radius + np.abs(y - radius)
    return np.stack([x, y, -parameters["speed_m_s"] * until], axis=-1)


def ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path = ball_path(parameters, times_s)
    radius = parameters["radius_m"]
    sphere = ellipsoid((radius, radius, radius), (1, 1, 1), rings=15, sections=24)
    centres = sphere.vertices_m[sphere.faces].mean(axis=1)
    sector = np.floor((np.arctan2(centres[:, 2], centres[:, 0]) / (2 * np.pi) + 0.5) * 6).astype(int) % 2
    pair = np.array([_bright(rng), (0.88, 0.87, 0.84)], dtype=np.float32)
    colours = pair[sector]
    colours[np.abs(centres[:, 1]) > 0.88 * radius] = pair[0]
    striped = Mesh(sphere.vertices_m, sphere.faces, sphere.normals, colours)
    spin = rng.uniform(3.0, 6.0) * times_s + rng.uniform(0, 6.28)
    turns = rotation(0.6, -spin, rng.uniform(-0.6, 0.6))
    return Arrival([Solid(striped, poses(path, turns), BALL, gloss=0.25, name="ball")], path, {"radius_m": radius})


def low_obstacle(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    wide, high, deep = 2.4, parameters["height_m"], parameters["depth_m"]
    if rng.random() < 0.5:
        wood: Colour = (0.36 * rng.uniform(0.8, 1.2), 0.20, 0.09)
        bark = limb(wide, high / 2, high / 2, wood, sections=18)
        mesh = moved(bark, (-wide / 2, high / 2, 0), rotation(0.0, 0.0, -np.pi / 2))
        ends = [moved(ellipsoid((0.02, high * 0.44, high * 0.44), (0.66, 0.48, 0.28)), (s * (wide / 2 + high / 2 - 0.01), high / 2, 0)) for s in (-1, 1)]
        mesh = joined([mesh, *ends])
        mesh = Mesh(mesh.vertices_m * np.float32([1, 1, min(deep / high, 1.0)]), mesh.faces, mesh.normals, mesh.face_colours)
    else:
        body, trim = _bright(rng), (0.85, 0.84, 0.80)
        count = 6
        pieces = [
            box((wide / count, high, deep), body if k % 2 else trim, centre_m=((k + 0.5) * wide / count - wide / 2, high / 2, 0))
            for k in range(count)
        ]
        mesh = joined(pieces)
    position = (0.0, 0.0, parameters["distance_m"])
    watched = _still(len(times_s), (0.0, high, parameters["distance_m"]))
    solid = Solid(mesh, poses(_still(len(times_s), position), np.eye(3)), OBSTACLE, name="obstacle")
    return Arrival([solid], watched, {"height_m": high, "depth_m": deep})


def head_bar(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    bottom, distance, thick, wide = parameters["bottom_m"], parameters["distance_m"], 0.13, 2.6
    warning, count = _bright(rng), 9
    pieces = [
        box(
            (wide / count, thick, thick), warning if k % 2 == 0 else (0.85, 0.84, 0.8),
            centre_m=((k + 0.5) * wide / count - wide / 2, bottom + thick / 2, 0),
        )
        for k in range(count)
    ]  # fmt: skip
    for side in (-1, 1):
        pieces.append(box((0.09, bottom + 0.35, 0.09), (0.25, 0.26, 0.28), centre_m=(side * wide / 2, bottom / 2 + 0.175, 0)))
        pieces.append(box((0.32, 0.05, 0.5), (0.2, 0.2, 0.22), centre_m=(side * wide / 2, 0.025, 0)))
    solid = Solid(joined(pieces), poses(_still(len(times_s), (0, 0, distance)), np.eye(3)), BAR, name="bar")
    watched = _still(len(times_s), (0.0, bottom, distance))
    return Arrival([solid], watched, {"bottom_m": bottom, "thick_m": thick})


def walker(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """Somebody walks up, stops before the wearer and waves back."""
    someone, clothes = sample_person(rng), sample_clothes(rng)
    stride, pace = 0.64, 0.64 / parameters["speed_m_s"]
    distance = parameters["distance_m"] - parameters["stop_m"]
    count = max(2, round(distance / stride))
    stride = distance / count
    # Already under way at the clip's start: the walk begins a second before it.
    before = 1.0
    steps = [
        Step((RIGHT, LEFT)[k % 2], before + k * pace - 0.92 * pace, before + k * pace, 0.085 * (-1) ** (k + 1), 0.13 + stride * k)
        for k in range(count + 1)
    ]
    last = (RIGHT, LEFT)[(count + 1) % 2]
    end = before + (count + 1) * pace
    steps.append(Step(last, end - 0.9 * pace, end, 0.1 if last == LEFT else -0.1, 0.13 + stride * count))
    hello = end - 0.5
    waving: list[HandKey] = [(hello, HANG), (hello + 0.5, WAVE_IN)]
    waving += [(hello + 0.5 + 0.27 * (k + 1), WAVE_OUT if k % 2 == 0 else WAVE_IN) for k in range(10)]
    performance = perform(Choreography(steps=tuple(steps), right_hand=tuple(waving)), someone, times_s + before)
    body = _turned_round(performance.body, parameters["start_x_m"], parameters["distance_m"])
    solids = dress(body, clothes, PERSON, someone.height_scale)
    return Arrival(solids, body.joints_m[:, 15] + np.array([0, 0.03, 0]), {"height_scale": someone.height_scale})


def _turned_round(body: Body, x_m: float, z_m: float) -> Body:
    """Facing -z, from (x, z)."""
    turn = np.diag([-1.0, 1.0, -1.0])
    return Body(
        body.joints_m @ turn + np.array([x_m, 0.0, z_m]), turn @ body.pelvis_rotation, turn @ body.chest_rotation,
        turn @ body.head_rotation, turn @ body.foot_rotation,
    )  # fmt: skip


def dog_path(parameters: Parameters, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (m) and speed (m/s): running from the clip's start, slowing evenly to a stop at stop_m."""
    run, slow = parameters["speed_m_s"], parameters["slow_m_s2"]
    braking_s, braking_m = run / slow, run**2 / (2 * slow)
    begin = (parameters["distance_m"] - parameters["stop_m"] - braking_m) / run
    late = np.clip(times_s - begin, 0.0, braking_s)
    gone = run * np.minimum(times_s, begin) + run * late - 0.5 * slow * late**2
    return parameters["distance_m"] - gone, run - slow * late


def dog(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    z, speed = dog_path(parameters, times_s)
    coat: Colour = ((0.42, 0.24, 0.10), (0.10, 0.08, 0.07), (0.62, 0.48, 0.30), (0.35, 0.33, 0.31))[rng.integers(4)]
    dark: Colour = tuple(0.45 * c for c in coat)  # type: ignore[assignment]
    k = parameters["size"]
    frames = len(times_s)
    stride = np.cumsum(np.concatenate([[0.0], speed[:-1]])) / 20.0 / (0.95 * k) * 2 * np.pi
    effort = np.clip(speed / 2.0, 0.0, 1.0)
    bob = 0.035 * k * effort * np.sin(2 * stride)
    nod = 0.12 * effort * np.sin(2 * stride + 0.7) + 0.25 * (1 - effort) * np.sin(2 * np.pi * 2.2 * times_s)
    back = rotation(np.pi, 0.06 * effort * np.sin(2 * stride))  # it faces -z
    centre = np.stack([np.full(frames, parameters["start_x_m"]), 0.50 * k + bob, z], axis=-1)

    def at(offset: tuple[float, float, float]) -> np.ndarray:
        return centre + back @ (np.array(offset) * k)

    trunk = moved(limb(0.5 * k, 0.115 * k, 0.15 * k, coat, bulge_m=0.0), (0, 0, -0.27 * k), rotation(0.0, np.pi / 2))
    chest = moved(ellipsoid((0.10 * k, 0.12 * k, 0.13 * k), (0.7, 0.66, 0.6), rings=7), (0, -0.05 * k, 0.22 * k))
    solids = [Solid(joined([trunk, chest]), poses(centre, back), ANIMAL, name="trunk")]
    head_turn = back @ rotation(0.0, nod)
    solids.append(Solid(_dog_head(coat, dark, k), poses(at((0, 0.20, 0.36)), head_turn), ANIMAL, name="head"))
    neck = moved(limb(0.24 * k, 0.10 * k, 0.075 * k, coat), (0, 0.02 * k, 0.2 * k), rotation(0.0, 0.75))
    solids.append(Solid(neck, poses(centre, back), ANIMAL, name="neck"))
    wag = 0.5 * np.sin(2 * np.pi * 3.0 * times_s)
    tail = limb(0.3 * k, 0.03 * k, 0.015 * k, coat, sections=8)
    solids.append(Solid(tail, poses(at((0, 0.08, -0.3)), back @ rotation(wag, -0.7)), ANIMAL, name="tail"))
    for x, along, phase in ((0.085, 0.2, 0.0), (-0.085, 0.2, np.pi), (0.085, -0.24, np.pi), (-0.085, -0.24, 0.0)):
        swing = 0.62 * effort * np.sin(stride + phase)
        bend = 0.9 * effort * np.maximum(np.sin(stride + phase + 1.2), 0.0) + 0.12
        hip = at((x, -0.02, along))
        upper = back @ rotation(0.0, np.pi + swing)
        solids.append(Solid(limb(0.24 * k, 0.062 * k, 0.04 * k, coat, sections=8), poses(hip, upper), ANIMAL, name="leg"))
        lower = back @ rotation(0.0, np.pi + swing - bend * (1 if along < 0 else -0.7) * -1)
        knee = hip + upper[:, :, 1] * 0.24 * k
        foot = moved(ellipsoid((0.035 * k, 0.025 * k, 0.05 * k), dark, rings=5, sections=8), (0, 0.23 * k, -0.02 * k))
        shin = joined([limb(0.22 * k, 0.036 * k, 0.026 * k, coat, sections=8), foot])
        solids.append(Solid(shin, poses(knee, lower), ANIMAL, name="leg"))
    return Arrival(solids, at((0, 0.2, 0.3)), {"size": k})


def _dog_head(coat: Colour, dark: Colour, k: float) -> Mesh:
    skull = ellipsoid((0.075 * k, 0.08 * k, 0.095 * k), coat)
    snout = moved(limb(0.11 * k, 0.05 * k, 0.035 * k, coat), (0, -0.02 * k, 0.06 * k), rotation(0.0, np.pi / 2 + 0.1))
    nose = moved(ellipsoid((0.02 * k, 0.016 * k, 0.016 * k), (0.02, 0.02, 0.02), rings=5, sections=8), (0, -0.015 * k, 0.205 * k))
    ears = [
        moved(ellipsoid((0.022 * k, 0.07 * k, 0.04 * k), dark, rings=6, sections=8), (s * 0.075 * k, 0.03 * k, -0.01 * k), rotation(0.0, 0.0, -0.35 * s))
        for s in (-1, 1)
    ]
    eyes = [moved(ellipsoid((0.012 * k,) * 3, (0.02, 0.02, 0.02), rings=5, sections=8), (s * 0.035 * k, 0.03 * k, 0.083 * k)) for s in (-1, 1)]
    return joined([skull, snout, nose, *ears, *eyes])


def car_path(parameters: Parameters, times_s: np.ndarray) -> np.ndarray:
    """z (m) of the car's front bumper: at contact_s it is where the wearer stood."""
    return parameters["speed_m_s"] * (parameters["contact_s"] - times_s)


CAR_LENGTH_M, CAR_WIDTH_M = 4.1, 1.76


def car(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    front = car_path(parameters, times_s)
    paint: Colour = ((0.62, 0.05, 0.04), (0.05, 0.12, 0.40), (0.75, 0.75, 0.76), (0.80, 0.55, 0.04), (0.08, 0.30, 0.18))[rng.integers(5)]
    frames = len(times_s)
    turn = rotation(np.pi)
    # In the car's frame +z is forward and the origin lies on the road under the front bumper.
    body = _prism([(0.0, 0.32), (0.02, 0.62), (-0.95, 0.88), (-4.02, 0.92), (-4.1, 0.60), (-4.06, 0.32), (-2.0, 0.24)], CAR_WIDTH_M, paint, 1.0)
    cabin = _prism([(-0.95, 0.88), (-1.75, 1.40), (-3.15, 1.42), (-3.90, 0.92)], CAR_WIDTH_M * 0.94, (0.05, 0.07, 0.09), 0.80)
    roof = _prism([(-1.68, 1.385), (-1.82, 1.45), (-3.05, 1.47), (-3.2, 1.40)], CAR_WIDTH_M * 0.94 * 0.82, paint, 0.97)
    bits = [body, cabin, roof]
    for side in (-1, 1):
        bits.append(box((0.42, 0.13, 0.06), (1.0, 0.97, 0.85), centre_m=(side * 0.6, 0.62, 0.0)))
        bits.append(box((0.40, 0.12, 0.05), (0.7, 0.03, 0.03), centre_m=(side * 0.62, 0.74, -4.09)))
        bits.append(box((0.2, 0.12, 0.1), paint, centre_m=(side * 0.96, 0.98, -1.25)))
    bits.append(box((0.85, 0.14, 0.04), (0.03, 0.03, 0.03), centre_m=(0, 0.46, 0.02)))
    bits.append(box((0.46, 0.10, 0.03), (0.85, 0.85, 0.8), centre_m=(0, 0.36, 0.035)))
    start = np.stack([np.full(frames, parameters["start_x_m"]), np.zeros(frames), front], axis=-1)
    solids = [Solid(joined(bits), poses(start, turn), VEHICLE, gloss=0.35, name="car")]
    roll = (times_s * parameters["speed_m_s"]) / 0.32
    for side in (-1, 1):
        for along in (-0.78, -3.3):
            hub = start + turn @ np.array([side * (CAR_WIDTH_M / 2 - 0.1), 0.32, along])
            solids.append(Solid(_wheel(), poses(hub, turn @ rotation(0.0, roll)), VEHICLE, name="wheel"))
    return Arrival(solids, start + np.array([0.0, 0.9, 0.5]), {"width_m": CAR_WIDTH_M, "length_m": CAR_LENGTH_M})


def _prism(outline: list[tuple[float, float]], width_m: float, colour: Colour, taper: float) -> Mesh:
    from egoreact.hrd.simulate.solids import extrude

    return extrude(outline, width_m, colour, taper=taper)


def _wheel() -> Mesh:
    tyre = lathe([(0.0, -0.1), (0.28, -0.1), (0.32, -0.06), (0.32, 0.06), (0.28, 0.1), (0.0, 0.1)], (0.03, 0.03, 0.03), sections=18)
    caps = [lathe([(0.0, y - 0.01), (0.19, y), (0.0, y + 0.01)], (0.45, 0.45, 0.47), sections=6) for y in (-0.1, 0.1)]
    return moved(joined([tyre, *caps]), (0, 0, 0), rotation(0.0, 0.0, np.pi / 2))
