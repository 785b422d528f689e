"""A bicycle with its rider, who pedals."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.kinematics import ARMS, Body, Bones, Posture, rotation, solve, solve_torso
from egoreact.hrd.simulate.arrival import VEHICLE, Arrival, Parameters, bright
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, along_bone, box, joined, lathe, limb, moved, poses
from egoreact.hrd.simulate.things.sides import side_of

BICYCLE_LENGTH_M, BICYCLE_WIDTH_M = 1.75, 0.62
WHEEL_M, CRANK_M = 0.34, 0.17
_GEAR = 2.4
"""Turns of a wheel to one of the pedals."""
# Points of the bicycle in its own frame, m: +z forward, the origin on the ground under the pedals.
_FRONT, _REAR, PEDALS = (0.0, WHEEL_M, 0.62), (0.0, WHEEL_M, -0.44), (0.0, 0.29, 0.0)
_SEAT, _HEAD = (0.0, 0.86, -0.20), (0.0, 0.92, 0.42)
GRIP = (0.27, 1.02, 0.34)


def bicycle_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """The ground under the pedals: an even speed along a line that at contact_s passes the wearer's x at `pass_x_m`."""
    sign = side_of(parameters)
    until = times_s - parameters["contact_s"]
    drift = sign * parameters["drift_m_s"]
    x = sign * parameters["pass_x_m"] - drift * until
    return np.stack([x, np.zeros(len(times_s)), -parameters["speed_m_s"] * until], axis=-1)


