"""What is in the way of somebody who walks."""

from egoreact.hrd.simulate import choreography as pose
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.choreography import HANG, Choreography, HandKey
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step, walk
from egoreact.hrd.simulate.things.barriers import head_bar, low_obstacle

UNTIL_S = 30.0
"""No clip is longer: steps are laid out until then."""


def step_over(person: Person, parameters: Parameters) -> Choreography:
    """Something low lies in the way: walk on, one high step after the other over it, walk on."""
    near = parameters["distance_m"] - 0.5 * parameters["depth_m"]
    far = parameters["distance_m"] + 0.5 * parameters["depth_m"]
    start, pace = 0.22 + person.latency_s, 0.52 / person.pace
    last = near - 0.20
    count = max(2, round(last / 0.56))
    before = [0.13 + (last - 0.13) * (k + 0.6) / (count - 0.4) for k in range(count)]
    first = LEFT if person.left_handed else RIGHT
    steps = walk(start, pace, before, first=first, bones=person.bones, until_s=UNTIL_S)
    lead = (first + count) % 2
    over = start + count * pace
    high = parameters["height_m"] + 0.17
    for k, z in enumerate((far + 0.38, far + 0.72)):
        side = (lead + k) % 2
        x = 0.09 if side == LEFT else -0.09
        land = over + (k + 1) * 1.22 * pace
        heel = 0.55 if k == 0 else 0.75
        steps.append(Step(side, land - 1.12 * pace, land, x, z, height_m=high, heel=heel, rise=0.40, fall=0.62))
    resumed = over + 2.44 * pace
    after = [far + 0.72 + 0.62 * (k + 1) for k in range(12)]
    steps += walk(resumed, pace, after, first=lead, bones=person.bones, until_s=UNTIL_S)
    return Choreography(
        steps=tuple(steps),
        sink=((over - 0.2, 0.0), (over + 0.5, 0.02), (resumed, 0.02), (resumed + 0.5, 0.0)),
        spine=(
            (start, (0.0, 0.04, 0.0)), (start + 0.6, (0.0, 0.09, 0.0)), (over, (0.0, 0.09, 0.0)),
            (over + 0.5, (0.0, 0.20, 0.0)), (resumed, (0.0, 0.16, 0.0)), (resumed + 0.6, (0.0, 0.09, 0.0)),
        ),
        left_hand=((over - 0.3, HANG), (over + 0.4, pose.BALANCE), (resumed, pose.BALANCE), (resumed + 0.6, HANG)),
        right_hand=((over - 0.3, HANG), (over + 0.4, pose.BALANCE), (resumed, pose.BALANCE), (resumed + 0.6, HANG)),
        notes={"onset_s": over, "walk_s": start},
    )  # fmt: skip


def duck_under(person: Person, parameters: Parameters) -> Choreography:
    """A bar hangs at head height: walk on, bend under it, rise and walk on."""
    start, pace, stride = 0.22 + person.latency_s, 0.52 / person.pace, 0.58
    landings = [0.42 + stride * k for k in range(16)]
    first = LEFT if person.left_handed else RIGHT
    steps = walk(start, pace, landings, first=first, bones=person.bones, until_s=UNTIL_S)
    # The pelvis is at z about 0.5 * stride behind the newest landing; the bent head is 0.4 m ahead of the pelvis.
    under = start + pace * (1.0 + (parameters["distance_m"] - 0.42) / stride)
    down, up = under - 0.25, under + 0.50
    head_top_m = 1.80 * person.height_scale
    drop = max(head_top_m - parameters["bottom_m"] + 0.16, 0.3) / person.height_scale
    sink = min(0.62 * drop, 0.40)
    bent: tuple[HandKey, ...] = ((down - 0.75, HANG), (down, pose.READY), (up, pose.READY), (up + 0.7, HANG))
    return Choreography(
        steps=tuple(steps),
        sink=((down - 0.75, 0.0), (down, sink), (up, sink), (up + 0.7, 0.0)),
        pelvis=((down - 0.75, (0.0, 0.0)), (down, (0.36, 0.0)), (up, (0.36, 0.0)), (up + 0.7, (0.0, 0.0))),
        spine=(
            (start, (0.0, 0.05, 0.0)), (down - 0.75, (0.0, 0.08, 0.0)), (down, (0.0, 0.50, 0.0)), (up, (0.0, 0.50, 0.0)),
            (up + 0.7, (0.0, 0.08, 0.0)),
        ),
        nod=((down - 0.75, 0.06), (down, 0.42), (up, 0.42), (up + 0.7, 0.06)),
        follow=((down - 0.6, 1.0), (down, 0.0)),
        left_hand=bent,
        right_hand=bent,
        notes={"onset_s": down - 0.75, "walk_s": start, "under_s": under},
    )  # fmt: skip


TABLE = (
    Encounter(
        name="low_obstacle",
        caption="Something low lies in the way; the person walks up to it, steps over it with high knees and walks on.",
        comes="low_obstacle",
        ranges={"distance_m": (1.7, 2.2), "height_m": (0.24, 0.34), "depth_m": (0.18, 0.30)},
        places=("room", "street"),
        arrive=low_obstacle,
        react=step_over,
    ),
    Encounter(
        name="head_bar",
        caption="A bar hangs across the way at head height; the person walks up to it, ducks under it and walks on.",
        comes="bar",
        ranges={"distance_m": (1.9, 2.4), "bottom_m": (1.46, 1.56)},
        places=("room", "street"),
        arrive=head_bar,
        react=duck_under,
    ),
)
