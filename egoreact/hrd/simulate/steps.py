"""Where feet stand, when they leave the floor and where they land; the pelvis follows the feet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.curves import bump, minimum_jerk, smooth
from egoreact.hrd.simulate.kinematics import Bones, rotation
from egoreact.motion.skeleton import FPS

LEFT, RIGHT = 0, 1
STANCE_M = 0.1
"""Half the distance between the feet of a person who stands."""


@dataclass(frozen=True)
class Step:
    """One foot from where it stands to (x_m, z_m), where its foot joint lands."""

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


@dataclass(frozen=True)
class Feet:
    toes_m: Float64[np.ndarray, "frames 2 3"]
    angles: Float64[np.ndarray, "frames 2 2"]
    """Yaw, pitch."""
    swing: Float64[np.ndarray, "frames 2"]
    """1 while the foot is in the air, 0 on the floor, eased between."""

    def middle_m(self, bones: Bones) -> Float64[np.ndarray, "frames 2"]:
        """x, z between the ankles."""
        ankles = self.toes_m - rotation(self.angles[..., 0]) @ bones.foot(LEFT)
        return ankles.mean(axis=1)[:, ::2]


def lay_out(times_s: Float64[np.ndarray, " frames"], steps: Sequence[Step], bones: Bones) -> Feet:
    """Both feet over time, beginning side by side under the origin. A planted foot joint does not move at all."""
    toes = np.zeros((len(times_s), 2, 3))
    angles = np.zeros((len(times_s), 2, 2))
    swing = np.zeros((len(times_s), 2))
    for side in (LEFT, RIGHT):
        sign = 1.0 if side == LEFT else -1.0
        yaw = 0.1 * sign
        toe = np.array([0.0, 0.0, 0.0]) + rotation(yaw) @ bones.foot(side)
        x, z = STANCE_M * sign * bones.scale + toe[0], toe[2]
        toes[:, side] = (x, 0.0, z)
        angles[:, side, 0] = yaw
        for step in sorted((s for s in steps if s.side == side), key=lambda s: s.lift_s):
            phase = (times_s - step.lift_s) / (step.land_s - step.lift_s)
            along = minimum_jerk(phase)
            toes[:, side, 0] += along * (step.x_m - x)
            toes[:, side, 2] += along * (step.z_m - z)
            toes[:, side, 1] += step.height_m * bump(phase, step.rise, step.fall)
            angles[:, side, 0] += along * (step.yaw + 0.1 * sign - yaw)
            # The heel leaves before the foot does and is back down before the foot lands.
            angles[:, side, 1] += step.heel * bump((phase + 0.45) / 1.3, 0.42, 0.42)
            swing[:, side] += bump((phase + 0.1) / 1.2, 0.25, 0.75)
            x, z, yaw = step.x_m, step.z_m, step.yaw + 0.1 * sign
    return Feet(toes, angles, np.clip(swing, 0.0, 1.0))


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


def pelvis_over(feet: Feet, bones: Bones, *, sway: float = 0.3) -> Float64[np.ndarray, "frames 2"]:
    """x, z of a pelvis carried by the feet: between them, a little towards the one that stands, with the inertia of a body."""
    middle = feet.middle_m(bones)
    standing = 1.0 - 0.999 * feet.swing
    weights = standing / standing.sum(axis=1, keepdims=True)
    ankles = feet.toes_m - rotation(feet.angles[..., 0]) @ bones.foot(LEFT)
    carried = np.einsum("ts,tsk->tk", weights, ankles[..., ::2]) - middle
    carried[:, 1] *= 0.15
    return smooth(middle, 0.14 * FPS) + sway * smooth(carried, 0.11 * FPS)
