"""Motion for other programs and for eyes: BVH, npz, and the video beside the moving skeleton."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import roma
import torch
from jaxtyping import Float, Shaped, UInt8
from scipy.ndimage import gaussian_filter1d

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.motion import kinematics
from egoreact.motion.body import pose_from_joints
from egoreact.motion.drawing import BACKGROUND, INK, TRAIL, View, render_skeleton
from egoreact.motion.representation import check_joints
from egoreact.motion.skeleton import FPS, HEAD, JOINTS, NUM_JOINTS, PARENTS, PELVIS

__all__ = ["View", "render_skeleton", "side_by_side", "write_bvh", "write_npz", "write_side_by_side"]

_END_SITES_M = {
    10: (0.0, 0.0, 0.06), 11: (0.0, 0.0, 0.06), 15: (0.0, 0.18, 0.0), 20: (0.11, 0.0, 0.0), 21: (-0.11, 0.0, 0.0),
}  # fmt: skip
_HEIGHT_PX, _CAPTION_PX, _CLOCK_PX = 720, 64, 190
_TRAIL_FRAMES = 40


def write_bvh(
    path: Path, joints_m: Float[np.ndarray, "frames 22 3"], *, fps: int = FPS, unit: Literal["cm", "m"] = "cm"
) -> Path:
    """Writes the motion as BVH: 22 joints under SMPL's names, T pose at rest, y up, rotations ZXY in degrees.

    Lengths are centimetres unless asked otherwise, as most animation programs take BVH's bare numbers. A BVH skeleton is
    rigid: bones get their mean lengths. Where the motion's bones keep theirs, as after `retarget`, it is exact.

    Raises:
        EgoReactError: misshapen or not finite joints.
    """
    joints = checked_joints(joints_m)
    scale = 100.0 if unit == "cm" else 1.0
    offsets_m = kinematics.fit_skeleton(joints)
    local = kinematics.local_rotations(kinematics.joint_rotations(joints, offsets_m))
    degrees = roma.rotmat_to_euler("ZXY", local, degrees=True).numpy()
    degrees = np.unwrap(degrees, axis=0, period=360.0)
    order: list[int] = []

    def write_joint(joint: int, depth: int) -> Iterator[str]:
        order.append(joint)
        indent = "  " * depth
        x, y, z = offsets_m[joint].numpy() * scale
        channels = "Zrotation Xrotation Yrotation"
        root = PARENTS[joint] < 0
        yield f"{indent}{'ROOT' if root else 'JOINT'} {JOINTS[joint]}"
        yield indent + "{"
        yield f"{indent}  OFFSET {x:.6f} {y:.6f} {z:.6f}"
        yield f"{indent}  CHANNELS " + (f"6 Xposition Yposition Zposition {channels}" if root else f"3 {channels}")
        for child in (child for child, parent in enumerate(PARENTS) if parent == joint):
            yield from write_joint(child, depth + 1)
        if joint in _END_SITES_M:
            x, y, z = np.array(_END_SITES_M[joint]) * scale
            yield from (
                f"{indent}  End Site",
                f"{indent}  {{",
                f"{indent}    OFFSET {x:.6f} {y:.6f} {z:.6f}",
                f"{indent}  }}",
            )
        yield indent + "}"

    lines = ["HIERARCHY", *write_joint(PELVIS, 0), "MOTION", f"Frames: {len(joints)}", f"Frame Time: {1 / fps:.8f}"]
    values = np.concatenate([joints[:, PELVIS].numpy() * scale, degrees[:, order].reshape(len(joints), -1)], axis=1)
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    with whole_file(Path(path)) as beside:
        beside.write_text("\n".join(lines) + "\n")
    return Path(path)


def write_npz(
    path: Path,
    joints_m: Float[np.ndarray, "frames 22 3"],
    *,
    fps: int = FPS,
    head_rotation: Float[np.ndarray, "frames 3 3"] | None = None,
    **more: Shaped[np.ndarray, "..."],
) -> Path:
    """Writes joints and SMPL-X parameters that follow them, in metres, y up; the same bytes for the same motion.

    `joints` (T, 22, 3), `joint_names`, and under AMASS's names `poses` (T, 165), `root_orient`, `pose_body`, `trans`,
    `betas`, `mocap_frame_rate`, `gender`, `surface_model_type`. Limb twists are the shortest ones: joints leave them open.

    Raises:
        EgoReactError: misshapen or not finite joints, or a name given twice.
    """
    joints = checked_joints(joints_m).numpy()
    pose = pose_from_joints(joints, head_rotation)
    frames = len(joints)
    arrays: dict[str, np.ndarray] = {
        "joints": joints.astype(np.float32),
        "joint_names": np.array(JOINTS),
        "poses": np.concatenate([pose["global_orient"], pose["body_pose"], np.zeros((frames, 99), np.float32)], axis=1),
        "root_orient": pose["global_orient"],
        "pose_body": pose["body_pose"],
        "trans": pose["transl"],
        "betas": np.zeros(10, np.float32),
        "mocap_frame_rate": np.array(float(fps)),
        "gender": np.array("neutral"),
        "surface_model_type": np.array("smplx"),
    }
    twice = arrays.keys() & more.keys()
    if twice:
        raise EgoReactError(
            f"is written already: {', '.join(sorted(twice))}", where=path, remedy="name the array otherwise"
        )
    with whole_file(Path(path)) as beside:
        np.savez_compressed(beside, **arrays, **more)  # type: ignore[arg-type]
    return Path(path)


def write_side_by_side(
    path: Path,
    rgb: Iterable[UInt8[np.ndarray, "height width 3"]],
    joints_m: Float[np.ndarray, "frames 22 3"],
    *,
    fps: int = FPS,
    caption: str = "",
    view: View | None = None,
) -> Path:
    """Films the motion beside the video: H.264 in an MP4, 720 px high.

    Args:
        path: the mp4.
        rgb: frames of the video, an array or an iterator. Where they end before the motion does, the last one stays.
        joints_m: world positions, y up, floor at 0.
        fps: of both.
        caption: a line at the bottom.
        view: from where the body is seen.

    Raises:
        EgoReactError: no video frames, or misshapen or not finite joints.
    """
    pictures = _side_by_side(rgb, joints_m, fps, caption, view)
    first = next(pictures)
    with (
        whole_file(Path(path)) as beside,
        av.open(str(beside), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as output,
    ):
        stream = output.add_stream("libx264", rate=fps, options={"crf": "20", "preset": "superfast"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        for index, picture in enumerate(chain([first], pictures)):
            planes: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return Path(path)


def side_by_side(
    rgb: Iterable[UInt8[np.ndarray, "height width 3"]],
    joints_m: Float[np.ndarray, "frames 22 3"],
    *,
    fps: int = FPS,
    caption: str = "",
    view: View | None = None,
) -> Iterator[UInt8[np.ndarray, "720 width 3"]]:
    """The pictures of `write_side_by_side`, one at a time."""
    for picture in _side_by_side(rgb, joints_m, fps, caption, view):
        yield picture.copy()


def _side_by_side(
    rgb: Iterable[np.ndarray], joints_m: np.ndarray, fps: int, caption: str, view: View | None
) -> Iterator[np.ndarray]:
    """Yields one canvas again and again."""
    joints = checked_joints(joints_m).numpy()
    height = _HEIGHT_PX - _CAPTION_PX
    view = view or View(size_px=(height, height))
    frames = iter(rgb)
    video = next(frames, None)
    if video is None:
        raise EgoReactError("has zero frames", where="rgb", remedy="give the video's frames")
    width = round(height * np.clip(video.shape[1] / video.shape[0], 0.5, 16 / 9) / 2) * 2
    path_m = gaussian_filter1d(joints[:, PELVIS], sigma=8.0, axis=0, mode="nearest")
    canvas = np.full((_HEIGHT_PX, (width + view.size_px[1]) // 2 * 2, 3), BACKGROUND, np.uint8)
    canvas[height:] = (255, 255, 255)
    seconds = len(joints) / fps
    _write_caption(canvas, height, caption)
    for index in range(len(joints)):
        canvas[:height, :width] = _letterbox(video, height, width)
        trail_m = joints[max(0, index - _TRAIL_FRAMES) : index + 1, HEAD]
        picture = render_skeleton(joints[index], view=view, target_m=path_m[index], trail_m=trail_m)
        canvas[:height, width : width + view.size_px[1]] = picture[:height]
        _write_clock(canvas, height, index / fps, seconds)
        yield canvas
        video = next(frames, video)


def _letterbox(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    scale = min(height / frame.shape[0], width / frame.shape[1])
    size = (min(width, round(frame.shape[1] * scale)), min(height, round(frame.shape[0] * scale)))
    resized = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    if size == (width, height):
        return resized
    boxed = np.full((height, width, 3), (24, 26, 29), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    boxed[top : top + size[1], left : left + size[0]] = resized
    return boxed


def _write_caption(canvas: np.ndarray, top: int, caption: str) -> None:
    room_px = canvas.shape[1] - _CLOCK_PX - 48
    font, text = cv2.FontFace("sans"), " ".join(caption.split())
    while text and cv2.getTextSize((0, 0), text, (0, 0), font, 22, 500)[2] > room_px:
        text = text[:-2].rstrip("… ") + "…" if len(text) > 2 else ""
    if text:
        cv2.putText(canvas, text, (24, top + 42), INK, font, 22, 500)


def _write_clock(canvas: np.ndarray, top: int, now: float, seconds: float) -> None:
    width = canvas.shape[1]
    canvas[top : top + 4] = (226, 229, 233)
    canvas[top : top + 4, : round(width * min(1.0, now / seconds))] = TRAIL
    canvas[top + 4 :, width - _CLOCK_PX :] = 255
    font, clock = cv2.FontFace("sans"), f"{now:.2f} / {seconds:.2f} s"
    _, _, clock_px, _ = cv2.getTextSize((0, 0), clock, (0, 0), font, 20, 400)
    cv2.putText(canvas, clock, (width - 24 - clock_px, top + 42), (120, 126, 134), font, 20, 400)


def checked_joints(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[torch.Tensor, "frames 22 3"]:
    """The joints as a tensor, double precision where they are fractions. Raises EgoReactError where they are no motion."""
    joints = torch.as_tensor(np.asarray(joints_m))
    joints = joints.double() if joints.is_floating_point() else joints
    check_joints(joints, min_frames=1)
    if joints.ndim != 3 or joints.shape[1] != NUM_JOINTS:
        raise EgoReactError(f"have shape {tuple(joints.shape)}", where="joints", remedy="give (frames, 22, 3)")
    return joints