def bicycle(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path = bicycle_path(parameters, times_s)
    heading = np.arctan2(-side_of(parameters) * parameters["drift_m_s"], -parameters["speed_m_s"])
    rolled = np.linalg.norm(path - path[0], axis=1) / WHEEL_M
    pedalled = rolled / _GEAR + rng.uniform(0, 6.28)
    weave = 0.025 * np.sin(pedalled)  # it leans as its rider pushes
    T = poses(path, rotation(heading, 0.0, weave))
    paint = bright(rng)
    rider = _placed(riding(pedalled), T)
    solids = [Solid(_frame(paint), T, VEHICLE, gloss=0.2, name="frame")]
    for hub in (_FRONT, _REAR):
        wheel = poses(np.tile(hub, (len(T), 1)), rotation(0.0, rolled))
        solids.append(Solid(_wheel(), (T @ wheel).astype(np.float32), VEHICLE, name="wheel"))
    cranks = T @ poses(np.tile(PEDALS, (len(T), 1)), rotation(0.0, pedalled))
    solids.append(Solid(_cranks(), cranks.astype(np.float32), VEHICLE, name="cranks"))
    solids += dress(rider, sample_clothes(rng), VEHICLE, 1.0)
    return Arrival(solids, rider.joints_m[:, 9])


def riding(pedalled: Float64[np.ndarray, " frames"]) -> Body:
    """Somebody in the saddle, in the bicycle's frame: feet on the pedals, hands on the grips."""
    bones, frames = Bones(), len(pedalled)
    still = np.zeros(frames)
    toes, feet = np.empty((frames, 2, 3)), np.zeros((frames, 2, 2))
    for side, sign in enumerate((1.0, -1.0)):
        angle = pedalled + (0.0 if side == 0 else np.pi)
        toes[:, side] = np.stack(
            [still + sign * 0.12, PEDALS[1] - CRANK_M * np.sin(angle) + 0.02, PEDALS[2] + CRANK_M * np.cos(angle) + 0.03],
            axis=-1,
        )  # fmt: skip
        feet[:, side, 1] = 0.2 + 0.15 * np.sin(angle)
    posture = Posture(
        pelvis_m=np.stack([still, still + _SEAT[1] + 0.10, still + _SEAT[2]], axis=-1),
        pelvis_angles=np.stack([still, still + 0.45, 0.03 * np.sin(pedalled)], axis=-1),
        spine_angles=np.tile([0.0, 0.25, 0.0], (frames, 1)),
        toes_m=toes,
        foot_angles=feet,
        hands=np.zeros((frames, 2, 3)),
        elbows=np.tile([[0.6, -0.8, -0.3], [-0.6, -0.8, -0.3]], (frames, 1, 1)),
    )
    torso = solve_torso(posture, bones)
    for side, (_, shoulder, *_) in enumerate(ARMS):
        grip = np.array(GRIP) * [1.0 if side == 0 else -1.0, 1.0, 1.0] + np.array([0.0, 0.03, -0.09])
        away = grip - torso.joints_m[:, shoulder]
        posture.hands[:, side] = np.einsum("tij,ti->tj", torso.chest_rotation, away) / bones.arm_m(side)
    return solve(posture, bones, torso, rotation(still, still + 0.05))


def _placed(body: Body, T: np.ndarray) -> Body:
    """The body carried along by poses (frames, 4, 4)."""
    R = T[:, :3, :3].astype(np.float64)
    return Body(
        np.einsum("tij,tkj->tki", R, body.joints_m) + T[:, None, :3, 3], R @ body.pelvis_rotation,
        R @ body.chest_rotation, R @ body.head_rotation, R[:, None] @ body.foot_rotation,
    )  # fmt: skip


def _frame(paint: Colour) -> Mesh:
    dark: Colour = (0.03, 0.03, 0.03)
    tubes = [
        (PEDALS, _SEAT, 0.022, paint), (PEDALS, _HEAD, 0.026, paint), (_HEAD, (0, 0.80, -0.17), 0.022, paint),
        (_REAR, PEDALS, 0.016, paint), (_REAR, (0, 0.80, -0.17), 0.014, paint), (_FRONT, _HEAD, 0.022, paint),
        (_HEAD, (0, 1.02, 0.40), 0.018, dark), ((0.27, 1.02, 0.34), (0, 1.03, 0.42), 0.016, dark),
        ((-0.27, 1.02, 0.34), (0, 1.03, 0.42), 0.016, dark),
    ]  # fmt: skip
    parts = [_tube(start, end, radius, colour) for start, end, radius, colour in tubes]
    parts.append(moved(lathe([(0.0, -0.03), (0.07, -0.02), (0.08, 0.02), (0.0, 0.04)], dark, squash=(1.0, 1.6)), _SEAT))
    parts.append(box((0.09, 0.09, 0.06), (1.0, 0.97, 0.85), centre_m=(0.0, 0.88, 0.50)))
    return joined(parts)


def _tube(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, colour: Colour) -> Mesh:
    a, b = np.array([start], np.float64), np.array([end], np.float64)
    T = along_bone(a, b.copy(), np.array([[1.0, 0.0, 0.01]]))[0].astype(np.float64)
    mesh = limb(float(np.linalg.norm(b - a)), radius, radius, colour, sections=8)
    return moved(mesh, start, T[:3, :3])


def _wheel() -> Mesh:
    """A tyre, spokes and a hub; it turns about x."""
    tyre = lathe(
        [(0.30, -0.022), (WHEEL_M, -0.018), (WHEEL_M, 0.018), (0.30, 0.022), (0.30, -0.022)],
        (0.03, 0.03, 0.03),
        sections=28,
    )
    parts = [moved(tyre, (0, 0, 0), rotation(0.0, 0.0, np.pi / 2))]
    for k in range(4):
        spoke = box((0.008, 2 * 0.31, 0.012), (0.55, 0.55, 0.57))
        parts.append(moved(spoke, (0, 0, 0), rotation(0.0, k * np.pi / 4)))
    parts.append(box((0.09, 0.05, 0.05), (0.4, 0.4, 0.42)))
    return joined(parts)


def _cranks() -> Mesh:
    """Both cranks and pedals at angle 0: the left one points forward."""
    grey, parts = (0.25, 0.25, 0.27), []
    for sign in (1.0, -1.0):
        parts.append(box((0.02, 0.025, CRANK_M), grey, centre_m=(sign * 0.06, 0.0, sign * CRANK_M / 2)))
        parts.append(box((0.10, 0.02, 0.07), (0.05, 0.05, 0.05), centre_m=(sign * 0.12, 0.0, sign * CRANK_M)))
    ring = lathe([(0.0, -0.005), (0.09, -0.004), (0.09, 0.004), (0.0, 0.005)], grey, sections=18)
    return joined([*parts, moved(ring, (-0.04, 0, 0), rotation(0.0, 0.0, np.pi / 2))])
