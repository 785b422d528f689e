"""Motion as it comes: a live display in a terminal, a plain line a chunk elsewhere."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from egoreact.client.dialogue import Event
from egoreact.client.tally import Tally
from egoreact.client.wire import Chunk, Hello
from egoreact.motion.skeleton import HEAD

STAGES = ("wait", "image", "perception", "gpt", "decode", "total")
_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 48
_MARKS = {"lost": "red", "retrying": "yellow", "resumed": "green", "restarted": "yellow", "draining": "yellow"}


def sparkline(values: list[float]) -> str:
    """A bar a value, the least of them lowest and the greatest highest."""
    least, most = min(values, default=0.0), max(values, default=0.0)
    span = (most - least) or 1.0
    return "".join(_BARS[round((value - least) / span * (len(_BARS) - 1))] for value in values)


class Display:
    """`with Display(hello, source) as display`, then `show` each chunk and `say` each event; `console` for tests."""

    def __init__(self, hello: Hello, source: str, *, console: Console | None = None):
        self.console = console or Console()
        self.tally = Tally()
        self._title = f"{source} → model {hello.version}, bundle {hello.digest[:12]}"
        self._state = Text("live", "green")
        self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def show(self, chunk: Chunk) -> None:
        latency_ms = self.tally.add(chunk)
        if self.console.is_terminal:
            self._live.update(self._picture(), refresh=True)
        else:
            print(_line(chunk, latency_ms, self.tally.dropped), flush=True)

    def say(self, event: Event) -> None:
        """An event of the connection. It may come from another thread than the chunks."""
        if not self.console.is_terminal:
            print(event.line, file=sys.stderr, flush=True)
            return
        state = "live; " if event.kind in ("resumed", "restarted") else ""
        self._state = Text(state + event.line, _MARKS[event.kind])
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Panel:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        rows.add_column()
        rows.add_row("session", self._state)
        if self.tally.chunks:
            chunk, latencies_ms = self.tally.chunks[-1], self.tally.latencies_ms
            p50, p95 = self.tally.percentiles_ms()
            x, y, z = chunk.joints_m[-1, HEAD]
            frames = f"frames {chunk.first_frame}-{chunk.first_frame + len(chunk.joints_m) - 1}"
            rows.add_row("head", f"x {x:+.2f}  y {y:+.2f}  z {z:+.2f} m")
            rows.add_row("token", f"{chunk.token}   chunk {chunk.index}, {frames}")
            rows.add_row("latency", f"{latencies_ms[-1]:.1f} ms   p50 {p50:.1f}   p95 {p95:.1f}")
            rows.add_row("", Text(sparkline(latencies_ms[-_SPARKS:]), "cyan"))
            rows.add_row("stages", f"{_stages(chunk)} ms")
            rows.add_row("dropped", f"{self.tally.dropped}   sessions in this step {chunk.batch}")
        return Panel(Group(rows, Text("Ctrl-C ends it", "dim")), title=self._title, title_align="left")

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
            self._live.update(self._picture(), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def _stages(chunk: Chunk) -> str:
    return " ".join(f"{name} {chunk.timings_ms[name]:.1f}" for name in STAGES if name in chunk.timings_ms)


def _line(chunk: Chunk, latency_ms: float, dropped: int) -> str:
    x, y, z = chunk.joints_m[-1, HEAD]
    last_frame = chunk.first_frame + len(chunk.joints_m) - 1
    return (
        f"chunk {chunk.index:4d}  frames {chunk.first_frame}-{last_frame}  token {chunk.token:4d}  "
        f"head {x:+.2f} {y:+.2f} {z:+.2f} m  latency {latency_ms:6.1f} ms  ({_stages(chunk)})  dropped {dropped}"
    )
