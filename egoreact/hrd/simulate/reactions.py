"""What a person does about each kind of encounter: a pure function of who they are and of what comes.

`parameters` are those of the encounter (see encounters.py); times are seconds from the clip's start. Places are in
the world, the person starting at the origin and facing +z with the left at +x.
"""

from egoreact.hrd.simulate import choreography as pose
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step, walk

CLIP_END_S = 30.0


def sidestep_right(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the left: step to the right, lean away, shield the head with the left arm."""
    return _sidestep(person, parameters, sign=-1.0)


def sidestep_left(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the right: the mirror image."""
    return _sidestep(person, parameters, sign=1.0)


def _sidestep(person: Person, parameters: Parameters, *, sign: float) -> Choreography:
    onset = parameters["contact_s"] - 0.78 + person.latency_s
    reach = 0.74 * person.amplitude
    lead, trail = (LEFT, RIGHT) if sign > 0 else (RIGHT, LEFT)
    stance = 0.12 * sign
    steps = (
        Step(lead, onset + 0.02, onset + 0.40, sign * (reach + 0.02) + stance, 0.10, yaw=0.25 * sign, height_m=0.11),
        Step(trail, onset + 0.34, onset + 0.80, sign * reach - stance, 0.13, height_m=0.09),
    )
    lean = -0.27 * sign * person.amplitude
    shielding: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.42, pose.SHIELD), (onset + 0.95, pose.SHIELD), (onset + 1.75, pose.READY),
    )  # fmt: skip
    balancing: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, pose.OUT), (onset + 0.95, pose.OUT), (onset + 1.8, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.05, 0.0), (onset + 0.42, 0.14 * person.amplitude), (onset + 1.0, 0.10), (onset + 1.9, 0.05)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.45, (0.10, 0.4 * lean)), (onset + 1.7, (0.05, 0.1 * lean))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.45, (0.15 * sign, 0.16, lean)), (onset + 0.9, (0.1 * sign, 0.16, lean)),
            (onset + 1.9, (0.0, 0.10, 0.35 * lean)),
        ),
        left_hand=shielding if sign < 0 else balancing,
        right_hand=balancing if sign < 0 else shielding,
        notes={"onset_s": onset},
    )  # fmt: skip


