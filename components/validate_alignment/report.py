"""The gate's page: verdict, a histogram a measure, and each failing clip with the figure that failed. It loads nothing."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import cv2
import numpy as np
import pandas as pd

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import Failure, Threshold, residuals
from egoreact.hrd.clip import Clip
from egoreact.motion.skeleton import FPS, HEAD

THUMBNAILS, THUMBNAIL_PX = 8, 132
PLOTS = {
    "camera_position": ("Camera from the eyes, cm", ("camera_position_error_cm",), "camera_position_error_cm_max"),
    "camera_rotation": ("Camera from the gaze, °", ("camera_rotation_error_deg",), "camera_rotation_error_deg_max"),
    "speed": ("Speed, m/s", ("head_speed_m_s", "camera_speed_m_s"), None),
    "depth": ("Depth of the floor, measured / predicted", ("depth_scale_ratio",), "depth_scale_ratio"),
    "slip": ("Slip of the standing foot, cm a frame", ("foot_slip_cm",), "foot_skate_cm_per_frame"),
    "foot": ("Lower foot above floor, cm", ("foot_height_cm",), "foot_height_cm"),
    "joint": ("Fastest joint, m/s", ("joint_speed_m_s",), "max_joint_speed_m_s"),
}
"""Name → title, series of `residuals`, and the measure whose bounds are drawn."""
PLOT_OF_MEASURE = {
    "camera_position_error_cm_mean": "camera_position", "camera_position_error_cm_max": "camera_position",
    "camera_distance_error_cm_max": "camera_position", "camera_rotation_error_deg_mean": "camera_rotation",
    "camera_rotation_error_deg_max": "camera_rotation", "rotation_error": "camera_rotation", "lag_frames": "speed",
    "depth_scale_ratio": "depth",
    "foot_skate_cm_per_frame": "slip", "foot_height_cm": "foot", "floor_penetration_cm": "foot",
    "max_joint_speed_m_s": "joint", "bone_length_std_cm_max": "joint",
}  # fmt: skip
DEFAULT_PLOTS = ("camera_position", "speed", "foot")


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
    body = [_header(summary), _measures(table, thresholds, summary["failing_by_measure"])]
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
    title = f"Alignment {'passed' if summary['passed'] else 'failed'}"
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


# --- sections -------------------------------------------------------------------------------------------------------------


def _header(summary: dict[str, Any]) -> str:
    passed, clips, failing = summary["passed"], summary["clips"], summary["failing"]
    facts = [
        (f"{clips}", "clips measured"),
        (f"{failing}", "quarantined"),
        (f"{summary['failing_fraction']:.1%}", f"failing; at most {summary['max_failing_fraction']:.0%} may"),
        (
            f"<code>{escape(str(summary['worst_measure'] or 'none')).replace('_', '_<wbr>')}</code>",
            "measure that fails most",
        ),
    ]
    tiles = "".join(f"<div class=tile><b>{value}</b><span>{label}</span></div>" for value, label in facts)
    revision = (
        f"<p class=muted>Data revision <code>{escape(str(summary['data_revision']))}</code></p>"
        if summary["data_revision"]
        else ""
    )
    return (
        f"<header><span class='pill {'good' if passed else 'bad'}'>{'Passed' if passed else 'Failed'}</span>"
        f"<h1>Do video, camera and motion belong together?</h1>{revision}</header><section class=tiles>{tiles}</section>"
    )


def _measures(table: pd.DataFrame, thresholds: Sequence[Threshold], counts: dict[str, int]) -> str:
    rows = []
    for threshold in thresholds:
        values = table[threshold.measure].dropna().to_numpy(float)
        failing = counts.get(threshold.measure, 0)
        without = len(table) - len(values)
        figures = (
            f"<td class=num>{_number(np.median(values))}</td><td class=num>{_number(values.min())} … {_number(values.max())}</td>"
            if len(values)
            else "<td class='num muted'>–</td><td class='num muted'>–</td>"
        )
        rows.append(
            f"<tr class='{'fails' if failing else ''}'><td><code>{threshold.measure}</code><small>{escape(threshold.meaning)}</small></td>"
            f"<td class=nowrap>{escape(threshold.bounds)}</td><td>{_histogram(values, threshold)}</td>{figures}"
            f"<td class='num muted'>{without or ''}</td><td class=num>{f'<b class=badtext>{failing}</b>' if failing else '0'}</td></tr>"
        )
    return (
        "<h2>Measures</h2><div class=scroll><table><thead><tr><th>Measure<th>Bounds<th>Clips<th class=num>Median"
        "<th class=num>Range<th class=num>Unknown<th class=num>Failing</tr></thead><tbody>"
        + "".join(rows)
        + "</tbody></table></div><p class=muted>Shaded is what the bounds allow. Unknown: clips that cannot give the figure, "
        "for example without depth; they do not fail by it.</p>"
    )


def _sheet(sheet: ClipSheet, bounds: dict[str, Threshold]) -> str:
    reasons = "".join(
        f"<li><b>{_number(f.value)}{escape(f.unit if f.unit == '°' else f' {f.unit}')}</b> <code>{f.measure}</code>, must be {escape(bounds[f.measure].bounds)}"
        f" <span class=muted>— {escape(f.meaning)}</span></li>"
        for f in sheet.failures
    )
    images = "".join(
        f'<img alt="frame" src="data:image/jpeg;base64,{base64.b64encode(jpg).decode()}">'
        for jpg in sheet.thumbnails_jpg
    )
    names = list(dict.fromkeys(PLOT_OF_MEASURE[f.measure] for f in sheet.failures if f.measure in PLOT_OF_MEASURE))
    names = (names + [name for name in DEFAULT_PLOTS if name not in names])[:3]
    plots = "".join(_plot(sheet.series, bounds, *PLOTS[name]) for name in names) + _plan(sheet.paths_m)
    return (
        f"<article><h3><code>{escape(sheet.clip_id)}</code></h3><p class=muted>{escape(sheet.about)}</p>"
        f"{f'<ul class=reasons>{reasons}</ul>' if reasons else ''}"
        f"<div class=strip>{images or '<p class=muted>The video cannot be decoded.</p>'}</div><div class=plots>{plots}</div></article>"
    )


# --- drawings -------------------------------------------------------------------------------------------------------------


def _histogram(values: np.ndarray, threshold: Threshold, width: int = 190, height: int = 38) -> str:
    if not len(values):
        return "<span class=muted>no clip gives it</span>"
    edges = [edge for edge in (threshold.lower, threshold.upper) if edge is not None]
    low, high = float(min(values.min(), *edges)), float(max(values.max(), *edges))
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    counts, cuts = np.histogram(values, bins=31, range=(low, high))

    def x(value: float) -> float:
        return width * (value - low) / (high - low)

    allowed = (
        x(threshold.lower) if threshold.lower is not None else 0.0,
        x(threshold.upper) if threshold.upper is not None else width,
    )
    bars = []
    for count, left, right in zip(counts, cuts[:-1], cuts[1:], strict=True):
        if count:
            tall = max(5.0, (height - 4) * count / counts.max())
            # A bar holds values on both sides of a bound only where they are nearly the same.
            bad = threshold.fails(float(np.median(values[(values >= left) & (values <= right)])))
            bars.append(
                f"<rect class={'bad' if bad else 'bar'} x={x(left) + 0.5:.1f} y={height - tall:.1f} "
                f"width={width / 31 - 1:.1f} height={tall:.1f}><title>{count} at {_number(left)} to {_number(right)}</title></rect>"
            )
    marks = "".join(f"<line class=bound x1={x(edge):.1f} x2={x(edge):.1f} y1=0 y2={height} />" for edge in edges)
    return (
        f"<svg viewBox='0 0 {width} {height}' width={width} height={height} role=img aria-label='histogram'>"
        f"<rect class=allowed x={allowed[0]:.1f} y=0 width={max(allowed[1] - allowed[0], 1.5):.1f} height={height} />"
        f"{''.join(bars)}{marks}</svg>"
    )


def _plot(
    series: dict[str, np.ndarray],
    bounds: dict[str, Threshold],
    title: str,
    names: tuple[str, ...],
    bounding: str | None,
    width: int = 300,
    height: int = 130,
) -> str:
    curves = {name: series[name] for name in names if name in series and np.isfinite(series[name]).any()}
    if not curves:
        return f"<figure><figcaption>{title}</figcaption><p class=muted>This clip cannot give it.</p></figure>"
    threshold = bounds.get(bounding or "")
    edges = [edge for edge in (threshold.lower, threshold.upper) if edge is not None] if threshold else []
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    low, high = float(min(values.min(), *(edges or [0.0]))), float(max(values.max(), 1e-3, *edges))
    low = low if threshold and threshold.lower is not None else min(low, 0.0)
    left, top, right, bottom = 34, 8, width - 6, height - 20
    frames = max(map(len, curves.values()))

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    lines = "".join(
        f"<polyline class=curve{index} points='{_points(curve, left, right, frames, y)}'><title>{name}</title></polyline>"
        for index, (name, curve) in enumerate(curves.items())
    )
    marks = "".join(f"<line class=bound x1={left} x2={right} y1={y(edge):.1f} y2={y(edge):.1f} />" for edge in edges)
    legend = (
        "".join(f"<i class=key{i}></i>{name.split('_')[0]} " for i, name in enumerate(curves))
        if len(curves) > 1
        else ""
    )
    return (
        f"<figure><figcaption>{title} <span class=legend>{legend}</span></figcaption><svg viewBox='0 0 {width} {height}' role=img>"
        f"<line class=axis x1={left} x2={right} y1={bottom} y2={bottom} /><line class=axis x1={left} x2={left} y1={top} y2={bottom} />"
        f"<text x={left - 4} y={y(high) + 8:.1f} text-anchor=end>{_number(high)}</text>"
        f"<text x={left - 4} y={bottom} text-anchor=end>{_number(low)}</text>"
        f"<text x={left} y={height - 5}>0 s</text><text x={right} y={height - 5} text-anchor=end>{frames / FPS:.2g} s</text>"
        f"{marks}{lines}</svg></figure>"
    )


def _points(curve: np.ndarray, left: int, right: int, frames: int, y: Any) -> str:
    xs = left + (right - left) * np.arange(len(curve)) / max(frames - 1, 1)
    return " ".join(f"{x:.1f},{y(value):.1f}" for x, value in zip(xs, curve, strict=True) if np.isfinite(value))


def _plan(paths_m: dict[str, np.ndarray], width: int = 190, height: int = 130) -> str:
    known = {name: path[np.isfinite(path).all(axis=1)] for name, path in paths_m.items()}
    points = np.concatenate(list(known.values())) if known else np.empty((0, 2))
    if not len(points):
        return ""
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    metre_px = (height - 36) / max(float(np.ptp(points, axis=0).max()), 0.5)
    lines = []
    for index, path in enumerate(known.values()):
        # Seen from above, x (left) to the left and z (forward) up.
        xy = np.stack(
            [width / 2 - (path[:, 0] - middle[0]) * metre_px, height / 2 - (path[:, 1] - middle[1]) * metre_px], -1
        )
        lines.append(f"<polyline class=curve{index} points='{' '.join(f'{x:.1f},{y:.1f}' for x, y in xy)}' />")
        if len(xy):
            lines.append(f"<circle class=dot{index} cx={xy[0, 0]:.1f} cy={xy[0, 1]:.1f} r=3 />")
    return (
        "<figure class=plan><figcaption>Seen from above</figcaption>"
        f"<svg viewBox='0 0 {width} {height}' role=img>{''.join(lines)}"
        f"<line class=axis x1=8 x2={8 + 0.5 * metre_px:.1f} y1={height - 8} y2={height - 8} />"
        f"<text x=8 y={height - 13}>0.5 m</text></svg></figure>"
    )


def _jpg(rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (THUMBNAIL_PX, max(1, round(THUMBNAIL_PX * height / width))), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _number(value: float) -> str:
    if abs(value) < 5e-4:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


_STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f24;--muted:#667080;--line:#dfe3e8;--accent:#2f6fde;
--second:#d9822b;--good:#1a7f4b;--bad:#c8372d;--allowed:#2f9e6426}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1c2026;--ink:#e6e9ed;--muted:#98a2b0;--line:#2e343c;
--accent:#6aa2ff;--second:#f0a35e;--good:#43b581;--bad:#ff6b5e;--allowed:#43b58126}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:10px 0 4px;line-height:1.25}h2{font-size:19px;margin:40px 0 8px}h3{font-size:15px;margin:0}
code{font:13px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.muted,small,.legend{color:var(--muted)}p{margin:4px 0}small{display:block;font-size:13px}
.pill{display:inline-block;padding:3px 14px;border-radius:99px;color:#fff;font-weight:600}
.pill.good{background:var(--good)}.pill.bad{background:var(--bad)}
@media(prefers-color-scheme:dark){.pill{color:#14171b}}
.badtext{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-top:20px}
.tile,article,.scroll{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:14px 16px}.tile b{display:block;font-size:21px;line-height:1.3}.tile code{font-size:15px}
.tile span{color:var(--muted);font-size:13px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th{font-size:13px;color:var(--muted);font-weight:600;text-align:left}th,td{padding:8px 12px;vertical-align:middle}
tbody tr{border-top:1px solid var(--line)}.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.nowrap{white-space:nowrap}tr.fails td:first-child{box-shadow:inset 3px 0 var(--bad)}
article{padding:16px 18px;margin:12px 0}.reasons{margin:8px 0;padding-left:18px}.reasons b{color:var(--bad)}
.strip{display:grid;grid-template-columns:repeat(8,1fr);gap:6px;margin:10px 0}.strip img{border-radius:6px;display:block;width:100%;height:auto}.strip p{grid-column:1/-1}
@media(max-width:800px){.strip{grid-template-columns:repeat(4,1fr)}}
.plots{display:grid;grid-template-columns:repeat(3,minmax(0,1fr)) minmax(0,.65fr);gap:14px}
@media(max-width:800px){.plots{grid-template-columns:1fr}}
figure{margin:0;min-width:0}figcaption{font-size:13px;margin-bottom:2px}svg{display:block;max-width:100%}figure svg{width:100%}
svg text{font-size:10px;fill:var(--muted)}.axis{stroke:var(--line)}.bound{stroke:var(--bad);stroke-dasharray:3 3}
.allowed{fill:var(--allowed)}.bar{fill:var(--accent)}rect.bad{fill:var(--bad)}
polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}.curve0{stroke:var(--accent)}.curve1{stroke:var(--second);stroke-dasharray:5 3}
.dot0{fill:var(--accent)}.dot1{fill:var(--second)}
.legend{font-size:12px;margin-left:6px}.legend i{display:inline-block;width:12px;height:3px;margin:0 4px 3px 6px;border-radius:2px}
.key0{background:var(--accent)}.key1{background:var(--second)}
details{margin:12px 0}summary{cursor:pointer}
"""
