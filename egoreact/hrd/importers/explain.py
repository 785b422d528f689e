"""An encounter that explains a motion: something comes that would have met the body on its old course and that it gets out of the way of.

The motion says when the body leaves its course and how (`deeds`); kinds of encounter propose what may have come (`proposals`); a
proposal holds when the thing touches the body that keeps its course (the counterfactual), keeps clear of the body as it really
moved in every frame, and is seen before the onset (`meeting`). Of those that hold, the deed likeliest for its kind wins. Where
none holds nothing comes: a made-up cause would teach a model to react to nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.importers.deeds import Course, Deed, course_at, deed_after, find_onsets
from egoreact.hrd.importers.meeting import from_where_one_stands, gap_m, in_view
from egoreact.hrd.importers.proposals import KINDS, Proposal
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import Arrival
from egoreact.hrd.simulate.encounters import ENCOUNTERS
from egoreact.hrd.simulate.scenery.places import PlaceKind
from egoreact.motion.skeleton import FPS

MIN_CLEARANCE_M = 0.03
MAX_COUNTERFACTUAL_M = 0.0
MIN_SEEN_FRAMES = 4
"""In view within the two seconds up to a moment after the onset."""
MAX_UNLIKELY = 6.0
"""A deed that is farther from what a kind calls for has another cause. 0.5 is one figure one spread away."""


@dataclass(frozen=True)
class Explanation:
    """What came, and why it is a reason."""

    encounter: str
    caption: str
    parameters: dict[str, float]
    arrival: Arrival
    """In the axes of somebody who stands at `origin_m` and faces `yaw`: what comes, comes along +z."""
    places: tuple[PlaceKind, ...]
    onset: int
    """Frame at which the body leaves its course."""
    clearance_m: float
    """Least distance from the body as it moved, of the thing and of whoever sends it."""
    counterfactual_m: float
    """Least distance from the body had it kept its course; 0 or less is a touch."""
    unlikely: float
    deed: Deed
    origin_m: Float[np.ndarray, "3"]
    yaw: float

    @property
    def details(self) -> dict:
        """JSON-able."""
        return {
            "encounter": self.encounter,
            "parameters": {name: round(float(value), 4) for name, value in self.parameters.items()},
            "onset_frame": self.onset,
            "clearance_m": round(self.clearance_m, 4),
            "counterfactual_m": round(self.counterfactual_m, 4),
            "unlikely": round(self.unlikely, 3),
            "origin_m": [round(float(x), 4) for x in self.origin_m],
            "yaw": round(self.yaw, 4),
        }


def explain(
    joints_m: Float[np.ndarray, "frames 22 3"],
    head_rotation: Float[np.ndarray, "frames 3 3"],
    *,
    fov_degrees: float = 90.0,
    seed: int = 0,
    only: str | None = None,
) -> Explanation | None:
    """The encounter that explains a motion best; None where none does.

    Args:
        joints_m: a clip's motion at 20 fps, from the origin (see `Take.from_the_origin`).
        head_rotation: R_world_head, for what is seen.
        fov_degrees: of the eyes.
        seed: of the thing's looks.
        only: the one kind of encounter that may come.

    Raises:
        EgoReactError: `only` is none of `proposals.KINDS`.
    """
    if only is not None and only not in KINDS:
        raise EgoReactError(
            f"{only!r} cannot be made up around a motion", where="category", remedy=f"use one of {', '.join(KINDS)}"
        )
    joints_m = joints_m.astype(np.float64)
    cases: list[tuple[float, str, Course, Deed]] = []
    for onset in find_onsets(joints_m):
        course = course_at(joints_m, onset)
        deed = deed_after(joints_m, course)
        cases += [
            (calls.unlikely(deed), name, course, deed)
            for name, calls in KINDS.items()
            if only in (None, name) and calls.fits(deed)
        ]
    for unlikely, name, course, deed in sorted(cases, key=lambda case: case[:2]):
        if unlikely > (MAX_UNLIKELY if only is None else 2 * MAX_UNLIKELY):
            break
        for proposal in KINDS[name].propose(joints_m, course, deed):
            found = _tried(proposal, joints_m, head_rotation, course, deed, fov_degrees, seed, unlikely)
            if found is not None:
                return found
    return None


def _tried(
    proposal: Proposal,
    joints_m: np.ndarray,
    head_rotation: np.ndarray,
    course: Course,
    deed: Deed,
    fov_degrees: float,
    seed: int,
    unlikely: float,
) -> Explanation | None:
    """The proposal as an explanation, where it is one."""
    encounter = ENCOUNTERS[proposal.encounter]
    looks = np.random.default_rng([seed, 7])
    if "who" in proposal.parameters:  # not the one in the middle each time
        who = float(np.floor(looks.uniform(*encounter.ranges["who"])))
        proposal = replace(proposal, parameters=proposal.parameters | {"who": who})
    times_s = np.arange(len(joints_m)) / FPS - proposal.begins_s
    arrival = encounter.arrive(proposal.parameters, looks, times_s)
    moved_m = from_where_one_stands(joints_m, proposal.origin_m, proposal.yaw)
    seen = in_view(arrival, moved_m, rotation(-proposal.yaw) @ head_rotation, fov_degrees)
    if seen[max(0, course.onset - 2 * FPS) : course.onset + 3].sum() < MIN_SEEN_FRAMES:
        return None
    after = slice(course.onset, len(joints_m))
    kept_m = from_where_one_stands(course.kept(joints_m), proposal.origin_m, proposal.yaw)
    comes = [solid for solid in arrival.solids if SEGMENTATION_CLASSES[solid.segment] == encounter.comes]
    counterfactual = float(gap_m(comes, kept_m, after).min())
    if counterfactual > MAX_COUNTERFACTUAL_M:
        return None
    clearance = float(gap_m(arrival.solids, moved_m).min())
    if clearance < MIN_CLEARANCE_M:
        return None
    return Explanation(
        encounter=proposal.encounter, caption=_caption(encounter.caption, deed), parameters=proposal.parameters,
        arrival=arrival, places=encounter.places, onset=course.onset, clearance_m=clearance,
        counterfactual_m=counterfactual, unlikely=unlikely, deed=deed, origin_m=proposal.origin_m, yaw=proposal.yaw,
    )  # fmt: skip


def _caption(encounters: str, deed: Deed) -> str:
    """What comes, in the encounter's words, and what this person does about it, as measured."""
    comes = encounters.partition(";")[0].partition(", who")[0].rstrip(".")
    does = []
    if abs(deed.left) > 0.25:
        does.append(f"{'leaps' if abs(deed.left) > 1.1 else 'steps'} to the {'left' if deed.left > 0 else 'right'}")
    elif abs(deed.lean) > 0.2:
        does.append(f"leans to the {'left' if deed.lean > 0 else 'right'}")
    if deed.ahead < -0.4:
        does.append("steps back" if deed.gone < -0.3 else "slows down")
    if deed.drop > 0.2:
        does.append("ducks")
    if deed.lift > 0.28:
        does.append("steps high" if deed.gone > 0.6 else "lifts a leg")
    if deed.hands > 0.1:
        does.append("raises a hand")
    return f"{comes}; the person {_listed(does) if does else 'gets out of the way'}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
