"""Where feet stand, when they leave the floor and where they land; the pelvis follows the feet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.curves import bump, minimum_jerk, smooth
from egoreact.hrd.simulate.acting.kinematics import Bones, rotation
from egoreact.motion.skeleton import FPS

LEFT, RIGHT = 0, 1
STANCE_M = 0.1
"""Half the distance between the feet of a person who stands."""


_STRIKE, _HEEL_TO_TOE_M = 0.30, 0.20
"""How far toes are up when a heel lands, radians; from the heel to the foot joint."""


@dataclass(frozen=True)
class Step:
    """One foot from where it stands to (x_m, z_m), where its foot joint lands, on ground of height y_m."""

    side: int
    lift_s: float
    land_s: float
    x_m: float
    z_m: float
    yaw: float = 0.0
    height_m: float = 0.09
    heel: float = 0.5
    """How far the heel comes up at push-off, radians."""
    rise: float = 0.5
    fall: float = 0.5
    """Phase of the swing by which the foot is all the way up, and from which it comes down."""
    y_m: float = 0.0
    bears: float = 1.0
    """Share of its weight the foot takes where it lands: less than 1 where it only touches."""


@dataclass(frozen=True)
class Feet:
    toes_m: Float64[np.ndarray, "frames 2 3"]
    angles: Float64[np.ndarray, "frames 2 2"]
    """Yaw, pitch."""
    swing: Float64[np.ndarray, "frames 2"]
    """1 while the foot is in the air, 0 on the floor, eased between."""
    ground_m: Float64[np.ndarray, "frames 2"]
    """Height of the ground each foot stands on, in the air eased from that it left to that it goes to."""
    landings: Float64[np.ndarray, "steps 4"]
    """When a foot lands, s; how fast it came, x and z, m/s; how high it had been, m."""

    def middle_m(self, bones: Bones) -> Float64[np.ndarray, "frames 2"]:
        """x, z between the ankles."""
        ankles = self.toes_m - rotation(self.angles[..., 0]) @ bones.foot(LEFT)
        return ankles.mean(axis=1)[:, ::2]


def lay_out(times_s: Float64[np.ndarray, " frames"], steps: Sequence[Step], bones: Bones) -> Feet:
    """Both feet over time, beginning side by side under the origin. A planted foot joint does not move at all."""
    toes = np.zeros((len(times_s), 2, 3))
    angles = np.zeros((len(times_s), 2, 2))
    swing, ground = np.zeros((len(times_s), 2)), np.zeros((len(times_s), 2))
    landings = []
    for side in (LEFT, RIGHT):
        sign = 1.0 if side == LEFT else -1.0
        yaw = 0.1 * sign
        y = 0.0
        x, z = stance_m(side, 0.0, 0.0, 0.0, bones)
        bears = 1.0
        toes[:, side] = (x, 0.0, z)
        angles[:, side, 0] = yaw
        for step in sorted((s for s in steps if s.side == side), key=lambda s: s.lift_s):
            phase = (times_s - step.lift_s) / (step.land_s - step.lift_s)
            along = minimum_jerk(phase)
            toes[:, side, 0] += along * (step.x_m - x)
            toes[:, side, 2] += along * (step.z_m - z)
            ground[:, side] += along * (step.y_m - y)
            toes[:, side, 1] += step.height_m * bump(phase, step.rise, step.fall)
            angles[:, side, 0] += along * (step.yaw + 0.1 * sign - yaw)
            # The heel leaves before the foot does and is back down before the foot lands.
            angles[:, side, 1] += step.heel * bump((phase + 0.45) / 1.3, 0.42, 0.42)
            # Steps ahead land on the heel: the toes are up, turned about the heel, until the whole foot is down.
            ahead = (step.x_m - x) * np.sin(step.yaw) + (step.z_m - z) * np.cos(step.yaw)
            straight = 2.0 * ahead / max(float(np.hypot(step.x_m - x, step.z_m - z)), 0.3) - 1.0
            lifted = float(np.clip(step.height_m / 0.04, 0.0, 1.0))  # a foot that slides stays flat
            strike = _STRIKE * lifted * float(np.clip(straight, 0.0, 1.0)) * bump((phase - 0.45) / 0.55, 0.6, 0.6)
            angles[:, side, 1] -= strike
            toes[:, side, 1] += _HEEL_TO_TOE_M * bones.scale * np.sin(strike)
            swing[:, side] += bump((phase + 0.1) / 1.2, 0.25, 0.75) - along * (step.bears - bears)
            bears = step.bears
            swung_s = step.land_s - step.lift_s
            landings.append((step.land_s, (step.x_m - x) / swung_s, (step.z_m - z) / swung_s, step.height_m))
            x, y, z, yaw = step.x_m, step.y_m, step.z_m, step.yaw + 0.1 * sign
    toes[..., 1] += ground
    return Feet(toes, angles, np.clip(swing, 0.0, 1.0), ground, np.array(landings).reshape(-1, 4))


def stance_m(
    side: int, x_m: float, z_m: float, yaw: float, bones: Bones, *, half_m: float = STANCE_M
) -> tuple[float, float]:
    """x, z of a foot joint of somebody who stands at x, z and faces yaw; the feet point a little outwards."""
    sign = 1.0 if side == LEFT else -1.0
    toe = rotation(yaw) @ np.array([half_m * sign * bones.scale, 0.0, 0.0]) + rotation(yaw + 0.1 * sign) @ bones.foot(
        side
    )
    return x_m + float(toe[0]), z_m + float(toe[2])


def walk(
    start_s: float,
    step_s: float,
    landings_m: Sequence[float],
    *,
    first: int,
    bones: Bones,
    until_s: float,
    x_m: float = 0.0,
) -> list[Step]:
    """Steps straight ahead, foot joints landing at the z given one after the other; none that would land after until_s."""
    steps = []
    for k, z in enumerate(landings_m):
        side = (first + k) % 2
        land = start_s + (k + 1) * step_s
        if land - step_s > until_s:
            break
        x = x_m + (0.085 if side == LEFT else -0.085) * bones.scale
        steps.append(Step(side, land - 0.92 * step_s, land, x, z))
    return steps


def ground_under(feet: Feet) -> Float64[np.ndarray, " frames"]:
    """Height, m, of the ground that carries the body: that of the feet which stand, with the inertia of a body."""
    return smooth(np.sum(_standing(feet) * feet.ground_m, axis=1), 0.14 * FPS)


def _standing(feet: Feet) -> Float64[np.ndarray, "frames 2"]:
    """Shares of the weight."""
    standing = 1.0 - 0.999 * feet.swing
    return standing / standing.sum(axis=1, keepdims=True)


def pelvis_over(feet: Feet, bones: Bones, *, sway: float = 0.3) -> Float64[np.ndarray, "frames 2"]:
    """x, z of a pelvis carried by the feet: between them, a little towards the one that stands, with the inertia of a body."""
    middle = feet.middle_m(bones)
    weights = _standing(feet)
    ankles = feet.toes_m - rotation(feet.angles[..., 0]) @ bones.foot(LEFT)
    carried = np.einsum("ts,tsk->tk", weights, ankles[..., ::2]) - middle
    # Ahead and back a body rolls over its feet; to the side it leans over the one that stands.
    heading = feet.angles[..., 0].mean(axis=1)
    ahead = np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    carried -= 0.85 * np.sum(carried * ahead, axis=-1, keepdims=True) * ahead
    return smooth(middle, 0.14 * FPS) + sway * smooth(carried, 0.11 * FPS)
