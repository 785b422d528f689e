"""A replay for a person: the table of differences, and the page with its plot."""

from pathlib import Path

import numpy as np

from egoreact.client.wire import FPS
from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from serving.logs import BUNDLE_DIGITS
from serving.metrics import STAGES
from serving.replay import Motion, Replay

HEADER = ("", "recorded", "challenger", "difference")
Row = tuple[str, str, str, str]


def rows(replay: Replay) -> list[Row]:
    """The table: differences in motion, then milliseconds a token, p50 / p95, stage by stage."""
    from egoreact.evaluation.metrics import foot_skate_cm

    old, new = replay.recorded, replay.challenger
    skates = [foot_skate_cm(side.joints_m) for side in (old, new)]
    motion = [
        ("mean joint distance, cm", "–", "–", _number(replay.joint_distance_cm.mean())),
        ("head path error, cm", "–", "–", _number(replay.head_errors_cm.mean())),
        ("token agreement", "–", "–", _number(replay.token_agreement)),
        ("foot skate, cm", _number(skates[0]), _number(skates[1]), _signed(skates[1] - skates[0])),
    ]
    return motion + [_latency(stage, old, new) for stage in STAGES if stage in old.timings_ms]


def _latency(stage: str, old: Motion, new: Motion) -> Row:
    title = f"{stage}, ms, p50 / p95"
    before = np.percentile(old.timings_ms[stage], (50, 95))
    if stage not in new.timings_ms:
        return title, _pair(before), "–", "–"
    after = np.percentile(new.timings_ms[stage], (50, 95))
    return title, _pair(before), _pair(after), " / ".join(_signed(value) for value in after - before)


def text(replay: Replay) -> str:
    """For a terminal."""
    lines = [HEADER, *rows(replay)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    table = [line[0].ljust(widths[0]) + "".join(f"  {line[c]:>{widths[c]}}" for c in (1, 2, 3)) for line in lines]
    return "\n".join([_said(replay), "", *table])


def write_report(replay: Replay, out: Path) -> list[Path]:
    """Writes the page and, beside it, its plot; gives both paths.

    Raises:
        EgoReactError: `out` is no name of a Markdown file.
    """
    check_out(out)
    plot = out.with_suffix(".png")
    with whole_file(plot) as beside:
        _draw(replay, beside)
    cells = [HEADER, ("---", "---:", "---:", "---:"), *rows(replay)]
    lines = [
        "# A recorded session, replayed", "", _said(replay), "",
        *(f"| {' | '.join(row)} |" for row in cells), "",
        f"![Differences over the session, and latency]({plot.name})", "",
        "Both sides saw the same frames at the same boundaries, from the same seed. Recorded latencies are the service's, "
        "under its load then; the challenger's are of one session alone on the machine that replayed it, without waiting. "
        "Tokens compare only where both bundles share a tokenizer.", "",
    ]  # fmt: skip
    with whole_file(out) as beside:
        beside.write_text("\n".join(lines))
    return [out, plot]


def check_out(out: Path) -> None:
    """Raises EgoReactError where a report cannot be written under that name."""
    if out.suffix != ".md":
        raise EgoReactError("is no name for the report", where=f"--out {out}", remedy="name a .md file")


def _said(replay: Replay) -> str:
    seconds = len(replay.recorded.joints_m) / FPS
    return (
        f"{len(replay.recorded.tokens)} tokens, {seconds:.1f} s of motion, recorded {replay.begun_at} "
        f"({replay.ended}, {replay.dropped} dropped) by model {replay.version}, bundle "
        f"{replay.recorded.digest[:BUNDLE_DIGITS]}; replayed through bundle {replay.challenger.digest[:BUNDLE_DIGITS]}"
    )


def _draw(replay: Replay, path: Path) -> None:
    from egoreact.experiments.plots import COLOURS, FAINT, drawing

    old, new = replay.recorded, replay.challenger
    times_s = np.arange(len(old.joints_m)) / FPS
    with drawing(path, f"{old.digest[:BUNDLE_DIGITS]} → {new.digest[:BUNDLE_DIGITS]}", 2) as (motion, latency):
        motion.plot(times_s, replay.joint_distance_cm, color=COLOURS[0], label="joints, mean")
        motion.plot(times_s, replay.head_errors_cm, color=COLOURS[1], label="head path")
        motion.set(title="How far apart, cm", xlabel="s", ylim=(0, None))
        motion.legend()
        stages = [stage for stage in STAGES if stage in new.timings_ms]
        places = np.arange(len(stages))
        for side, offset, name in ((old, -0.18, "recorded"), (new, 0.18, "challenger")):
            p50, p95 = (np.array([np.percentile(side.timings_ms[s], p) for s in stages]) for p in (50, 95))
            colour = COLOURS[0] if side is old else COLOURS[1]
            latency.bar(places + offset, p50, 0.34, color=colour, label=f"{name}, p50")
            latency.vlines(places + offset, p50, p95, color=colour, lw=1.5)
        latency.set_xticks(places, stages)
        latency.set_title("A token's stages, ms (line: to p95)")
        latency.legend(loc="upper left")
        for axes in (motion, latency):
            axes.grid(axis="y", color=FAINT, lw=0.7)
            axes.set_axisbelow(True)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.3g}"


def _pair(values: np.ndarray) -> str:
    return " / ".join(_number(value) for value in values)
