"""A record for a person: closed loop beside human motion and the baselines, teacher-forced figures and drift apart."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from egoreact.evaluation.record import BASELINES, FIGURES, HIGHER_IS_BETTER, Figures, MetricRecord

UNITS = {"_cm": "cm", "_ms": "ms", "_nats": "nats"}
ARROWS = {True: "↑", False: "↓", None: "≈"}
DIRECTIONS = HIGHER_IS_BETTER | {
    "next_token_loss_nats": False,
    "next_token_perplexity": False,
    "next_token_accuracy": True,
}


def report(record: MetricRecord, champion: MetricRecord | None = None) -> RenderableType:
    """Everything a record says, as tables for a terminal."""
    lines: list[RenderableType] = []
    for title, header, rows in _parts(record, champion):
        lines += ["", Text(title, style="italic"), _rich(header, rows)]
    return Group(*lines)


def markdown(record: MetricRecord) -> str:
    """`report` for a file, with what the figures are of."""
    counts = record.counts
    lines = [
        f"# Evaluation of bundle {record.bundle_digest[:12]}",
        "",
        f"Data revision `{record.data_revision}`, evaluator `{record.evaluator_digest[:12]}`. Figures compare only under "
        "the same two and the same counts"
        + (f": FID of {counts['fid']} against {counts['fid']} clips, diversity over {counts['diversity_pairs']} pairs, "
           f"multimodality over {counts['multimodality_pairs']} pairs of {counts['multimodality_samples']} samples of "
           f"{counts['multimodality_conditions']} clips." if counts else "."),
        "",
    ]  # fmt: skip
    for title, header, rows in _parts(record, None):
        lines += [f"## {title[0].upper()}{title[1:]}", "", _row(["", *header]), _row(["---"] + ["---:"] * len(header))]
        lines += [*map(_row, rows), ""]
    return "\n".join(lines)


Part = tuple[str, list[str], list[list[str]]]
"""Title, column names, rows that each begin with their own name."""


def _parts(record: MetricRecord, champion: MetricRecord | None) -> list[Part]:
    parts = [_closed_loop(record, champion)]
    if record.teacher_forced:
        parts.append(_teacher_forced(record))
    if record.drift_cm:
        parts.append(_drift(record))
    return parts


def _closed_loop(record: MetricRecord, champion: MetricRecord | None) -> Part:
    columns: dict[str, Figures] = {"this bundle": record.figures}
    if champion is not None:
        columns["champion"] = champion.figures
    columns |= {"human motion": record.truth}
    columns |= {_words(name): record.baselines.get(name, {}) for name in BASELINES}
    rows = []
    for name in FIGURES:
        if all(values.get(name) is None for values in columns.values()):
            continue  # not measured
        cells = [_number(values.get(name)) for values in columns.values()]
        interval = record.intervals.get(name)
        if interval is not None:
            cells[0] += f" ±{interval:.2g}"
        rows.append([_title(name), *cells])
    title = f"closed loop on {record.samples} held-out clips, {record.repeats} repeats, chance {record.chance:.2f}"
    return title, list(columns), rows


def _teacher_forced(record: MetricRecord) -> Part:
    rows = [
        [_title(name), _number(value), _number(record.figures.get(name))]
        for name, value in record.teacher_forced.items()
        if value is not None
    ]
    return (
        "teacher-forced: each token after the true past, no measure of the closed loop",
        ["forced", "closed loop"],
        rows,
    )


def _drift(record: MetricRecord) -> Part:
    names = {"generated": "closed loop"}
    seconds = max(map(len, record.drift_cm.values()))
    rows = [
        [names.get(system, _words(system)), *(_number(value) for value in curve), *["–"] * (seconds - len(curve))]
        for system, curve in record.drift_cm.items()
    ]
    header = [f"{second} – {second + 1} s" for second in range(seconds)]
    return "drift: head trajectory error, cm, within each second of the clips", header, rows


def _rich(header: list[str], rows: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for place, name in enumerate(header):
        table.add_column(name, justify="right", style="bold" if place == 0 and name == "this bundle" else "")
    for row in rows:
        table.add_row(*row)
    return table


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _title(name: str) -> str:
    ending = next((ending for ending in UNITS if name.endswith(ending)), "")
    unit = f", {UNITS[ending]}" if ending else ""
    return f"{_words(name.removesuffix(ending))}{unit} {ARROWS[DIRECTIONS[name]]}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
