"""Who meets the encounter: size, quickness, handedness. Differences are small, as between people, and stay the same in a clip."""

from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import Bones


@dataclass(frozen=True)
class Person:
    height_scale: float = 1.0
    """Against the reference body of about 1.75 m."""
    latency_s: float = 0.0
    """Later (or, below 0, earlier) than people react on average."""
    amplitude: float = 1.0
    """How far this person moves, against the average."""
    pace: float = 1.0
    """How fast this person walks, against the average."""
    left_handed: bool = False
    sway_phase: float = 0.0
    """Of the breath."""
    temper: int = 0
    """Seed of how this person sways and wavers."""

    @property
    def bones(self) -> Bones:
        return Bones(self.height_scale)


def sample_person(rng: np.random.Generator) -> Person:
    return Person(
        height_scale=float(np.clip(rng.normal(1.0, 0.04), 0.92, 1.08)),
        latency_s=float(np.clip(rng.normal(0.0, 0.04), -0.08, 0.08)),
        amplitude=float(np.clip(rng.normal(1.0, 0.06), 0.88, 1.12)),
        pace=float(np.clip(rng.normal(1.0, 0.03), 0.94, 1.06)),
        left_handed=bool(rng.random() < 0.1),
        sway_phase=float(rng.uniform(0, 2 * np.pi)),
        temper=int(rng.integers(2**31)),
    )
