"""What is in the way of somebody who walks."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, walk
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import AT_ONCE_S, Encounter
from egoreact.hrd.simulate.encounters.walking import PACE_S, halted, walk_on, walk_up
from egoreact.hrd.simulate.things.barriers import head_bar, low_obstacle
from egoreact.hrd.simulate.things.ground import edge, slippery_ground, step_up
from egoreact.hrd.simulate.things.sides import EITHER, side_of

UNTIL_S = 30.0
"""No clip is longer: steps are laid out until then."""


def step_over(person: Person, parameters: Parameters) -> Choreography:
    """Something low lies in the way: walk on, one high step after the other over it, walk on."""
    near = parameters["distance_m"] - 0.5 * parameters["depth_m"]
    far = parameters["distance_m"] + 0.5 * parameters["depth_m"]
    start, pace = 0.22 + person.latency_s, 0.52 / person.pace
    last = near - 0.13
    count = max(2, round(last / 0.54 + 0.4))
    before = [0.13 + (last - 0.13) * (k + 0.6) / (count - 0.4) for k in range(count)]
    first = LEFT if person.left_handed else RIGHT
    steps = walk(start, pace, before, first=first, bones=person.bones, until_s=UNTIL_S)
    lead = (first + count) % 2
    over = start + count * pace
    high = parameters["height_m"] + 0.19
    for k, z in enumerate((far + 0.30, far + 0.84)):
        side = (lead + k) % 2
        x = 0.09 if side == LEFT else -0.09
        land = over + (k + 1) * 1.22 * pace
        heel = 0.55 if k == 0 else 0.75
        steps.append(Step(side, land - 1.12 * pace, land, x, z, height_m=high, heel=heel, rise=0.40, fall=0.62))
    resumed = over + 2.44 * pace
    after = [far + 0.84 + 0.58 * (k + 1) for k in range(12)]
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
    start, pace, stride = 0.22 + person.latency_s, 0.54 / person.pace, 0.56
    landings = [0.42 + stride * k for k in range(16)]
    first = LEFT if person.left_handed else RIGHT
    steps = walk(start, pace, landings, first=first, bones=person.bones, until_s=UNTIL_S)
    # The pelvis is at z about 0.5 * stride behind the newest landing; the bent head is 0.4 m ahead of the pelvis.
    under = start + pace * (1.0 + (parameters["distance_m"] - 0.42) / stride)
    down, up, bending = under - 0.25, under + 0.50, 0.90
    head_top_m = 1.80 * person.height_scale
    drop = max(head_top_m - parameters["bottom_m"] + 0.16, 0.3) / person.height_scale
    sink = min(0.62 * drop, 0.40)
    bent: tuple[HandKey, ...] = ((down - bending, HANG), (down, pose.READY), (up, pose.READY), (up + bending, HANG))
    return Choreography(
        steps=tuple(steps),
        sink=((down - bending, 0.0), (down, sink), (up, sink), (up + bending, 0.0)),
        pelvis=((down - bending, (0.0, 0.0)), (down, (0.36, 0.0)), (up, (0.36, 0.0)), (up + bending, (0.0, 0.0))),
        spine=(
            (start, (0.0, 0.05, 0.0)), (down - bending, (0.0, 0.08, 0.0)), (down, (0.0, 0.50, 0.0)), (up, (0.0, 0.50, 0.0)),
            (up + bending, (0.0, 0.08, 0.0)),
        ),
        nod=((down - bending, 0.06), (down, 0.42), (up, 0.42), (up + bending, 0.06)),
        follow=((down - 0.6, 1.0), (down, 0.0)),
        left_hand=bent,
        right_hand=bent,
        notes={"onset_s": down - bending, "walk_s": start, "under_s": under},
    )  # fmt: skip


def climb(person: Person, parameters: Parameters) -> Choreography:
    """The ground is a step higher ahead: walk up, step onto it, one foot after the other, and walk on up there."""
    edge_m, high = parameters["distance_m"], parameters["height_m"]
    start, pace = person.latency_s, PACE_S / person.pace
    up = walk_up(person, start, edge_m - 0.20)
    onto = up.end_s
    x = {LEFT: 0.09 * person.height_scale, RIGHT: -0.09 * person.height_scale}
    lead, trail, clear = up.side, 1 - up.side, 0.15 * person.amplitude
    steps = (
        Step(
            lead, onto + 0.10 * pace, onto + 1.10 * pace, x[lead], edge_m + 0.32, y_m=high, height_m=clear, heel=0.55,
            rise=0.40, fall=0.55,
        ),
        Step(
            trail, onto + 1.16 * pace, onto + 2.16 * pace, x[trail], edge_m + 0.78, y_m=high, height_m=clear, heel=0.7,
            rise=0.38, fall=0.60,
        ),
    )  # fmt: skip
    resumed = onto + 2.16 * pace
    on = halted(person, walk_on(person, resumed, edge_m + 0.78, 7, first=lead, stride_m=0.54, y_m=high), y_m=high)
    light: tuple[HandKey, ...] = (
        (onto - 0.3, HANG), (onto + 0.5, LIGHT), (resumed - 0.1, LIGHT), (resumed + 0.6, HANG),
    )  # fmt: skip
    return Choreography(
        steps=(*up.steps, *steps, *on.steps),
        sink=((onto - 0.2, 0.0), (onto + 0.4, 0.03), (resumed - 0.2, 0.03), (resumed + 0.5, 0.0)),
        shift=((onto, (0.0, 0.0)), (onto + 1.1 * pace, (0.0, 0.04)), (resumed, (0.0, 0.0))),
        pelvis=((onto, (0.0, 0.0)), (onto + 0.6, (0.08, 0.0)), (resumed, (0.06, 0.0)), (resumed + 0.6, (0.0, 0.0))),
        spine=(
            (start, (0.0, 0.04, 0.0)), (start + 0.6, (0.0, 0.08, 0.0)), (onto, (0.0, 0.10, 0.0)), (onto + 0.6, (0.0, 0.20 * person.amplitude, 0.0)),
            (resumed, (0.0, 0.16, 0.0)), (resumed + 0.7, (0.0, 0.07, 0.0)),
        ),
        left_hand=light,
        right_hand=light,
        notes={"onset_s": onto, "walk_s": start},
    )  # fmt: skip


def stop_short(person: Person, parameters: Parameters) -> Choreography:
    """The floor ends: stop short, back with the arms out as if about to fall, look down, then step away from it."""
    start = person.latency_s
    stop = parameters["distance_m"] - 0.16
    up = walk_up(person, start, stop)
    halt = up.end_s
    stand = halted(person, up, z_m=stop - 0.08)
    side, sign = stand.side, 1.0 if stand.side == LEFT else -1.0
    away = halt + 1.35
    back = 0.44 * person.amplitude
    steps = (
        Step(side, away, away + 0.44, 0.11 * sign, stop - back, height_m=0.05, heel=0.15),
        Step(1 - side, away + 0.42, away + 0.90, -0.11 * sign, stop - 1.6 * back, height_m=0.05, heel=0.15),
        Step(side, away + 0.88, away + 1.34, 0.11 * sign, stop - 1.6 * back, height_m=0.05, heel=0.15),
    )
    onset = halt - 0.32
    # Arms fly out and round, one a little behind the other.
    flung: tuple[HandKey, ...] = (
        (onset, HANG), (halt + 0.10, UP_AND_OUT), (halt + 0.34, DOWN_AND_OUT), (halt + 0.60, UP_AND_OUT), (halt + 0.95, DOWN_AND_OUT),
        (away + 0.5, pose.BALANCE), (away + 1.3, HANG),
    )  # fmt: skip
    behind: tuple[HandKey, ...] = tuple((time + (0.06 if time < away else 0.0), hand) for time, hand in flung)
    lean = person.amplitude
    return Choreography(
        steps=(*stand.steps, *steps),
        sink=((onset, 0.0), (halt + 0.2, 0.09), (halt + 0.7, 0.05), (away, 0.06), (away + 1.2, 0.0)),
        shift=(
            (onset, (0.0, 0.0)), (halt + 0.05, (0.0, 0.04)), (halt + 0.48, (0.0, -0.11 * lean)), (halt + 0.95, (0.0, -0.04)),
            (away + 0.3, (0.0, -0.07)), (away + 1.2, (0.0, 0.0)),
        ),
        pelvis=(
            (onset, (0.0, 0.0)), (halt, (0.05, 0.0)), (halt + 0.46, (-0.12 * lean, 0.03 * sign)), (halt + 1.0, (0.05, 0.0)),
            (away + 0.5, (0.04, 0.0)),
        ),
        spine=(
            (start, (0.0, 0.04, 0.0)), (start + 0.6, (0.0, 0.08, 0.0)), (halt - 0.05, (0.0, 0.14, 0.0)),
            (halt + 0.46, (0.05 * sign, -0.17 * lean, -0.05 * sign)), (halt + 1.05, (0.0, 0.20, 0.0)), (away, (0.0, 0.22, 0.0)),
            (away + 1.0, (0.0, 0.06, 0.0)),
        ),
        nod=((halt, 0.06), (halt + 0.7, 0.48), (away + 0.2, 0.48), (away + 1.2, 0.25)),
        follow=((onset - 0.2, 0.3), (onset, 0.8), (halt + 0.3, 0.5), (halt + 0.7, 0.0)),
        left_hand=flung if side == LEFT else behind,
        right_hand=behind if side == LEFT else flung,
        notes={"onset_s": onset, "walk_s": start, "halt_s": halt, "away_s": away},
    )  # fmt: skip


def slip_and_recover(person: Person, parameters: Parameters) -> Choreography:
    """A foot comes down on ice and slides away: down goes the pelvis, out go the arms, quick steps catch the body again."""
    start = person.latency_s
    land_m = parameters["distance_m"] + 0.34
    slide = parameters["slide_m"] * person.amplitude * person.height_scale
    up = walk_up(person, start, land_m, lands=LEFT if side_of(parameters) > 0 else RIGHT)
    slips, other = 1 - up.side, up.side
    sign = 1.0 if slips == LEFT else -1.0
    x = {LEFT: 0.1 * person.height_scale, RIGHT: -0.1 * person.height_scale}
    slip = up.end_s + 0.02
    steps = (
        *up.steps,
        # Flat along the ice, and a little outward.
        Step(slips, slip, slip + 0.30, x[slips] + 0.05 * sign, land_m + slide, yaw=0.12 * sign, height_m=0.0, heel=0.0),
        Step(
            other,
            slip + 0.20,
            slip + 0.46,
            x[other] - 0.10 * sign,
            land_m + 0.14,
            height_m=0.07,
            heel=0.3,
            yaw=-0.2 * sign,
        ),
        Step(slips, slip + 0.50, slip + 0.76, x[slips] + 0.02 * sign, land_m + 0.30, height_m=0.06, heel=0.1),
        Step(other, slip + 0.80, slip + 1.08, x[other], land_m + 0.62, height_m=0.06, heel=0.25),
        Step(slips, slip + 1.16, slip + 1.50, x[slips], land_m + 0.95, height_m=0.06, heel=0.25),
        Step(other, slip + 1.66, slip + 2.06, x[other], land_m + 1.36, height_m=0.07, heel=0.35),
    )
    gone = halted(person, walk_on(person, slip + 2.10, land_m + 1.36, 5, first=slips, stride_m=0.48))
    near: tuple[HandKey, ...] = (
        (slip + 0.04, HANG), (slip + 0.30, DOWN_AND_OUT), (slip + 0.52, UP_AND_OUT), (slip + 0.95, DOWN_AND_OUT), (slip + 1.5, pose.BALANCE),
        (slip + 2.5, HANG),
    )  # fmt: skip
    far: tuple[HandKey, ...] = (
        (slip + 0.05, HANG), (slip + 0.33, UP_AND_OUT), (slip + 0.62, DOWN_AND_OUT), (slip + 0.95, UP_AND_OUT), (slip + 1.6, pose.BALANCE),
        (slip + 2.6, HANG),
    )  # fmt: skip
    deep = 0.17 * person.amplitude
    return Choreography(
        steps=(*steps, *gone.steps),
        sink=((slip - 0.05, 0.0), (slip + 0.34, deep), (slip + 0.62, 0.6 * deep), (slip + 0.9, 0.10), (slip + 1.6, 0.05), (slip + 2.4, 0.01)),
        shift=(
            (slip, (0.0, 0.0)), (slip + 0.34, (-0.03 * sign, -0.08)), (slip + 0.84, (0.02 * sign, 0.04)), (slip + 1.4, (0.0, 0.0)),
        ),
        pelvis=(
            (slip, (0.0, 0.0)), (slip + 0.36, (-0.17, -0.09 * sign)), (slip + 0.86, (0.10, 0.04 * sign)), (slip + 1.5, (0.05, 0.0)),
            (slip + 2.4, (0.0, 0.0)),
        ),
        spine=(
            (start, (0.0, 0.04, 0.0)), (start + 0.6, (0.0, 0.08, 0.0)), (slip + 0.04, (0.0, 0.08, 0.0)),
            (slip + 0.40, (0.22 * sign, -0.16, -0.16 * sign)), (slip + 0.95, (-0.12 * sign, 0.22, 0.10 * sign)),
            (slip + 1.40, (0.0, 0.18, 0.0)), (slip + 2.4, (0.0, 0.08, 0.0)),
        ),
        nod=((slip, 0.06), (slip + 0.4, 0.0), (slip + 0.9, 0.34), (slip + 2.0, 0.30), (slip + 2.8, 0.10)),
        follow=((slip, 0.55), (slip + 0.25, 0.0)),
        left_hand=near if slips == LEFT else far,
        right_hand=far if slips == LEFT else near,
        notes={"onset_s": slip, "walk_s": start, "slip_s": slip},
    )  # fmt: skip


LIGHT = Hand((0.30, -0.74, 0.30), (0.5, -0.4, -0.8))
UP_AND_OUT = Hand((0.80, 0.18, 0.22), (0.2, -0.9, -0.4))
DOWN_AND_OUT = Hand((0.74, -0.34, 0.34), (0.2, -0.7, -0.6))

TABLE = (
    Encounter(
        name="low_obstacle",
        caption="Something low lies in the way; the person walks up to it, steps over it with high knees and walks on.",
        comes="low_obstacle",
        ranges={"distance_m": (1.4, 2.4), "height_m": (0.24, 0.34), "depth_m": (0.18, 0.30)},
        waits_s=AT_ONCE_S,
        places=("room", "street"),
        arrive=low_obstacle,
        react=step_over,
    ),
    Encounter(
        name="head_bar",
        caption="A bar hangs across the way at head height; the person walks up to it, ducks under it and walks on.",
        comes="bar",
        ranges={"distance_m": (1.6, 2.7), "bottom_m": (1.46, 1.56)},
        waits_s=AT_ONCE_S,
        places=("room", "street"),
        arrive=head_bar,
        react=duck_under,
    ),
    Encounter(
        name="step_up",
        caption="The ground is a step higher ahead; the person walks up to it, steps up onto it and walks on.",
        comes="ground",
        ranges={"distance_m": (1.25, 2.55), "height_m": (0.14, 0.22)},
        waits_s=AT_ONCE_S,
        places=("room", "street"),
        arrive=step_up,
        react=climb,
    ),
    Encounter(
        name="edge",
        caption="The floor ends at the edge of a pit; the person stops short, leans back with the arms out, looks down and backs away.",
        comes="ground",
        ranges={"distance_m": (1.3, 2.6)},
        waits_s=AT_ONCE_S,
        places=("room", "street"),
        arrive=edge,
        react=stop_short,
    ),
    Encounter(
        name="slippery_ground",
        caption="A foot slips on ice; the person's arms fly out, the body drops, and quick steps catch it again.",
        comes="ground",
        ranges={"side": EITHER, "distance_m": (0.95, 2.15), "slide_m": (0.28, 0.39)},
        waits_s=AT_ONCE_S,
        places=("room", "street"),
        arrive=slippery_ground,
        react=slip_and_recover,
    ),
)
