"""One clip on one sheet: what the eyes see, how far it is, what it belongs to, how the body moves, where the head goes.

Colours are RGB, sizes px.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import gaussian_filter1d

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.alignment import THRESHOLDS, Row, Threshold, failures, measure
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip
from egoreact.hrd.plots import CLASS_COLOURS, INK, MUTED, PAPER, curve, map_from_above, write
from egoreact.hrd.shards import disk_errors_named, read_rows, read_shard
from egoreact.motion.drawing import View, render_skeleton
from egoreact.motion.skeleton import HEAD, PELVIS

MOMENTS = 8
TILE = 176
GAP = 6
MARGIN, LABELS = 28, 92
WIDTH = 2 * MARGIN + LABELS + MOMENTS * TILE + (MOMENTS - 1) * GAP
SKELETON_HEIGHT = 216
FACTS_HEIGHT = 330
DEPTH_M = (0.25, 16.0)
"""Ends of the colour scale of depth, which is logarithmic."""
DEPTH_COLOURS = cv2.COLORMAP_MAGMA
GOOD, BAD = (30, 142, 96), (204, 58, 48)


@dataclass(frozen=True)
class _Row:
    label: str
    note: str
    pictures: list[UInt8[np.ndarray, "height width 3"]]


def find_clip(folder: Path, clip_id: str) -> Clip:
    """A clip of a data set, or of one shard where `folder` is a shard's file.

    Raises:
        EgoReactError: there is none of this id; names those that read like it.
    """
    if folder.is_file():
        clips = {clip.id: clip for clip in read_shard(folder)}
        if clip_id in clips:
            return clips[clip_id]
        raise _unknown(folder, clip_id, list(clips))
    rows = read_rows(folder)
    found = rows[rows["clip_id"] == clip_id]
    if found.empty:
        raise _unknown(folder, clip_id, rows["clip_id"].tolist())
    return next(read_shard(folder / str(found["shard"].iloc[0]), [clip_id]))


def _unknown(where: Path, clip_id: str, known: list[str]) -> EgoReactError:
    near = difflib.get_close_matches(clip_id, known, n=3, cutoff=0.5) or known[:3]
    return EgoReactError(
        f"holds no clip {clip_id!r}", where=where, remedy=f"try one of {', '.join(near)}" if near else "build one"
    )


def write_sheet(clip: Clip, path: Path) -> Path:
    """Writes the clip's sheet as a picture.

    Raises:
        EgoReactError: the name is not a picture's.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise EgoReactError("is no name for a picture", where=path, remedy="let it end in .png or .jpg")
    sheet = contact_sheet(clip)
    with disk_errors_named(path), whole_file(path) as beside:
        cv2.imwrite(str(beside), sheet[..., ::-1])
    return path


def contact_sheet(clip: Clip) -> UInt8[np.ndarray, "height width 3"]:
    """The sheet of a clip, with the alignment gate's verdict."""
    moments = eventful_moments(clip)
    rows = _rows(clip, moments)
    heights = [row.pictures[0].shape[0] for row in rows]
    header, clock = 108, 26
    height = header + clock + sum(heights) + GAP * len(rows) + 22 + FACTS_HEIGHT + MARGIN
    sheet: np.ndarray = np.full((height, WIDTH, 3), PAPER, np.uint8)
    measured = measure(clip)
    _write_header(sheet, clip, failing=len(failures(measured)))
    left = MARGIN + LABELS
    for index, moment in enumerate(moments):
        middle = left + index * (TILE + GAP) + TILE // 2
        write(sheet, f"{moment / clip.record.fps:.2f} s", middle, header + 14, 14, MUTED, align="middle")
    top = header + clock
    for row, row_height in zip(rows, heights, strict=True):
        write(sheet, row.label, MARGIN, top + 18, 16, INK, weight=500)
        for line, note in enumerate(row.note.splitlines()):
            write(sheet, note, MARGIN, top + 38 + 16 * line, 13, MUTED)
        if row.label == "depth":
            _write_depth_scale(sheet, MARGIN, top + 46, row_height - 58)
        for index, picture in enumerate(row.pictures):
            at = left + index * (TILE + GAP)
            sheet[top : top + row_height, at : at + TILE] = picture
        top += row_height + GAP
    _write_facts(sheet, clip, moments, measured, top + 22)
    return sheet


