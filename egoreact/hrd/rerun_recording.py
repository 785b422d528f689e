"""A clip as a Rerun recording: video, depth and classes in the moving camera, joints, bones and the head's path over time."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip
from egoreact.hrd.plots import CLASS_COLOURS
from egoreact.motion.drawing import LEFT, RIGHT, TORSO, TRAIL
from egoreact.motion.skeleton import HEAD, JOINTS, PARENTS, PELVIS
from egoreact.vision.video import DEPTH_UNIT_M

CAMERA, BODY = "world/camera", "world/body"
MOST_POINTS, FARTHEST_M = 6000, 6.0
"""Of what is seen, as coloured points in the world: more is slow to look at, and what is farther away hides the body."""


def write_recording(clip: Clip, path: Path) -> Path:
    """Writes an .rrd file, with a layout of its own; `rerun PATH` opens it.

    Timelines: `time` (s) and `frame`. Entities: `world/camera` (pose, pinhole) with `/image`, `/depth` and `/classes`,
    `world/body/joints` and `/bones`, `world/head_path`, `world/seen` (depth as points), `head/height_m`, `head/speed_m_s`,
    `about`.

    Raises:
        EgoReactError: the package rerun-sdk is not installed, or the name does not end in .rrd.
    """
    if path.suffix != ".rrd":
        raise EgoReactError("is no name for a Rerun recording", where=path, remedy="let it end in .rrd")
    try:
        import rerun as rr
    except ImportError as error:
        remedy = 'install it with: pip install "egoreact[look]"'
        raise EgoReactError("the package rerun-sdk is not installed", where="rerun", remedy=remedy) from error
    recording = rr.RecordingStream("egoreact", recording_id=clip.id)
    with whole_file(path) as beside:
        recording.save(beside, default_blueprint=_layout(clip))
        _log_what_stays(rr, recording, clip)
        for frame in range(clip.num_frames):
            recording.set_time("frame", sequence=frame)
            recording.set_time("time", duration=frame / clip.record.fps)
            _log_pictures(rr, recording, clip, frame)
            _log_motion(rr, recording, clip, frame)
        recording.flush()
        recording.disconnect()
    return path


def _log_what_stays(rr: Any, recording: Any, clip: Clip) -> None:
    record = clip.record
    height, width = clip.rgb.shape[1:3]
    about = f"# {record.category.replace('_', ' ')}\n{record.caption}\n\n`{record.id}`, {record.split}, {record.source}, {record.licence}"
    recording.log("about", rr.TextDocument(about, media_type=rr.MediaType.MARKDOWN), static=True)
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
    pinhole = rr.Pinhole(
        image_from_camera=clip.K,
        resolution=(width, height),
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=0.22,
    )
    recording.log(CAMERA, pinhole, static=True)
    classes = [(index, name, CLASS_COLOURS[name]) for index, name in enumerate(SEGMENTATION_CLASSES)]
    recording.log(f"{CAMERA}/classes", rr.AnnotationContext(classes), static=True)
    path = rr.LineStrips3D([clip.joints_m[:, HEAD]], colors=[TRAIL], radii=0.006)
    recording.log("world/head_path", path, static=True)


def _log_pictures(rr: Any, recording: Any, clip: Clip, frame: int) -> None:
    # Single pictures: a viewer on a desktop decodes H.264 only where FFmpeg is installed.
    if frame < len(clip.rgb):
        _, jpeg = cv2.imencode(".jpg", clip.rgb[frame][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        recording.log(f"{CAMERA}/image", rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"))
    if clip.depth_m is not None and frame < len(clip.depth_m):
        units = np.rint(clip.depth_m[frame] / DEPTH_UNIT_M).astype(np.uint16)
        _, png = cv2.imencode(".png", units)
        depth = rr.EncodedDepthImage(
            blob=png.tobytes(), media_type="image/png", meter=1 / DEPTH_UNIT_M, depth_range=(0.0, 8.0 / DEPTH_UNIT_M)
        )
        recording.log(f"{CAMERA}/depth", depth)
        points_m, colours = _seen(clip, frame)
        recording.log("world/seen", rr.Points3D(points_m, colors=colours, radii=0.014))
    if clip.segmentation is not None and frame < len(clip.segmentation):
        recording.log(f"{CAMERA}/classes", rr.SegmentationImage(clip.segmentation[frame], opacity=0.5))


def _seen(clip: Clip, frame: int) -> tuple[Float[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"]]:
    """World points (m) of the near pixels, and their colours."""
    assert clip.depth_m is not None
    depth_m = clip.depth_m[frame]
    height, width = depth_m.shape
    rgb = cv2.resize(clip.rgb[min(frame, len(clip.rgb) - 1)], (width, height), interpolation=cv2.INTER_AREA)
    step = max(1, round(np.sqrt(depth_m.size / MOST_POINTS)))
    v, u = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    near = (depth_m[v, u] > 0) & (depth_m[v, u] < FARTHEST_M)
    v, u = v[near], u[near]
    # K is the video's; pixel (0, 0) is the centre of the first pixel.
    scale = np.array([clip.rgb.shape[2] / width, clip.rgb.shape[1] / height])
    pixels = (np.stack([u, v], axis=1) + 0.5) * scale - 0.5
    rays = np.linalg.solve(clip.K, np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1).T).T
    pose = clip.T_world_camera[frame]
    return (rays * depth_m[v, u, None]) @ pose[:3, :3].T + pose[:3, 3], rgb[v, u]


def _log_motion(rr: Any, recording: Any, clip: Clip, frame: int) -> None:
    pose, joints_m = clip.T_world_camera[frame], clip.joints_m[frame]
    recording.log(CAMERA, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    colours = [_colour(name) for name in JOINTS]
    recording.log(
        f"{BODY}/joints", rr.Points3D(joints_m, radii=0.022, colors=colours, labels=JOINTS, show_labels=False)
    )
    bones = [joints_m[[PARENTS[joint], joint]] for joint in range(1, len(JOINTS))]
    recording.log(f"{BODY}/bones", rr.LineStrips3D(bones, radii=0.014, colors=colours[1:]))
    before = clip.joints_m[max(frame - 1, 0), HEAD]
    recording.log("head/height_m", rr.Scalars(float(joints_m[HEAD, 1])))
    recording.log("head/speed_m_s", rr.Scalars(float(np.linalg.norm(joints_m[HEAD] - before)) * clip.record.fps))


def _colour(joint: str) -> tuple[int, int, int]:
    return LEFT if joint.startswith("left") else RIGHT if joint.startswith("right") else TORSO


def _layout(clip: Clip) -> Any:
    import rerun.blueprint as rrb

    pictures = [rrb.Spatial2DView(name="video", origin=CAMERA, contents=[f"{CAMERA}/image"])]
    if clip.depth_mkv is not None:
        pictures.append(rrb.Spatial2DView(name="depth", origin=CAMERA, contents=[f"{CAMERA}/depth"]))
    if clip.segmentation_mkv is not None:
        both = [f"{CAMERA}/image", f"{CAMERA}/classes"]
        pictures.append(rrb.Spatial2DView(name="classes", origin=CAMERA, contents=both))
    # From behind and beside: what comes towards the body is in view.
    middle = clip.joints_m[:, PELVIS].mean(axis=0) * (1, 0, 1)
    position, target = middle + np.array([-2.4, 2.1, -2.6]), middle + np.array([0.2, 0.8, 0.6])
    eye = rrb.EyeControls3D(position=position, look_target=target, eye_up=(0, 1, 0))
    without = [f"- {CAMERA}/depth", f"- {CAMERA}/classes"]
    world = rrb.Spatial3DView(name="world", origin="world", contents=["+ $origin/**", *without], eye_controls=eye)
    curves = rrb.TimeSeriesView(name="head", origin="head")
    about = rrb.TextDocumentView(name="about", origin="about")
    left = rrb.Vertical(world, rrb.Horizontal(curves, about, column_shares=[2, 1]), row_shares=[3, 1])
    return rrb.Blueprint(rrb.Horizontal(left, rrb.Vertical(*pictures), column_shares=[2, 1]), collapse_panels=True)
