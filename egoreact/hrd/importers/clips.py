"""A recording read and cut into clips: recorded pairs as they are, motion alone with the view that is rendered for it."""

from dataclasses import replace
from typing import assert_never

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import UNKNOWN, Clip, Split
from egoreact.hrd.importers.amass import read_amass
from egoreact.hrd.importers.aria import read_aria
from egoreact.hrd.importers.config import ImportConfig
from egoreact.hrd.importers.egoego import EgoRecording, read_egoego
from egoreact.hrd.importers.explain import explain
from egoreact.hrd.importers.find import Recording
from egoreact.hrd.importers.humanml import read_humanml
from egoreact.hrd.importers.mocap import read_mocap
from egoreact.hrd.importers.scene import render_wearer_view
from egoreact.hrd.importers.take import Take
from egoreact.hrd.importers.windows import record_of, windows
from egoreact.motion.camera import intrinsics
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video


def clips_of(recording: Recording, *, split: Split, licence: str, config: ImportConfig) -> list[Clip]:
    """Clips of a recording.

    Args:
        split: of the clips, where no list puts them in another.
        licence: stays with each clip.

    Raises:
        EgoReactError: a recording that is broken or shorter than a second, or no licence.
    """
    if not licence.strip():
        raise EgoReactError("is empty", where="licence", remedy="say under which licence the recording is used")
    split = recording.split or split
    match recording.kind:
        case "egoego":
            return _of_video(read_egoego(recording.path), recording, split, licence, config)
        case "aria":
            return _of_video(read_aria(recording.path, config), recording, split, licence, config)
        case "bvh" | "amass" | "humanml3d":
            return _of_motion(_read_take(recording, config), recording, split, licence, config)
        case _:
            assert_never(recording.kind)


def _read_take(recording: Recording, config: ImportConfig) -> Take:
    path, to_reference = recording.path, config.to_reference_body
    match recording.kind:
        case "amass":
            return read_amass(path, source_fps=config.source_fps, to_reference_body=to_reference)
        case "humanml3d":
            return read_humanml(path, source_fps=config.source_fps, to_reference_body=to_reference)
        case _:
            return read_mocap(path, metres_per_unit=config.metres_per_unit, to_reference_body=to_reference)


def _of_video(ego: EgoRecording, recording: Recording, split: Split, licence: str, config: ImportConfig) -> list[Clip]:
    K = intrinsics(ego.rgb.shape[1:3], config.fov_degrees).astype(np.float32)
    details = ego.details | recording.details | {"fov_degrees": config.fov_degrees, "intrinsics": "assumed"}
    return [
        Clip(
            record=record_of(recording.name, index, window, split, licence, config, details),
            video_mp4=encode_video(ego.rgb[window]),
            joints_m=ego.joints_m[window],
            K=K,
            T_world_camera=ego.T_world_camera[window],
            head_rotation=ego.head_rotation[window],
            smplx={name: value[window] if value.ndim == 2 else value for name, value in ego.smplx.items()},
        )
        for index, window in enumerate(windows(len(ego.joints_m), config, recording.path))
    ]


def _of_motion(take: Take, recording: Recording, split: Split, licence: str, config: ImportConfig) -> list[Clip]:
    clips = []
    for index, window in enumerate(windows(len(take.joints_m), config, recording.path)):
        part, seed = take.from_the_origin(window), config.seed + index
        reason = None
        if config.explain:
            only = None if config.category == UNKNOWN else config.category
            reason = explain(part.joints_m, part.head_rotation, fov_degrees=config.fov_degrees, seed=seed, only=only)
        view = render_wearer_view(
            part.joints_m, part.head_rotation, reason=reason,
            image_size_px=config.image_size_px, fov_degrees=config.fov_degrees, seed=seed,
        )  # fmt: skip
        details = part.details | recording.details | view.details
        details |= {"fov_degrees": config.fov_degrees, "intrinsics": "rendered"}
        said = replace(config, category=UNKNOWN)
        if reason is not None:
            details |= {"explanation": reason.details}
            said = replace(config, category=reason.encounter, caption=config.caption or reason.caption)
        clips.append(
            Clip(
                record=record_of(recording.name, index, window, split, licence, said, details),
                video_mp4=encode_video(view.rgb),
                joints_m=part.joints_m,
                K=view.K,
                T_world_camera=view.T_world_camera,
                head_rotation=part.head_rotation,
                depth_mkv=encode_depth(view.depth_m),
                segmentation_mkv=encode_segmentation(view.segmentation),
                smplx=part.smplx,
            )
        )
    return clips