def eventful_moments(clip: Clip) -> Int[np.ndarray, "moments"]:
    """Frames from the first to the last, closer together where the head moves fast and where much is seen of what comes."""
    head_m = clip.joints_m[:, HEAD]
    activity = np.linalg.norm(np.gradient(head_m, axis=0), axis=1)
    if clip.segmentation is not None and len(clip.segmentation) == clip.num_frames:
        static, own = SEGMENTATION_CLASSES.index("static"), SEGMENTATION_CLASSES.index("own_body")
        comes = ((clip.segmentation != static) & (clip.segmentation != own)).mean(axis=(1, 2))
        activity = activity / max(activity.mean(), 1e-9) + comes / max(comes.mean(), 1e-9)
    way = np.cumsum(gaussian_filter1d(1 + activity / max(activity.mean(), 1e-9), 2.0, mode="nearest"))
    share = (way - way[0]) / max(way[-1] - way[0], 1e-9)
    return np.interp(np.linspace(0, 1, MOMENTS), share, np.arange(clip.num_frames)).round().astype(int)


# --- rows of pictures --------------------------------------------------------------------------------------------------------


def _rows(clip: Clip, moments: np.ndarray) -> list[_Row]:
    rgb = clip.rgb
    size = (TILE, round(TILE * rgb.shape[1] / rgb.shape[2]))
    video = [cv2.resize(rgb[t], size, interpolation=_interpolation(rgb, size)) for t in _within(moments, rgb)]
    rows = [_Row("video", f"{rgb.shape[2]} × {rgb.shape[1]} px\n{clip.record.fps} fps", video)]
    depth_m, classes = clip.depth_m, clip.segmentation
    if depth_m is not None:
        rows.append(_Row("depth", "", [_paint_depth(depth_m[t], size) for t in _within(moments, depth_m)]))
    if classes is not None:
        shown = _within(moments, classes)
        under = rgb if len(rgb) == len(classes) else np.full((len(classes), *rgb.shape[1:]), 160, np.uint8)
        rows.append(_Row("classes", "", [_paint_classes(classes[t], under[t], size) for t in shown]))
    for label, azimuth_degrees in (("front", 20.0), ("side", 100.0)):
        view = View((SKELETON_HEIGHT, TILE), azimuth_degrees, elevation_degrees=10.0, distance_m=3.9)
        heading = _first_heading_degrees(clip)
        view = View(view.size_px, azimuth_degrees + heading, view.elevation_degrees, view.distance_m)
        rows.append(_Row(f"body, {label}", "line: the\nhead's path", [_paint_body(clip, t, view) for t in moments]))
    return rows


def _within(moments: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    return np.minimum(moments, len(pictures) - 1)


def _interpolation(pictures: np.ndarray, size: tuple[int, int]) -> int:
    return cv2.INTER_AREA if pictures.shape[2] >= size[0] else cv2.INTER_CUBIC


def _colours_of_depth(depth_m: np.ndarray) -> np.ndarray:
    """RGB; near is bright."""
    nearest, farthest = np.log(DEPTH_M)
    share = (farthest - np.log(np.maximum(depth_m, 1e-3))) / (farthest - nearest)
    grey = (share.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, DEPTH_COLOURS), cv2.COLOR_BGR2RGB)


def _paint_depth(depth_m: Float[np.ndarray, "height width"], size: tuple[int, int]) -> np.ndarray:
    painted = _colours_of_depth(depth_m)
    painted[depth_m <= 0] = (225, 228, 232)  # none
    return cv2.resize(painted, size, interpolation=cv2.INTER_AREA if depth_m.shape[1] >= size[0] else cv2.INTER_LINEAR)