def duck(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the head: down on bent legs, head in, arms over it; stay low."""
    onset = parameters["contact_s"] - 0.72 + person.latency_s
    deep = 0.40 * person.amplitude
    steps = (
        Step(LEFT, onset + 0.05, onset + 0.33, 0.19, 0.16, yaw=0.12, height_m=0.05),
        Step(RIGHT, onset + 0.22, onset + 0.50, -0.17, 0.02, yaw=-0.12, height_m=0.05),
    )
    cover: tuple[HandKey, ...] = (
        (onset - 0.05, HANG), (onset + 0.28, LIFT), (onset + 0.62, pose.COVER), (onset + 1.2, pose.COVER), (onset + 2.0, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.55, deep), (onset + 1.3, deep), (onset + 2.3, 0.8 * deep)),
        shift=((onset, (0.0, 0.0)), (onset + 0.55, (0.0, -0.10))),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.5, (0.38, 0.0)), (onset + 2.3, (0.34, 0.0))),
        spine=((onset, (0.0, 0.04, 0.0)), (onset + 0.5, (0.0, 0.42, 0.0)), (onset + 2.3, (0.0, 0.30, 0.0))),
        nod=((onset, 0.06), (onset + 0.5, 0.34), (onset + 1.2, 0.34), (onset + 2.2, 0.12)),
        follow=((onset, 1.0), (onset + 0.35, 0.15), (onset + 1.4, 0.15), (onset + 2.0, 0.6)),
        left_hand=cover,
        right_hand=cover,
        notes={"onset_s": onset},
    )


def step_over(person: Person, parameters: Parameters) -> Choreography:
    """Something low lies in the way: walk on, one high step after the other over it, walk on."""
    near = parameters["distance_m"] - 0.5 * parameters["depth_m"]
    far = parameters["distance_m"] + 0.5 * parameters["depth_m"]
    start, pace = 0.22 + person.latency_s, 0.52 / person.pace
    last = near - 0.20
    count = max(2, round(last / 0.56))
    before = [0.13 + (last - 0.13) * (k + 0.6) / (count - 0.4) for k in range(count)]
    first = LEFT if person.left_handed else RIGHT
    steps = walk(start, pace, before, first=first, bones=person.bones, until_s=CLIP_END_S)
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
    steps += walk(resumed, pace, after, first=lead, bones=person.bones, until_s=CLIP_END_S)
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
    steps = walk(start, pace, landings, first=first, bones=person.bones, until_s=CLIP_END_S)
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


def make_way_and_wave(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes: two steps towards them, one aside to the left, stop and wave."""
    start, pace = 0.25 + person.latency_s, 0.50 / person.pace
    reach = 0.62 * person.amplitude
    aside = start + 2 * pace
    steps = (
        Step(RIGHT, start + 0.04, start + pace, -0.10, 0.60),
        Step(LEFT, start + pace, start + 2 * pace, 0.12, 1.00),
        Step(RIGHT, aside + 0.02, aside + 0.44, reach - 0.26, 1.06, yaw=-0.1),
        Step(LEFT, aside + 0.42, aside + 0.84, reach + 0.10, 1.04, yaw=0.0),
        Step(RIGHT, aside + 0.84, aside + 1.18, reach - 0.10, 1.06, yaw=-0.15, height_m=0.06),
    )
    hello = aside + 0.45
    waving: list[HandKey] = [(hello - 0.05, HANG), (hello + 0.5, pose.WAVE_IN)]
    waving += [(hello + 0.5 + 0.26 * (k + 1), pose.WAVE_OUT if k % 2 == 0 else pose.WAVE_IN) for k in range(9)]
    waving += [(hello + 3.4, HANG)]
    resting: tuple[HandKey, ...] = ((0.0, HANG),)
    return Choreography(
        steps=steps,
        turn=((aside, 0.0), (aside + 0.8, -0.16)),
        spine=((start, (0.0, 0.04, 0.0)), (hello, (0.0, 0.07, 0.02)), (hello + 0.6, (0.0, 0.0, -0.03))),
        left_hand=tuple(waving) if person.left_handed else resting,
        right_hand=resting if person.left_handed else tuple(waving),
        notes={"onset_s": start, "wave_s": hello},
    )


def step_back(person: Person, parameters: Parameters) -> Choreography:
    """A dog runs up: step by step backwards, hands low between it and oneself."""
    # People start back when the dog is about 2.8 m away.
    onset = (parameters["distance_m"] - 2.8) / parameters["speed_m_s"] + person.latency_s
    reach = 1.15 * person.amplitude
    steps = (
        Step(RIGHT, onset, onset + 0.36, -0.13, 0.13 - 0.42 * reach, heel=0.15),
        Step(LEFT, onset + 0.32, onset + 0.72, 0.13, 0.13 - 0.86 * reach, heel=0.15),
        Step(RIGHT, onset + 0.68, onset + 1.10, -0.14, 0.13 - 1.06 * reach, heel=0.15),
    )
    low: tuple[HandKey, ...] = (
        (onset, HANG),
        (onset + 0.5, pose.LOW),
        (onset + 2.0, pose.LOW),
        (onset + 3.2, pose.LOW),
    )
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.5, 0.09), (onset + 1.2, 0.12), (onset + 2.4, 0.09)),
        shift=((onset, (0.0, 0.0)), (onset + 0.5, (0.0, -0.05)), (onset + 1.4, (0.0, -0.02))),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.45, (-0.06, 0.0)), (onset + 1.3, (0.16, 0.0))),
        spine=((onset, (0.0, 0.04, 0.0)), (onset + 0.45, (0.0, -0.06, 0.0)), (onset + 1.4, (0.0, 0.20, 0.0))),
        left_hand=low,
        right_hand=low,
        notes={"onset_s": onset},
    )


def leap_aside(person: Person, parameters: Parameters) -> Choreography:
    """A car comes: two leaps to the right and back, off the road, low and with the arms out."""
    onset = parameters["contact_s"] - 1.30 + person.latency_s
    far, back = -1.80 * person.amplitude, -0.50 * person.amplitude
    steps = (
        Step(RIGHT, onset + 0.06, onset + 0.36, 0.48 * far - 0.12, 0.13 + 0.15 * back, yaw=-0.35, height_m=0.16),
        Step(LEFT, onset + 0.30, onset + 0.62, 0.48 * far + 0.12, 0.13 + 0.45 * back, yaw=-0.2, height_m=0.14),
        Step(RIGHT, onset + 0.58, onset + 0.90, far - 0.14, 0.13 + 0.75 * back, yaw=-0.35, height_m=0.16),
        Step(LEFT, onset + 0.84, onset + 1.18, far + 0.14, 0.13 + back, yaw=0.0, height_m=0.12),
    )
    arms: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.35, pose.OUT), (onset + 1.0, pose.OUT), (onset + 1.5, GUARD_LOW), (onset + 2.2, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.05, 0.0), (onset + 0.3, 0.15), (onset + 0.9, 0.12), (onset + 1.25, 0.2), (onset + 2.0, 0.08)),
        turn=((onset, 0.0), (onset + 0.5, -0.45), (onset + 0.9, -0.35), (onset + 1.6, 0.15)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.35, (0.18, 0.12)), (onset + 1.2, (0.15, -0.05)), (onset + 2.0, (0.05, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.4, (0.2, 0.25, 0.2)), (onset + 1.2, (0.1, 0.22, -0.08)),
            (onset + 2.0, (0.0, 0.08, 0.0)),
        ),
        left_hand=arms,
        right_hand=arms,
        notes={"onset_s": onset},
    )  # fmt: skip


GUARD_LOW = Hand((0.12, -0.12, 0.5), pose.GUARD.elbow)
LIFT = Hand((0.25, -0.1, 0.6), (0.8, -0.5, 0.0))
