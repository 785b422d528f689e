"""Animals that come close."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.mirror import mirrored
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m, walk
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import AT_ONCE_S, Encounter
from egoreact.hrd.simulate.things.bird import bird
from egoreact.hrd.simulate.things.cat import HALF_LENGTH_M, PACE_S, cat, cross_s, short_m, strides_to
from egoreact.hrd.simulate.things.dog import dog
from egoreact.hrd.simulate.things.insect import insect

_UNTIL_S = 30.0
"""No clip is longer: steps are laid out until then."""
SWAT_IN = Hand((-0.42, 0.12, 0.62), (0.7, -0.7, 0.0))
SWAT_OUT = Hand((0.42, 0.30, 0.62), (0.7, -0.7, 0.0))
WARD = Hand((-0.05, -0.20, 0.48), (0.7, -0.7, -0.2))


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


def stop_for_cat(person: Person, parameters: Parameters) -> Choreography:
    """A cat crosses before the feet of one who walks: stop short with a foot in the air, wait until it is past, walk on."""
    bones, start, pace = person.bones, person.latency_s, PACE_S / person.pace
    first = LEFT if person.left_handed else RIGHT
    short, count = short_m(parameters), strides_to(parameters)
    landings = [0.13 + (short - 0.13) * (k + 1) / count for k in range(count)]
    steps = walk(start, pace, landings, first=first, bones=bones, until_s=_UNTIL_S)
    stopped, side = start + count * pace, (first + count) % 2
    x = (0.085 if side == LEFT else -0.085) * bones.scale
    gone = cross_s(parameters) + 0.32 + (HALF_LENGTH_M * parameters["size"] + 0.30) / parameters["speed_m_s"]
    down = max(gone, stopped + 0.9)
    # The foot that was to go on comes up beside the other one, hangs there and is set down.
    steps.append(
        Step(side, stopped + 0.05, down, x, short + 0.02, height_m=0.17, heel=0.35,
             rise=0.45 / (down - stopped), fall=1.0 - 0.40 / (down - stopped))
    )  # fmt: skip
    on = down + 0.12
    after = [short + 0.60 * (k + 1) for k in range(14)]
    steps += walk(on, pace, after, first=1 - side, bones=bones, until_s=_UNTIL_S)
    arms: tuple[HandKey, ...] = (
        (stopped - 0.25, HANG), (stopped + 0.30, pose.BALANCE), (down - 0.2, pose.BALANCE), (down + 0.5, HANG),
    )  # fmt: skip
    return Choreography(
        steps=tuple(steps),
        sink=((stopped - 0.2, 0.0), (stopped + 0.25, 0.03), (down, 0.02), (on + 0.3, 0.0)),
        shift=((stopped - 0.2, (0.0, 0.0)), (stopped + 0.3, (0.0, -0.05)), (down, (0.0, -0.03)), (on + 0.4, (0.0, 0.0))),
        spine=(
            (start, (0.0, 0.04, 0.0)), (stopped - 0.2, (0.0, 0.08, 0.0)), (stopped + 0.2, (0.0, -0.06, 0.0)),
            (stopped + 0.7, (0.0, 0.16, 0.0)), (down, (0.0, 0.16, 0.0)), (on + 0.5, (0.0, 0.07, 0.0)),
        ),
        left_hand=arms,
        right_hand=arms,
        notes={"onset_s": stopped - 0.25, "walk_s": start, "down_s": down},
    )  # fmt: skip


def duck_from_bird(person: Person, parameters: Parameters) -> Choreography:
    """A bird swoops at the head: down and away from it, the arm on its side up; then turn and look after it."""
    contact = parameters["contact_s"]
    onset = contact - 0.70 + person.latency_s
    amplitude, bones = person.amplitude, person.bones
    deep = 0.26 * amplitude
    after = contact + 0.40

    def at(side: int, lift: float, land: float, yaw: float, aside: float = 0.0) -> Step:
        x, z = stance_m(side, aside, 0.0, yaw, bones, half_m=0.13)
        return Step(side, lift, land, x, z, yaw=yaw, height_m=0.05, heel=0.3)

    # As for a bird on the left: lean right, the left arm up, turn round to the left.
    steps = (
        at(RIGHT, onset + 0.05, onset + 0.36, 0.0, -0.16),
        at(LEFT, after, after + 0.42, 0.8, -0.14),
        at(RIGHT, after + 0.38, after + 0.80, 1.2, -0.14),
        at(LEFT, after + 0.76, after + 1.14, 1.35, -0.14),
    )
    choreography = Choreography(
        steps=steps,
        sink=((onset, 0.0), (contact - 0.08, deep), (contact + 0.25, deep), (contact + 1.0, 0.02)),
        shift=((onset, (0.0, 0.0)), (contact - 0.05, (-0.06, -0.05)), (contact + 0.8, (0.0, 0.0))),
        turn=((after - 0.1, 0.0), (after + 1.0, 1.35)),
        pelvis=((onset, (0.0, 0.0)), (contact - 0.08, (0.24, 0.12)), (contact + 0.2, (0.24, 0.12)), (contact + 0.9, (0.0, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (contact - 0.08, (-0.30, 0.34, 0.26 * amplitude)), (contact + 0.2, (-0.2, 0.34, 0.26 * amplitude)),
            (after + 0.45, (0.40, -0.02, 0.0)), (after + 1.2, (0.15, -0.08, 0.0)),
        ),
        nod=((onset, 0.06), (contact - 0.1, 0.36), (contact + 0.2, 0.36), (contact + 0.7, -0.25), (contact + 2.6, -0.10)),
        glance=((contact + 0.1, 0.0), (contact + 0.45, 0.58), (after + 1.3, 0.2)),
        follow=((onset + 0.1, 1.0), (contact - 0.1, 0.1), (contact + 0.2, 0.1), (after + 0.5, 1.0)),
        left_hand=((onset, HANG), (contact - 0.12, pose.COVER), (contact + 0.25, pose.COVER), (contact + 1.1, pose.READY), (contact + 2.2, HANG)),
        right_hand=((onset, HANG), (contact - 0.08, pose.OUT), (contact + 0.3, pose.OUT), (contact + 1.0, HANG)),
        notes={"onset_s": onset, "after_s": after},
    )  # fmt: skip
    return choreography if parameters["pass_x_m"] > 0 else mirrored(choreography)


def swat(person: Person, parameters: Parameters) -> Choreography:
    """An insect circles before the face: start back, swat at it with the hand one uses, step away backwards."""
    onset = parameters["come_s"] + 0.12 + person.latency_s
    far, bones = 0.42 * person.amplitude, person.bones
    steps = tuple(
        Step(side, onset + lift, onset + land, *stance_m(side, 0.0, -distance * far, 0.0, bones, half_m=0.12), height_m=0.06, heel=0.15)
        for side, lift, land, distance in ((LEFT, 0.16, 0.52, 0.75), (RIGHT, 0.62, 1.02, 1.5), (LEFT, 1.25, 1.60, 1.4))
    )  # fmt: skip
    swats = int(3 + 2 * (parameters["turns_hz"] > 1.0))
    keys: list[HandKey] = [(onset, HANG), (onset + 0.42, SWAT_OUT)]
    beat = 0.25 / person.amplitude
    keys += [(onset + 0.42 + beat * (k + 1), SWAT_IN if k % 2 == 0 else SWAT_OUT) for k in range(2 * swats)]
    end = keys[-1][0]
    keys += [(end + 0.6, pose.READY)]
    other: tuple[HandKey, ...] = ((onset, HANG), (onset + 0.45, WARD), (end, WARD), (end + 0.8, HANG))
    sway: list[tuple[float, tuple[float, float, float]]] = [
        (onset, (0.0, 0.04, 0.0)),
        (onset + 0.28, (0.1, -0.20, -0.06)),
    ]
    sway += [
        (onset + 0.42 + 2 * beat * (k + 0.5), ((0.22, -0.12)[k % 2], -0.06, (-0.08, 0.05)[k % 2])) for k in range(swats)
    ]
    sway += [(end + 0.7, (0.0, 0.02, 0.0))]
    choreography = Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.3, 0.04), (onset + 1.2, 0.07), (end + 0.6, 0.03)),
        shift=((onset, (0.0, 0.0)), (onset + 0.28, (0.0, -0.07)), (onset + 1.0, (0.0, -0.03))),
        spine=tuple(sway),
        left_hand=other,
        right_hand=tuple(keys),
        notes={"onset_s": onset, "swats": float(swats)},
    )
    return mirrored(choreography) if person.left_handed else choreography


TABLE = (
    Encounter(
        name="dog",
        caption="A dog runs up; the person backs away step by step with the hands held low.",
        comes="animal",
        ranges={
            "distance_m": (4.6, 5.6),
            "speed_m_s": (3.0, 3.6),
            "slow_m_s2": (3.2, 3.8),
            "stop_m": (0.55, 0.75),
            "start_x_m": (-0.25, 0.25),
            "size": (1.05, 1.25),
        },
        places=("room", "street"),
        arrive=dog,
        react=step_back,
    ),
    Encounter(
        name="cat",
        caption="A cat crosses just before the feet of the person, who stops with a foot in the air, lets it pass and walks on.",
        comes="animal",
        ranges={
            "cross_m": (1.35, 2.60),
            "late_s": (0.40, 0.70),
            "speed_m_s": (1.3, 1.7),
            "side": (-1.0, 1.0),
            "size": (0.95, 1.15),
        },
        places=("room", "street"),
        arrive=cat,
        react=stop_for_cat,
        waits_s=AT_ONCE_S,  # the cat comes later where it crosses farther off
    ),
    Encounter(
        name="bird",
        caption="A bird swoops at the head; the person ducks aside with an arm over the head, then turns to look after it.",
        comes="animal",
        ranges={
            "contact_s": (1.2, 1.6),
            "distance_m": (5.6, 6.8),
            "start_x_m": (-0.8, 0.8),
            "start_y_m": (2.4, 2.9),
            "pass_x_m": (-0.10, 0.10),
            "pass_y_m": (1.62, 1.74),
            "size": (1.15, 1.4),
        },
        places=("street",),
        arrive=bird,
        react=duck_from_bird,
    ),
    Encounter(
        name="insect",
        caption="An insect circles before the face; the person starts back, swats at it with one hand and steps away.",
        comes="animal",
        ranges={
            "come_s": (0.8, 1.1),
            "distance_m": (1.8, 2.5),
            "start_x_m": (0.2, 0.9),
            "start_y_m": (1.5, 2.0),
            "turns_hz": (0.8, 1.2),
            "side": (-1.0, 1.0),
            "size": (1.5, 1.9),
        },
        places=("room", "street"),
        arrive=insect,
        react=swat,
    ),
)
