"""The figures of `egoreact bench gpu` as tables for a person, on stderr."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_table(figures: dict[str, Any]) -> None:
    console = Console(stderr=True)
    graphs = "CUDA graphs" if figures["cuda_graphs"] else "no graphs"
    console.print(
        f"\n{figures['device']} · {figures['precision']} · {graphs} · {figures['networks']}, {figures['weights']} weights · "
        f"copies {figures['bandwidth_gb_per_s']:.0f} GB/s, products {figures['tflops']:.1f} TFLOP/s"
    )
    stages = Table("one stream, one frame", *(_right("ms p50", "ms p99", "floor ms", "floor's share")), box=None)
    for name, row in figures["stages"].items():
        floor = (f"{row['floor_ms']:.3f}", f"{row['of_floor']:.0%}") if "floor_ms" in row else ("–", "–")
        stages.add_row(name.replace("_", " "), f"{row['p50_ms']:.3f}", f"{row['p99_ms']:.3f}", *floor)
    for side_px, row in figures["first_frame"].items():
        stages.add_row(
            f"[bold]first frame, depth at {side_px} px", f"[bold]{row['p50_ms']:.2f}", f"[bold]{row['p99_ms']:.2f}"
        )
    console.print(stages)
    console.print(
        f"goal for the first frame {figures['goal_first_frame_ms']} ms, the paper's {figures['paper_first_frame_ms']} ms\n"
    )
    sessions = Table("sessions at once", *_right("token ms p50", "token ms p99", "tokens/s"), box=None)
    for count, row in figures["sessions"].items():
        sessions.add_row(count, f"{row['token_ms']:.2f}", f"{row['token_ms_p99']:.2f}", f"{row['tokens_per_s']:,.0f}")
    console.print(sessions)
    training = figures["training"]
    console.print(
        f"\ntraining in bfloat16: {training['training_windows_per_s']:,.0f} tokenizer windows/s "
        f"({training['training_of_peak']:.0%} of peak), {training['tokens_per_s']:,.0f} transformer tokens/s "
        f"({training['tokens_of_peak']:.0%})"
    )


def _right(*titles: str) -> list[Any]:
    from rich.table import Column

    return [Column(title, justify="right") for title in titles]
