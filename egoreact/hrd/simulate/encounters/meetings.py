"""People who come close enough to touch, and what one does about it. They stand in the table of `people`."""

from dataclasses import replace

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.things import meetings as others
from egoreact.hrd.simulate.things.somebody import WHO, Spot

THROWN_UP = Hand((0.30, -0.10, 0.70), (0.7, -0.6, 0.1))


def shake_hands(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes and offers a hand: step up, take it, shake it, let go."""
    m = others.handshake_meeting(parameters)
    start, off = m.contact_s - 0.62 + person.latency_s, m.contact_s + others.SHAKEN_S
    return Choreography(
        steps=others.step_up(person, m.wearer, start - 0.35, start + 0.45, first=RIGHT),
        turn=((start - 0.3, 0.0), (start + 0.4, m.wearer.heading)),
        spine=(
            (start, (0.0, 0.04, 0.0)), (m.contact_s, (0.14, 0.12 * person.amplitude, 0.0)), (off, (0.14, 0.10, 0.0)),
            (off + 0.6, (0.0, 0.04, 0.0)),
        ),
        right_hand=((start, HANG), (m.contact_s, others.GREET), (off, others.GREET), (off + 0.6, HANG)),
        reaches=(others.handshake_reach(parameters, m, Spot(0.0, 0.0, 0.0), start, 1.0),),
        notes={"onset_s": start, "contact_s": m.contact_s, "walk_s": start - 0.35},
    )  # fmt: skip


def clap_hands(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes with a hand up: step up and clap one's own against it."""
    m = others.high_five_meeting(parameters)
    contact, side = m.contact_s, others.high_five_side(parameters)
    start = contact - 0.95 + person.latency_s
    twist = 0.25 * (1 if side == LEFT else -1)
    keys: tuple[HandKey, ...] = (
        (start, HANG), (contact - 0.30, others.RAISED), (contact + 0.3, others.RAISED), (contact + 1.0, HANG),
    )  # fmt: skip
    choreography = Choreography(
        steps=others.step_up(person, m.wearer, start - 0.1, start + 0.75, first=1 - side),
        turn=((start - 0.1, 0.0), (start + 0.7, m.wearer.heading)),
        spine=(
            (start, (0.0, 0.04, 0.0)), (contact - 0.25, (twist, 0.0, 0.0)), (contact, (-twist, 0.06, 0.0)),
            (contact + 0.8, (0.0, 0.04, 0.0)),
        ),
        reaches=(others.high_five_reach(parameters, m, Spot(0.0, 0.0, 0.0), 1.0),),
        notes={"onset_s": start - 0.1, "contact_s": contact},
    )  # fmt: skip
    return others.with_hand(choreography, side, keys)


def embrace(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes with open arms: open one's own, step up, close them, hold, part."""
    m = others.hug_meeting(parameters)
    start = m.contact_s - 1.10 + person.latency_s
    done = others.hug(parameters["height"], m.contact_s, Spot(0.0, 0.0, 0.0), m.wearer, start)
    apart = others.back_away(person, m.wearer, m.contact_s + others.HUG_HOLDS_S + 0.25, 0.35)
    return replace(
        done,
        steps=others.step_up(person, m.wearer, start + 0.1, m.contact_s - 0.1, first=RIGHT) + apart,
        turn=((start, 0.0), (m.contact_s - 0.2, m.wearer.heading)),
        follow=((m.contact_s - 0.5, 1.0), (m.contact_s - 0.1, 0.0), (m.contact_s + 1.3, 0.0), (m.contact_s + 1.7, 1.0)),
        nod=((m.contact_s - 0.5, 0.06), (m.contact_s, -0.04), (m.contact_s + 1.3, -0.04), (m.contact_s + 1.8, 0.06)),
        glance=((m.contact_s - 0.5, 0.0), (m.contact_s, 0.22), (m.contact_s + 1.3, 0.22), (m.contact_s + 1.8, 0.0)),
        notes={"onset_s": start, "contact_s": m.contact_s},
    )


def stumble_back(person: Person, parameters: Parameters) -> Choreography:
    """Somebody steps up and pushes: thrown back over three hasty steps, arms up and out, then upright again."""
    contact, heading = others.push_meeting(parameters).contact_s, parameters["from_rad"]
    far = parameters["force"] * person.amplitude

    def back(side: int, lift: float, land: float, distance_m: float, half_m: float) -> Step:
        there = Spot(0.0, 0.0, heading).ahead(-distance_m * far)
        x, z = stance_m(side, there.x_m, there.z_m, 0.5 * heading, person.bones, half_m=half_m)
        return Step(side, contact + lift, contact + land, x, z, yaw=0.5 * heading, height_m=0.07, heel=0.12)

    steps = (
        back(RIGHT, 0.06, 0.34, 0.50, 0.13),
        back(LEFT, 0.28, 0.60, 0.92, 0.14),
        back(RIGHT, 0.54, 0.88, 1.16, 0.15),
        back(LEFT, 0.90, 1.30, 1.14, 0.13),
    )
    arms: tuple[HandKey, ...] = (
        (contact - 0.02, HANG), (contact + 0.24, THROWN_UP), (contact + 0.62, pose.OUT), (contact + 1.0, pose.OUT),
        (contact + 1.9, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((contact, 0.0), (contact + 0.35, 0.08), (contact + 0.95, 0.17), (contact + 1.8, 0.06)),
        shift=((contact - 0.03, (0.0, 0.0)), (contact + 0.22, (0.0, -0.16)), (contact + 0.7, (0.0, -0.06)), (contact + 1.3, (0.0, 0.0))),
        turn=((contact, 0.0), (contact + 0.6, 0.5 * heading)),
        pelvis=((contact, (0.0, 0.0)), (contact + 0.3, (-0.10, 0.0)), (contact + 0.9, (0.20, 0.0)), (contact + 1.7, (0.05, 0.0))),
        spine=(
            (contact - 0.02, (0.0, 0.04, 0.0)), (contact + 0.18, (0.0, -0.20, 0.0)), (contact + 0.5, (0.0, 0.30, 0.0)),
            (contact + 0.95, (0.0, 0.24, 0.0)), (contact + 1.8, (0.0, 0.08, 0.0)),
        ),
        left_hand=arms,
        right_hand=arms,
        notes={"onset_s": contact, "contact_s": contact},
    )  # fmt: skip


_COMES = {"distance_m": (1.1, 1.7), "speed_m_s": (1.1, 1.3), "from_rad": (-0.12, 0.12)} | WHO

TABLE = (
    Encounter(
        name="handshake",
        caption="Somebody comes and holds out the right hand; the person steps up, shakes it and lets go.",
        comes="person",
        ranges=_COMES,
        places=("room", "street"),
        arrive=others.comes(others.handshake_partner, others.handshake_meeting, 1.0),
        react=shake_hands,
    ),
    Encounter(
        name="high_five",
        caption="Somebody comes with a hand raised; the person steps up and claps a hand against it at head height.",
        comes="person",
        ranges=_COMES | {"hand": (0.0, 1.0)},
        places=("room", "street"),
        arrive=others.comes(others.high_five_partner, others.high_five_meeting, 1.55),
        react=clap_hands,
    ),
    Encounter(
        name="hug",
        caption="Somebody comes with open arms; the person opens theirs, hugs them and parts again.",
        comes="person",
        ranges=_COMES | {"distance_m": (1.0, 1.5)},
        places=("room", "street"),
        arrive=others.comes(others.hug_partner, others.hug_meeting, 1.5),
        react=embrace,
    ),
    Encounter(
        name="push",
        caption="Somebody steps up and pushes with both hands; the person is thrown back, stumbles and recovers.",
        comes="person",
        ranges=_COMES | {"distance_m": (1.4, 2.0), "speed_m_s": (1.4, 1.7), "force": (0.85, 1.1)},
        places=("room", "street"),
        arrive=others.comes(others.push_partner, others.push_meeting, 1.2),
        react=stumble_back,
    ),
)
