"""The drawings of the gate's page, as SVG in the page itself."""

from typing import Any

import numpy as np

from egoreact.hrd.alignment import Threshold
from egoreact.motion.skeleton import FPS


def histogram(values: np.ndarray, threshold: Threshold, width: int = 190, height: int = 38) -> str:
    """Of one measure, with what its bounds allow shaded; the bars at the edges hold all that lies beyond."""
    if not len(values):
        return "<span class=muted>no clip gives it</span>"
    edges = [edge for edge in (threshold.lower, threshold.upper) if edge is not None]
    # A few clips far away must not squeeze all others into one bar.
    span = max(max(edges) - min(edges), 0.5 * max(map(abs, edges)), float(np.ptp(np.percentile(values, [5, 95]))), 1e-9)
    values = np.clip(values, min(edges) - span, max(edges) + span)
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
                f"width={width / 31 - 1:.1f} height={tall:.1f}><title>{count} at {number(left)} to {number(right)}</title></rect>"
            )
    marks = "".join(f"<line class=bound x1={x(edge):.1f} x2={x(edge):.1f} y1=0 y2={height} />" for edge in edges)
    return (
        f"<svg viewBox='0 0 {width} {height}' width={width} height={height} role=img aria-label='histogram'>"
        f"<rect class=allowed x={allowed[0]:.1f} y=0 width={max(allowed[1] - allowed[0], 1.5):.1f} height={height} />"
        f"{''.join(bars)}{marks}</svg>"
    )


def plot(
    series: dict[str, np.ndarray],
    bounds: dict[str, Threshold],
    title: str,
    names: tuple[str, ...],
    bounding: str | None,
    width: int = 224,
    height: int = 124,
) -> str:
    """Series of `residuals` over the seconds of a clip, and the bounds of the measure `bounding` as lines."""
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
    return (
        f"<figure><figcaption>{title} <span class=legend>{_legend(curves)}</span></figcaption><svg viewBox='0 0 {width} {height}' role=img>"
        f"<line class=axis x1={left} x2={right} y1={bottom} y2={bottom} /><line class=axis x1={left} x2={left} y1={top} y2={bottom} />"
        f"<text x={left - 4} y={y(high) + 8:.1f} text-anchor=end>{number(high)}</text>"
        f"<text x={left - 4} y={bottom} text-anchor=end>{number(low)}</text>"
        f"<text x={left} y={height - 5}>0 s</text><text x={right} y={height - 5} text-anchor=end>{frames / FPS:.2g} s</text>"
        f"{marks}{lines}</svg></figure>"
    )


def _legend(curves: dict[str, np.ndarray]) -> str:
    if len(curves) < 2:
        return ""
    return "".join(f"<i class=key{index}></i>{name.split('_')[0]} " for index, name in enumerate(curves))


def _points(curve: np.ndarray, left: int, right: int, frames: int, y: Any) -> str:
    xs = left + (right - left) * np.arange(len(curve)) / max(frames - 1, 1)
    return " ".join(f"{x:.1f},{y(value):.1f}" for x, value in zip(xs, curve, strict=True) if np.isfinite(value))


def plan(paths_m: dict[str, np.ndarray], width: int = 224, height: int = 124) -> str:
    """Paths along the floor, seen from above."""
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
        f"<figure class=plan><figcaption>Path <span class=legend>{_legend(known)}</span></figcaption>"
        f"<svg viewBox='0 0 {width} {height}' role=img>{''.join(lines)}"
        f"<line class=axis x1=8 x2={8 + 0.5 * metre_px:.1f} y1={height - 8} y2={height - 8} />"
        f"<text x=8 y={height - 13}>0.5 m</text></svg></figure>"
    )


def number(value: float) -> str:
    """Three digits, as people read them."""
    if abs(value) < 5e-4:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
