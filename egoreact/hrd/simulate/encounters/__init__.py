"""The table of encounters, by family."""

from egoreact.hrd.simulate.encounters import animals, balls, obstacles, people, vehicles
from egoreact.hrd.simulate.encounters.encounter import Encounter

_FAMILIES = (balls, vehicles, animals, people, obstacles)
ENCOUNTERS: dict[str, Encounter] = {encounter.name: encounter for family in _FAMILIES for encounter in family.TABLE}

__all__ = ["ENCOUNTERS", "Encounter"]
