"""What `egoreact bench service --out` leaves: `service.md`, the plot `service.png` and `service.json`, every point."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egoreact.bench.service import Measured
from egoreact.bench.service_search import MOST_DROPPED_SHARE, MOST_P99_MS, Point, Search
from egoreact.errors import EgoReactError
from egoreact.experiments.plots import COLOURS, FAINT, INK, drawing
from egoreact.files import whole_file, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT, PAGE, NUMBERS = "service.png", "service.md", "service.json"
STAGES = ("wait", "image", "perception", "gpt", "decode", "total")
LEAST_MS = 1.0
"""Where the plot begins."""
PERCENTILES = {"p50_ms": (":", 1.2), "p95_ms": ("--", 1.4), "p99_ms": ("-", 2.0)}
"""Line style and width."""


def write_report(folder: Path, measured: Measured, figures: dict[str, Any]) -> None:
    """Raises:
    EgoReactError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / PLOT) as beside:
            draw(beside, measured)
        write_json(folder / NUMBERS, figures | {"points": measured.points()})
        with whole_file(folder / PAGE) as beside:
            beside.write_text(page(measured, figures))
    except OSError as error:
        line = error.strerror or str(error)
        raise EgoReactError(line, where=folder, remedy="give another folder with --out") from error


def draw(path: Path, measured: Measured) -> None:
    """Latency and drops against the number of sessions, with shared steps and without."""
    with drawing(path, "Live sessions on one service: frame in to motion out", 2) as (latency, drops):
        for search, colour, name in _ways(measured):
            points = _last_of_each(search)
            sessions = [point.sessions for point in points]
            for percentile, (style, width) in PERCENTILES.items():
                values = [getattr(point, percentile) for point in points]
                label = f"{name}, {percentile.removesuffix('_ms')}"
                latency.plot(sessions, values, color=colour, ls=style, lw=width, marker="o", ms=2.5, label=label)
            shares = [100 * point.dropped_share for point in points]
            drops.plot(sessions, shares, color=colour, lw=1.8, marker="o", ms=2.5, label=name)
            if search.best is not None:
                for axes in (latency, drops):
                    axes.axvline(search.best.sessions, color=colour, lw=0.8, alpha=0.5)
        _limit(latency, MOST_P99_MS, f"{MOST_P99_MS:.0f} ms: a token's own time")
        _limit(drops, 100 * MOST_DROPPED_SHARE, f"{MOST_DROPPED_SHARE:.0%}")
        latency.set(
            title="latency of a token, ms", xscale="log", yscale="log", xlabel="sessions, 20 frames a second each"
        )
        drops.set(title="tokens dropped, %", xscale="log", xlabel="sessions, 20 frames a second each")
        ticks = sorted(
            {point.sessions for search, *_ in _ways(measured) for point in search.points if _is_power(point)}
        )
        _, top = latency.get_ylim()
        latency.set_ylim(bottom=LEAST_MS, top=top)
        latency.yaxis.set_major_formatter("{x:g}")
        for axes in (latency, drops):
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.grid(color=FAINT, lw=0.7)
            axes.set_axisbelow(True)
        latency.legend(fontsize=7.5, ncols=2, loc="lower right")
        drops.legend(fontsize=7.5, ncols=2, loc="upper left")


def page(measured: Measured, figures: dict[str, Any]) -> str:
    machine = measured.machine
    lines = [
        "# The service under load",
        "",
        f"`{shlex.join(['egoreact', *sys.argv[1:]])}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {str(machine['commit'])[:12]}. {machine['device']}, "
        f"{machine['cores']} cores and {machine['machine_memory_gb']:.0f} GB, which service and clients share; load average {machine['load_average']:.1f}.",
        "",
        f"**{figures['sessions_batched']} sessions** at 20 frames a second each with p99 within {MOST_P99_MS:.0f} ms and at most "
        f"{MOST_DROPPED_SHARE:.0%} dropped; {figures['sessions_one_by_one']} where each step has one session.",
        "",
        f"![latency and drops against the number of sessions]({PLOT})",
        "",
    ]
    for search, _, name in _ways(measured):
        lines += [f"## {name.capitalize()}", "", *_table(search), ""]
    if measured.faults:
        lines += ["## Faults", "", *_faults(measured), ""]
    if (soaked := measured.soaked) is not None:
        lines += [
            "## Soak", "",
            f"{soaked.point.sessions} sessions for {soaked.minutes:g} minutes: p99 {soaked.point.p99_ms:.0f} ms, dropped "
            f"{soaked.point.dropped_share:.2%}; memory {soaked.memory_gb_start:.3f} GB at its start, {soaked.memory_gb_end:.3f} GB at its end.",
            "",
        ]  # fmt: skip
    return "\n".join(lines)


def _table(search: Search) -> list[str]:
    rows = [
        f"| {point.sessions}{' ✓' if point.holds else ''} | {point.p50_ms:.1f} | {point.p95_ms:.1f} | {point.p99_ms:.1f} | {point.dropped_share:.2%} | "
        f"{point.batch:.1f} | " + " | ".join(f"{point.stages_ms.get(stage, 0):.1f}" for stage in STAGES)
        + f" | {point.service_cores:.2f} + {point.client_cores:.2f} | {point.late_p99_ms:.1f} | {point.memory_gb:.2f} | {_failures(point)} |"
        for point in search.points
    ]  # fmt: skip
    stages = " | ".join(f"{stage}, ms" for stage in STAGES)
    head = f"| sessions | p50, ms | p95, ms | p99, ms | dropped | a step | {stages} | cores, service + clients | clients late p99, ms | memory, GB | failed |"
    return [head, "|" + "---:|" * (head.count("|") - 1), *rows]


def _failures(point: Point) -> str:
    return "; ".join(f"{count} × {why}" for why, count in point.failures.items()) or "–"


def _faults(measured: Measured) -> list[str]:
    rows = [
        f"| {name.replace('_', ' ')} | {tried.tried} | {tried.answered} | {'broke off' if tried.apart_m is None else f'{tried.apart_m:.1e}'} |"
        for name, tried in measured.faults.items()
    ]
    after = ", ".join(f"{seconds:.1f}" for seconds in measured.kill_s)
    return [
        "| fault | tried | well answered | session beside it, m from what it is alone |", "|---|---:|---:|---:|", *rows, "",
        f"After a kill the same client had motion again within {after} s. Tracebacks in the service's log: {measured.tracebacks}.",
    ]  # fmt: skip


def _ways(measured: Measured) -> list[tuple[Search, str, str]]:
    return [(measured.batched, COLOURS[0], "shared steps"), (measured.one_by_one, COLOURS[1], "one session a step")]


def _last_of_each(search: Search) -> list[Point]:
    """The measurement that counted, by number of sessions."""
    last = {point.sessions: point for point in search.points}
    return [last[sessions] for sessions in sorted(last)]


def _limit(axes: "Axes", value: float, name: str) -> None:
    axes.axhline(value, color=INK, lw=0.9, ls=(0, (2, 3)), label=name)


def _is_power(point: Point) -> bool:
    return point.sessions & (point.sessions - 1) == 0
