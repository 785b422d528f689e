"""The table of encounters, by family."""

from egoreact.hrd.simulate.encounters import animals, balls, falling, obstacles, people, surprises, swinging, vehicles
from egoreact.hrd.simulate.encounters.encounter import Encounter

_FAMILIES = (balls, vehicles, animals, people, swinging, falling, obstacles, surprises)
ENCOUNTERS: dict[str, Encounter] = {encounter.name: encounter for family in _FAMILIES for encounter in family.TABLE}

__all__ = ["ENCOUNTERS", "Encounter"]
