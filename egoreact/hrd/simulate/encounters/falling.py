"""What falls from above."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.things.rack import falling_box
from egoreact.hrd.simulate.things.rain import missing, rain
from egoreact.hrd.simulate.things.sides import EITHER, side_of

OVER = Hand((-0.06, 0.58, 0.40), (0.9, 0.0, 0.3))
ROOF = Hand((-0.16, 0.60, 0.10), (0.95, 0.1, 0.3))


def jump_back(person: Person, parameters: Parameters) -> Choreography:
    """A box tips off a rack: look up, jump back with the arms over the head, then look at where it lies."""
    onset = parameters["tip_s"] + 0.28 + person.latency_s
    reach = 1.05 * person.amplitude
    lead, trail = (LEFT, RIGHT) if person.left_handed else (RIGHT, LEFT)
    sign = 1.0 if lead == LEFT else -1.0
    steps = (
        Step(lead, onset + 0.06, onset + 0.36, 0.14 * sign, 0.13 - 0.52 * reach, height_m=0.10, heel=0.25),
        Step(trail, onset + 0.20, onset + 0.54, -0.14 * sign, 0.13 - 0.82 * reach, height_m=0.11, heel=0.3),
        Step(lead, onset + 0.56, onset + 0.88, 0.12 * sign, 0.13 - reach, height_m=0.07, heel=0.2),
        Step(trail, onset + 1.00, onset + 1.34, -0.12 * sign, 0.10 - reach, height_m=0.05, heel=0.2),
    )
    cover: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.38, OVER), (onset + 0.95, ROOF), (onset + 1.5, pose.GUARD), (onset + 2.3, pose.READY),
    )  # fmt: skip
    late: tuple[HandKey, ...] = (
        (onset + 0.03, HANG), (onset + 0.42, OVER), (onset + 1.0, ROOF), (onset + 1.6, pose.READY), (onset + 2.4, HANG),
    )  # fmt: skip
    deep = 0.13 * person.amplitude
    return Choreography(
        steps=steps,
        sink=((onset - 0.04, 0.0), (onset + 0.18, 0.09), (onset + 0.4, 0.06), (onset + 0.8, deep), (onset + 1.3, deep), (onset + 2.1, 0.03)),
        shift=((onset, (0.0, 0.0)), (onset + 0.2, (0.0, -0.06)), (onset + 0.8, (0.0, -0.02)), (onset + 1.6, (0.0, 0.0))),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.3, (-0.06, 0.0)), (onset + 0.85, (0.16, 0.0)), (onset + 1.9, (0.06, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.28, (0.0, -0.10, 0.0)), (onset + 0.85, (0.0, 0.30, 0.0)),
            (onset + 1.4, (0.0, 0.26, 0.0)), (onset + 2.2, (0.0, 0.12, 0.0)),
        ),
        nod=((onset + 0.3, 0.06), (onset + 0.7, 0.30), (onset + 1.6, 0.2)),
        follow=((onset + 0.3, 1.0), (onset + 0.6, 0.35), (onset + 1.1, 0.35), (onset + 1.5, 1.0)),
        left_hand=cover if lead == LEFT else late,
        right_hand=late if lead == LEFT else cover,
        notes={"onset_s": onset},
    )  # fmt: skip


def hurry_out(person: Person, parameters: Parameters) -> Choreography:
    """Things rain down: hunch, arms over the head, and out to the side with short quick steps."""
    sign = side_of(parameters)
    onset = parameters["first_s"] + 0.16 + person.latency_s
    pace, far = 0.37 / person.pace, person.amplitude
    lead, trail = (LEFT, RIGHT) if sign > 0 else (RIGHT, LEFT)
    go = onset + 0.28
    # Where the feet land, from the middle: out to the side and forward, ever straighter as the body turns that way.
    track = ((0.34, 0.30), (0.42, 0.72), (1.00, 0.92), (1.14, 1.36), (1.66, 1.48), (1.74, 1.62))
    turns = (0.5, 0.7, 0.9, 0.9, 0.8, 0.75)
    steps = tuple(
        Step(
            (lead, trail)[k % 2], go + (k + 0.04) * pace, go + (k + 1.06) * pace, sign * x * far, z * far, yaw=sign * turn,
            height_m=0.10 if k < 5 else 0.06, heel=0.45 if k < 5 else 0.2,
        )
        for k, ((x, z), turn) in enumerate(zip(track, turns, strict=True))
    )  # fmt: skip
    out = go + len(track) * pace
    cover: tuple[HandKey, ...] = (
        (onset - 0.02, HANG), (onset + 0.30, LIFTED), (onset + 0.66, ROOF), (out - 0.1, ROOF), (out + 0.5, pose.GUARD), (out + 1.2, pose.READY),
    )  # fmt: skip
    after: tuple[HandKey, ...] = (
        (onset + 0.02, HANG), (onset + 0.36, LIFTED), (onset + 0.74, ROOF), (out + 0.1, ROOF), (out + 0.9, pose.READY),
    )  # fmt: skip
    deep = 0.17 * far
    return Choreography(
        steps=steps,
        sink=((onset - 0.02, 0.0), (onset + 0.45, deep), (out - 0.2, 0.8 * deep), (out + 0.7, 0.05)),
        turn=((go - 0.1, 0.0), (go + 2.2 * pace, 0.85 * sign), (out, 0.8 * sign)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.46, (0.22, 0.0)), (out - 0.2, (0.20, 0.0)), (out + 0.6, (0.04, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.42, (0.0, 0.40, 0.0)), (out - 0.2, (0.0, 0.36, 0.0)), (out + 0.7, (-0.3 * sign, 0.08, 0.0)),
        ),
        nod=((onset, 0.06), (onset + 0.3, 0.36), (go + 2 * pace, 0.22), (out, 0.16), (out + 0.6, 0.06)),
        glance=((out - 0.1, 0.0), (out + 0.4, -0.5 * sign)),
        follow=((onset - 0.05, 1.0), (onset + 0.2, 0.0)),
        left_hand=cover if lead == LEFT else after,
        right_hand=after if lead == LEFT else cover,
        notes={"onset_s": onset, "out_s": out},
    )  # fmt: skip


LIFTED = Hand((0.25, -0.1, 0.55), (0.8, -0.5, 0.0))

TABLE = (
    Encounter(
        name="falling_box",
        caption="A box tips off a rack above; the person looks up, jumps back and covers the head, and the box tumbles and lies.",
        comes="object",
        ranges={
            "tip_s": (0.7, 1.2),
            "edge_m": (0.80, 0.95),
            "shelf_m": (2.20, 2.35),
            "size_m": (0.34, 0.44),
            "push_m_s": (0.36, 0.52),
            "x_m": (-0.12, 0.12),
        },
        places=("room", "street"),
        arrive=falling_box,
        react=jump_back,
    ),
    Encounter(
        name="rain_of_things",
        caption="Many small things rain down; the person hunches, covers the head with both arms and hurries out to the side.",
        comes="object",
        ranges={"side": EITHER, "first_s": (0.6, 1.1)},
        places=("street", "road"),
        arrive=rain,
        react=hurry_out,
        settle=missing,
    ),
)
