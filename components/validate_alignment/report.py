"""The gate's page: verdict, a histogram a measure, and each failing clip with the figure that failed. It loads nothing."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import cv2
import numpy as np
import pandas as pd

from components.validate_alignment.drawings import histogram, number, plan, plot
from components.validate_alignment.style import STYLE
from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import Failure, Threshold, residuals
from egoreact.hrd.clip import Clip
from egoreact.motion.skeleton import FPS, HEAD

THUMBNAILS, THUMBNAIL_PX = 8, 132
SECTIONS = {
    "Files": ("undecodable_streams", "non_finite_values", "frame_count_difference", "frames_beyond_tokens", "video_fps"),
    "What the pixels saw, against the head": (
        "pixel_error_share", "pixel_lag_frames", "pixel_jump_frames", "pixel_rate", "repeated_frames",
        "pixel_mirror_ratio", "pixel_turn_deg", "pixel_scale_ratio",
    ),
    "Floor in the depth images": ("floor_tilt_deg", "floor_height_error_cm", "depth_scale_ratio"),
    "Recorded camera, against the head": (
        "rotation_error", "camera_position_error_cm_mean", "camera_position_error_cm_max",
        "camera_rotation_error_deg_mean", "camera_rotation_error_deg_max", "camera_distance_error_cm_max", "lag_frames",
    ),
    "Body": (),
}  # fmt: skip
"""Heading → measures under it; the last takes all that no other names."""
PLOTS = {
    "pixel_turn": ("Turning, °/s", ("pixel_turn_deg_s", "head_turn_deg_s"), None),
    "pixel_pace": ("Moving, m/s", ("pixel_pace_m_s", "head_pace_m_s"), None),
    "pixel_error": ("Pixels against head, °", ("pixel_error_deg",), None),
    "camera_position": ("Camera from the eyes, cm", ("camera_position_error_cm",), "camera_position_error_cm_max"),
    "camera_rotation": ("Camera from the gaze, °", ("camera_rotation_error_deg",), "camera_rotation_error_deg_max"),
    "speed": ("Speed, m/s", ("camera_speed_m_s", "head_speed_m_s"), None),
    "floor": ("Floor's tilt, °", ("floor_tilt_deg",), "floor_tilt_deg"),
    "floor_height": ("Floor under y = 0, cm", ("floor_height_error_cm",), "floor_height_error_cm"),
    "depth": ("Depth of the floor, measured / predicted", ("depth_scale_ratio",), "depth_scale_ratio"),
    "slip": ("Slip of the standing foot, cm a frame", ("foot_slip_cm",), "foot_skate_cm_per_frame"),
    "foot": ("Lower foot above floor, cm", ("foot_height_cm",), "foot_height_cm"),
    "joint": ("Fastest joint, m/s", ("joint_speed_m_s",), "max_joint_speed_m_s"),
}
"""Name → title, series of `residuals`, and the measure whose bounds are drawn."""
PLOT_OF_MEASURE = {
    "pixel_error_share": "pixel_error", "pixel_lag_frames": "pixel_error", "pixel_jump_frames": "pixel_error",
    "pixel_rate": "pixel_error", "pixel_mirror_ratio": "pixel_error", "pixel_turn_deg": "pixel_error",
    "pixel_scale_ratio": "pixel_pace", "repeated_frames": "pixel_turn",
    "floor_tilt_deg": "floor", "floor_height_error_cm": "floor_height", "depth_scale_ratio": "depth",
    "camera_position_error_cm_mean": "camera_position", "camera_position_error_cm_max": "camera_position",
    "camera_distance_error_cm_max": "camera_position", "camera_rotation_error_deg_mean": "camera_rotation",
    "camera_rotation_error_deg_max": "camera_rotation", "rotation_error": "camera_rotation", "lag_frames": "speed",
    "foot_skate_cm_per_frame": "slip", "foot_height_cm": "foot", "floor_penetration_cm": "foot",
    "max_joint_speed_m_s": "joint", "bone_length_std_cm_max": "joint",
}  # fmt: skip
ALWAYS = ("pixel_turn", "pixel_pace")
FILLING = ("pixel_error", "camera_position", "foot")
PLOTS_A_CLIP = 4


@dataclass(frozen=True)
class ClipSheet:
    """What the page shows of one clip."""

    clip_id: str
    about: str
    failures: tuple[Failure, ...]
    thumbnails_jpg: tuple[bytes, ...]
    series: dict[str, np.ndarray]
    paths_m: dict[str, np.ndarray] = field(default_factory=dict)
    """`head` and `camera`, (T, 2): along the floor, x and z."""


def sheet_of(clip: Clip, found: Sequence[Failure]) -> ClipSheet:
    try:
        rgb = clip.rgb
        thumbnails = tuple(_jpg(rgb[t]) for t in np.linspace(0, len(rgb) - 1, THUMBNAILS).round().astype(int))
    except EgoReactError:
        thumbnails = ()
    record = clip.record
    return ClipSheet(
        clip_id=clip.id,
        about=f"{record.split} · {record.category} · {record.source} · {clip.num_frames} frames, {clip.num_frames / FPS:.2g} s",
        failures=tuple(found),
        thumbnails_jpg=thumbnails,
        series=residuals(clip),
        paths_m={"head": clip.joints_m[:, HEAD][:, [0, 2]], "camera": clip.T_world_camera[:, [0, 2], 3]},
    )


def render_report(
    table: pd.DataFrame,
    thresholds: Sequence[Threshold],
    summary: dict[str, Any],
    reasons: dict[str, list[str]],
    sheets: Sequence[ClipSheet],
) -> str:
    """The page's HTML.

    Args:
        table: a row a clip, a column a measure.
        summary: what `verdict.json` says.
        reasons: id of each failing clip → why, a sentence each.
        sheets: failing clips to show in full, and a passing one.
    """
    failing = [sheet for sheet in sheets if sheet.failures]
    passing = [sheet for sheet in sheets if not sheet.failures]
    bounds = {threshold.measure: threshold for threshold in thresholds}
    counts = summary["failing_by_measure"]
    body = [_header(summary), _causes(thresholds, counts)]
    if reasons:
        shown = f"; the first {len(failing)} are shown" if len(failing) < len(reasons) else ""
        body.append(f"<h2>Quarantined clips</h2><p class=muted>Later steps leave these {len(reasons)} out{shown}.</p>")
        body += [_sheet(sheet, bounds) for sheet in failing]
        rest = [clip_id for clip_id in reasons if clip_id not in {sheet.clip_id for sheet in failing}]
        if rest:
            items = "".join(f"<li><code>{escape(i)}</code> {escape('; '.join(reasons[i]))}</li>" for i in rest)
            body.append(f"<details><summary>{len(rest)} more</summary><ul>{items}</ul></details>")
    if passing:
        body.append("<h2>A clip that passes, to compare with</h2>")
        body += [_sheet(sheet, bounds) for sheet in passing]
    body.append(_measures(table, thresholds, counts))
    title = f"Alignment {'passed' if summary['passed'] else 'failed'}"
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


# --- sections -------------------------------------------------------------------------------------------------------------


def _header(summary: dict[str, Any]) -> str:
    passed, clips, failing = summary["passed"], summary["clips"], summary["failing"]
    facts = [
        (f"{clips}", "clips measured"),
        (f"{failing}", "quarantined"),
        (f"{summary['failing_fraction']:.1%}", f"failing; at most {summary['max_failing_fraction']:.0%} may"),
    ]
    tiles = "".join(f"<div class=tile><b>{value}</b><span>{label}</span></div>" for value, label in facts)
    revision = (
        f"<p class=muted>Data revision <code>{escape(str(summary['data_revision']))}</code></p>"
        if summary["data_revision"]
        else ""
    )
    return (
        f"<header><span class='pill {'good' if passed else 'bad'}'>{'Passed' if passed else 'Failed'}</span>"
        "<h1>Do video, camera, depth and motion belong together?</h1>"
        f"{revision}</header><section class=tiles>{tiles}</section>"
    )


def _causes(thresholds: Sequence[Threshold], counts: dict[str, int]) -> str:
    """What clips fail by, the commonest first; nothing where none fails."""
    if not counts:
        return ""
    bounds = {threshold.measure: threshold for threshold in thresholds}
    most = max(counts.values())
    rows = "".join(
        f"<div class=cause><code>{escape(name)}</code>"
        f"<span class=track><i style='width:{100 * count / most:.0f}%'></i></span><b>{count}</b>"
        f"<small>{escape(bounds[name].meaning) if name in bounds else ''}</small></div>"
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    )
    return f"<h2>What they fail by</h2><section class=causes>{rows}</section>"


def _measures(table: pd.DataFrame, thresholds: Sequence[Threshold], counts: dict[str, int]) -> str:
    named = {name for names in SECTIONS.values() for name in names}
    body = []
    for heading, names in SECTIONS.items():
        rows = [
            _measure(table[t.measure].dropna().to_numpy(float), len(table), t, counts.get(t.measure, 0))
            for t in thresholds
            if (t.measure in names if names else t.measure not in named)
        ]
        if rows:
            body.append(f"<tr class=section><th colspan=7>{escape(heading)}</th></tr>{''.join(rows)}")
    return (
        "<h2>Measures</h2><div class=sheet><table><thead><tr><th>Measure<th>Bounds<th>Clips<th class=num>Median"
        "<th class=num>Range<th class=num>Unknown<th class=num>Failing</tr></thead><tbody>"
        + "".join(body)
        + "</tbody></table></div><p class=muted>Shaded is what the bounds allow; bars at the very edge hold all that lies "
        "beyond. Unknown: clips that cannot give the figure, because they have no depth or a head too still to tell; they "
        "do not fail by it.</p>"
    )


def _measure(values: np.ndarray, clips: int, threshold: Threshold, failing: int) -> str:
    without = clips - len(values)
    median = number(float(np.median(values))) if len(values) else "–"
    extremes = f"{number(values.min())} … {number(values.max())}" if len(values) else "–"
    return (
        f"<tr class='{'fails' if failing else ''}'><td class=name><code>{threshold.measure}</code>"
        f"<small>{escape(threshold.meaning)}</small></td>"
        f"<td class=nowrap data-label=Bounds>{escape(threshold.bounds)}</td><td>{histogram(values, threshold)}</td>"
        f"<td class=num data-label=Median>{median}</td><td class=num data-label=Range>{extremes}</td>"
        f"<td class='num muted' data-label=Unknown>{without or ''}</td>"
        f"<td class=num data-label=Failing>{f'<b class=badtext>{failing}</b>' if failing else '0'}</td></tr>"
    )


def _sheet(sheet: ClipSheet, bounds: dict[str, Threshold]) -> str:
    reasons = "".join(
        f"<li><b>{number(f.value)}{escape(f.unit if f.unit == '°' else f' {f.unit}')}</b> <code>{f.measure}</code>, must be {escape(bounds[f.measure].bounds)}"
        f" <span class=muted>— {escape(f.meaning)}</span></li>"
        for f in sheet.failures
    )
    images = "".join(
        f'<img alt="frame" src="data:image/jpeg;base64,{base64.b64encode(jpg).decode()}">'
        for jpg in sheet.thumbnails_jpg
    )
    failing = [PLOT_OF_MEASURE[f.measure] for f in sheet.failures if f.measure in PLOT_OF_MEASURE]
    names = list(dict.fromkeys((*ALWAYS, *failing, *FILLING)))[:PLOTS_A_CLIP]
    plots = "".join(plot(sheet.series, bounds, *PLOTS[name]) for name in names) + plan(sheet.paths_m)
    return (
        f"<article><h3><code>{escape(sheet.clip_id)}</code></h3><p class=muted>{escape(sheet.about)}</p>"
        f"{f'<ul class=reasons>{reasons}</ul>' if reasons else ''}"
        f"<div class=strip>{images or '<p class=muted>The video cannot be decoded.</p>'}</div><div class=plots>{plots}</div></article>"
    )


def _jpg(rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (THUMBNAIL_PX, max(1, round(THUMBNAIL_PX * height / width))), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
