"""HRD's simulator: encounters, the people who react to them, and what their eyes see."""

from egoreact.hrd.simulate.config import SimulatorConfig
from egoreact.hrd.simulate.encounters import ENCOUNTERS, Encounter
from egoreact.hrd.simulate.simulate import simulate_clip

__all__ = ["ENCOUNTERS", "Encounter", "SimulatorConfig", "simulate_clip"]
