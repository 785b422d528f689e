"""What nobody expects."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.things.fireball import explosion
from egoreact.hrd.simulate.things.sides import EITHER, side_of

BEFORE_FACE = Hand((-0.20, 0.34, 0.46), (0.8, -0.6, 0.1))
FLINCH = Hand((0.02, -0.30, 0.50), (0.6, -0.8, -0.2))


def turn_away_and_crouch(person: Person, parameters: Parameters) -> Choreography:
    """A blast: shoulders up and arms before the face, away from it and down, hold; then look again."""
    sign = side_of(parameters)  # where it is
    # Startle: 100 to 150 ms to the trunk, whatever the person is about.
    onset = parameters["flash_s"] + 0.13 + 0.5 * person.latency_s
    near, far = (LEFT, RIGHT) if sign > 0 else (RIGHT, LEFT)
    reach = person.amplitude
    steps = (
        Step(
            far,
            onset + 0.22,
            onset + 0.56,
            -0.26 * sign * reach,
            -0.06 * reach,
            yaw=-0.75 * sign,
            height_m=0.07,
            heel=0.25,
        ),
        Step(
            near,
            onset + 0.50,
            onset + 0.86,
            -0.05 * sign * reach,
            0.10 - 0.22 * reach,
            yaw=-0.55 * sign,
            height_m=0.06,
            heel=0.35,
        ),
    )
    look = onset + 1.65
    deep = 0.30 * reach
    first: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.18, FLINCH), (onset + 0.42, BEFORE_FACE), (look - 0.1, BEFORE_FACE), (look + 0.5, pose.GUARD),
        (look + 1.4, pose.READY),
    )  # fmt: skip
    second: tuple[HandKey, ...] = (
        (onset + 0.01, HANG), (onset + 0.20, FLINCH), (onset + 0.48, pose.COVER), (look - 0.1, pose.COVER), (look + 0.6, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.02, 0.0), (onset + 0.20, 0.09), (onset + 0.75, deep), (look - 0.2, deep), (look + 0.7, 0.5 * deep)),
        shift=((onset, (0.0, 0.0)), (onset + 0.25, (-0.02 * sign, -0.06)), (onset + 0.8, (0.0, -0.04))),
        turn=((onset + 0.12, 0.0), (onset + 0.70, -0.85 * sign * reach), (look, -0.85 * sign * reach), (look + 0.8, -0.45 * sign)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.22, (0.05, 0.0)), (onset + 0.75, (0.26, -0.06 * sign)), (look + 0.7, (0.16, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.20, (0.0, 0.16, 0.0)), (onset + 0.70, (-0.30 * sign, 0.40, -0.08 * sign)),
            (look - 0.1, (-0.30 * sign, 0.38, -0.06 * sign)), (look + 0.7, (0.25 * sign, 0.18, 0.0)),
        ),
        nod=((onset, 0.06), (onset + 0.22, 0.26), (onset + 0.7, 0.44), (look - 0.1, 0.40), (look + 0.5, 0.10)),
        glance=((onset + 0.08, 0.0), (onset + 0.45, -0.42 * sign), (look - 0.1, -0.42 * sign), (look + 0.4, 0.0)),
        follow=((onset, 1.0), (onset + 0.10, 0.0), (look - 0.05, 0.0), (look + 0.30, 1.0)),
        left_hand=first if near == LEFT else second,
        right_hand=second if near == LEFT else first,
        notes={"onset_s": onset, "look_s": look},
    )  # fmt: skip


TABLE = (
    Encounter(
        name="explosion",
        caption="Something explodes ahead; the person flinches, throws the arms before the face, turns away and crouches, then looks again.",
        comes="fire",
        ranges={
            "side": EITHER,
            "flash_s": (0.6, 1.1),
            "distance_m": (4.5, 7.0),
            "aside_m": (0.4, 2.2),
            "size_m": (1.3, 1.9),
        },
        places=("street", "road"),
        arrive=explosion,
        react=turn_away_and_crouch,
    ),
)