def _paint_classes(classes: np.ndarray, under: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class colours, shaded by the picture under them."""
    names = [*SEGMENTATION_CLASSES]
    palette = np.array([CLASS_COLOURS[name] for name in names], np.float32)
    if under.shape[:2] != classes.shape:
        under = cv2.resize(under, classes.shape[::-1], interpolation=cv2.INTER_AREA)
    light = 0.62 + 0.5 * cv2.cvtColor(under, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    painted = (palette[np.minimum(classes, len(names) - 1)] * light).clip(0, 255).astype(np.uint8)
    return cv2.resize(painted, size, interpolation=cv2.INTER_AREA if classes.shape[1] >= size[0] else cv2.INTER_NEAREST)


def _paint_body(clip: Clip, moment: int, view: View) -> np.ndarray:
    joints_m = clip.joints_m
    trail_m = joints_m[max(0, moment - 40) : moment + 1, HEAD]
    # Halved twice the size: the drawing's smallest lines are made for larger pictures.
    height, width = view.size_px
    large = View((2 * height, 2 * width), view.azimuth_degrees, view.elevation_degrees, view.distance_m)
    picture = render_skeleton(joints_m[moment], view=large, target_m=joints_m[moment, PELVIS], trail_m=trail_m)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _first_heading_degrees(clip: Clip) -> float:
    """Where the camera looks in the first frame, about y from +z towards +x."""
    forward = clip.T_world_camera[0, :3, 2]
    return float(np.degrees(np.arctan2(forward[0], forward[2])))


# --- words and plots -----------------------------------------------------------------------------------------------------------


def _write_header(sheet: np.ndarray, clip: Clip, failing: int) -> None:
    record = clip.record
    written = write(sheet, record.category.replace("_", " "), MARGIN, 50, 32, INK, weight=600)
    write(sheet, record.id, MARGIN + written + 16, 50, 20, MUTED)
    write(sheet, record.caption or "no caption", MARGIN, 82, 19, INK)
    words = f"fails the gate in {failing} of {len(THRESHOLDS)} measures" if failing else "passes the alignment gate"
    room = np.zeros_like(sheet[:1])
    width = write(room, words, 0, 0, 18, INK, weight=600) + 36
    right, top, bottom = WIDTH - MARGIN, 26, 60
    colour = BAD if failing else GOOD
    for middle in (right - width + 17, right - 17):
        cv2.circle(sheet, (middle, (top + bottom) // 2), 17, colour, -1, cv2.LINE_AA)
    sheet[top : bottom + 1, right - width + 17 : right - 16] = colour
    write(sheet, words, right - width // 2, bottom - 11, 18, (255, 255, 255), weight=600, align="middle")


def _write_depth_scale(sheet: np.ndarray, left: int, top: int, height: int) -> None:
    ends = np.log(DEPTH_M)
    scale_m = np.exp(np.linspace(float(ends[0]), float(ends[1]), height))
    sheet[top : top + height, left : left + 12] = _colours_of_depth(scale_m[:, None])
    for metres in (0.25, 0.5, 1, 2, 4, 8, 16):
        at = round((np.log(metres) - ends[0]) / (ends[1] - ends[0]) * (height - 1))
        sheet[top + at, left + 12 : left + 17] = MUTED
        write(sheet, f"{metres:g} m", left + 21, top + at + 4, 12, MUTED)


def _write_facts(sheet: np.ndarray, clip: Clip, moments: np.ndarray, measured: Row, top: int) -> None:
    seconds = np.arange(clip.num_frames) / clip.record.fps
    head_m = clip.joints_m[:, HEAD]
    left = MARGIN
    map_from_above(sheet, clip, moments, (left, top, 390, FACTS_HEIGHT))
    left += 390 + 30
    half = (FACTS_HEIGHT - 18) // 2
    speed_m_s = np.linalg.norm(np.gradient(head_m, 1 / clip.record.fps, axis=0), axis=1)
    curve(sheet, "height of the head, m", seconds, head_m[:, 1], seconds[moments], (left, top, 400, half))
    curve(sheet, "speed of the head, m/s", seconds, speed_m_s, seconds[moments], (left, top + half + 18, 400, half))
    left += 400 + 40
    _write_list(sheet, _facts(clip), left, top)
    _write_classes(sheet, clip, left + 350, top)
    _write_measures(sheet, measured, left, top + 190)


def _write_measures(sheet: np.ndarray, measured: Row, left: int, top: int) -> None:
    """The measures that fail or come closest to it."""
    write(sheet, "alignment, closest to its bounds", left, top + 14, 15, INK, weight=500)
    known = [(bound, value) for bound in THRESHOLDS if (value := measured.get(bound.measure)) is not None]
    known = [(bound, value) for bound, value in known if bound.lower != bound.upper or bound.fails(value)]
    for line, (bound, value) in enumerate(sorted(known, key=lambda pair: -_use(*pair))[:5]):
        at, colour = top + 40 + 24 * line, BAD if bound.fails(value) else INK
        name = re.sub(r"_(m_s|cm|deg|frames)(?=_|$)", "", bound.measure).replace("_", " ")
        write(sheet, name, left, at, 15, colour if colour == BAD else MUTED)
        write(sheet, f"{round(value, 2) + 0.0:.2f}", left + 310, at, 15, colour, align="right")
        write(sheet, bound.bounds, left + 330, at, 15, MUTED)


def _use(bound: Threshold, value: float) -> float:
    """How much of what is allowed a value takes: 0 in the middle, more than 1 outside."""
    if bound.lower is None or bound.upper is None:
        limit = bound.upper if bound.lower is None else bound.lower
        return abs(value / limit) ** (1 if bound.lower is None else -1) if limit and value else 0.0
    half = (bound.upper - bound.lower) / 2
    return abs(value - bound.lower - half) / half if half else float(bound.fails(value)) * 2


def _facts(clip: Clip) -> list[tuple[str, str]]:
    record, details = clip.record, clip.record.details
    facts = [
        ("split", record.split),
        ("seed", "–" if record.seed is None else str(record.seed)),
        ("source", record.source),
        ("licence", record.licence),
        ("length", f"{clip.num_frames} frames, {clip.num_frames / record.fps:.2f} s"),
        ("place", str(details.get("place", "–"))),
    ]
    moments = details.get("moments", {})
    return facts + [
        (name.removesuffix("_s").replace("_", " "), f"{value:.2f}{' s' * name.endswith('_s')}")
        for name, value in list(moments.items())[:1]
    ]


def _write_list(sheet: np.ndarray, facts: list[tuple[str, str]], left: int, top: int) -> None:
    for line, (name, value) in enumerate(facts):
        write(sheet, name, left, top + 16 + 24 * line, 15, MUTED)
        write(sheet, value, left + 112, top + 16 + 24 * line, 15, INK)


def _write_classes(sheet: np.ndarray, clip: Clip, left: int, top: int) -> None:
    """Which classes appear, and how much of the pictures they fill."""
    if clip.segmentation is None:
        return
    counts = np.bincount(clip.segmentation.ravel(), minlength=len(SEGMENTATION_CLASSES))
    shares = {name: count / counts.sum() for name, count in zip(SEGMENTATION_CLASSES, counts, strict=False) if count}
    for line, (name, share) in enumerate(sorted(shares.items(), key=lambda item: -item[1])):
        at = top + 16 + 24 * line
        sheet[at - 12 : at + 2, left : left + 14] = CLASS_COLOURS[name]
        write(sheet, name.replace("_", " "), left + 24, at, 15, INK)
        write(sheet, f"{share:.1%}", left + 186, at, 15, MUTED, align="right")
