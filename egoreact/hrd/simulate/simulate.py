"""A clip of HRD from nothing but its name: an encounter is drawn, a person reacts to it, their eyes see it."""

import dataclasses
import zlib

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip, ClipRecord, Split
from egoreact.hrd.simulate.acting.choreography import Performance, perform
from egoreact.hrd.simulate.acting.person import Person, sample_person
from egoreact.hrd.simulate.arrival import OWN_BODY, Arrival
from egoreact.hrd.simulate.config import SimulatorConfig
from egoreact.hrd.simulate.encounters import ENCOUNTERS, Encounter
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.picture.lens import Camera, sample_camera
from egoreact.hrd.simulate.picture.render import Images, render
from egoreact.hrd.simulate.scenery.place import Place
from egoreact.hrd.simulate.scenery.places import make_place
from egoreact.motion.camera import camera_from_head, intrinsics
from egoreact.motion.skeleton import FPS, HEAD
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

LICENCE = "CC0-1.0"


@dataclasses.dataclass(frozen=True)
class Staged:
    """Everything of a clip before it is rendered."""

    encounter: Encounter
    parameters: dict[str, float]
    person: Person
    arrival: Arrival
    performance: Performance
    place: Place
    camera: Camera
    T_world_camera: np.ndarray
    K: np.ndarray
    times_s: np.ndarray
    """Of the frames, from when the encounter begins: below 0 before."""
    notes: dict[str, float]
    """Moments of the reaction in the encounter's time."""

    @property
    def begins_s(self) -> float:
        """How far into the clip the encounter begins."""
        return 0.0 - float(self.times_s[0])


def encounter_named(category: str) -> Encounter:
    """The encounter of this name.

    Raises:
        EgoReactError: there is none; lists those there are.
    """
    if category not in ENCOUNTERS:
        raise EgoReactError(
            f"unknown category {category!r}", where="simulator", remedy=f"use one of {', '.join(ENCOUNTERS)}"
        )
    return ENCOUNTERS[category]


def stage(config: SimulatorConfig, category: str, seed: int) -> Staged:
    """Draws the encounter, the person and the place, and lets the person react. A few milliseconds.

    Raises:
        EgoReactError: no such category, or a negative seed.
    """
    encounter = encounter_named(category)
    if seed < 0:
        raise EgoReactError(f"seed is {seed}", where="simulator", remedy="use a seed of 0 or more")
    # One stream each, so that a new colour changes nobody's steps.
    entropy = np.random.SeedSequence([seed, zlib.crc32(category.encode())])
    streams = (np.random.default_rng(stream) for stream in entropy.spawn(6))
    for_person, for_encounter, for_looks, for_place, for_camera, for_wait = streams
    times_s = np.arange(config.frames) / FPS - float(for_wait.uniform(*encounter.waits_s))
    person = sample_person(for_person)
    parameters = encounter.sample(for_encounter)
    arrival = encounter.arrive(parameters, for_looks, times_s)
    choreography = encounter.react(person, parameters)
    performance = perform(choreography, person, times_s, arrival.watched_m)
    if encounter.settle is not None:
        arrival = encounter.settle(arrival, performance, parameters, times_s)
    if config.own_body:
        solids = dress(performance.body, sample_clothes(for_looks), OWN_BODY, person.height_scale, wearer=True)
        arrival = dataclasses.replace(arrival, solids=[*arrival.solids, *solids])
    kind = encounter.places[int(for_place.integers(len(encounter.places)))]
    body = performance.body
    return Staged(
        encounter, parameters, person, arrival, performance, make_place(kind, for_place, config.frames, arrival.hole_m),
        camera=sample_camera(config.camera, for_camera),
        T_world_camera=camera_from_head(body.joints_m[:, HEAD], body.head_rotation),
        K=intrinsics(config.image_size_px, config.fov_degrees), times_s=times_s, notes=choreography.notes,
    )  # fmt: skip


def render_staged(config: SimulatorConfig, staged: Staged) -> Images:
    return render(
        staged.place,
        staged.arrival.solids,
        staged.T_world_camera,
        staged.K,
        config.image_size_px,
        camera=staged.camera,
        brightness=staged.arrival.brightness,
    )


def _in_clip(staged: Staged) -> dict[str, float]:
    """The reaction's moments, s from the clip's start; what is no moment as it is."""
    return {name: value + staged.begins_s if name.endswith("_s") else value for name, value in staged.notes.items()}


def simulate_clip(config: SimulatorConfig, category: str, seed: int, clip_id: str, split: Split) -> Clip:
    """One clip with video, depth and segmentation: a pure function of its arguments, the same in any process.

    Args:
        config: size and length.
        category: a name in `ENCOUNTERS`.
        seed: 0 or more; decides who, where, what colour and when.
        clip_id: the clip's name, with no influence on what it shows.
        split: recorded alone.

    Raises:
        EgoReactError: no such category, a negative seed, or no valid clip id.
    """
    staged = stage(config, category, seed)
    record = ClipRecord(
        id=clip_id,
        category=category,
        caption=staged.encounter.caption,
        source="simulator",
        licence=LICENCE,
        split=split,
        seed=seed,
        details={
            "encounter": staged.parameters,
            "person": dataclasses.asdict(staged.person),
            "begins_s": staged.begins_s,
            "moments": _in_clip(staged),
            "comes": staged.encounter.comes,
            **staged.place.details,
            "camera": dataclasses.asdict(staged.camera),
        },
    )
    images = render_staged(config, staged)
    body = staged.performance.body
    return Clip(
        record=record,
        video_mp4=encode_video(images.rgb),
        joints_m=body.joints_m.astype(np.float32),
        K=staged.K.astype(np.float32),
        T_world_camera=staged.T_world_camera.astype(np.float32),
        head_rotation=body.head_rotation.astype(np.float32),
        depth_mkv=encode_depth(images.depth_m),
        segmentation_mkv=encode_segmentation(images.segmentation),
    )
