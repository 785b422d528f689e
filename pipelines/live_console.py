"""A console whose last lines redraw themselves in a terminal, and that prints plain lines elsewhere."""

from typing import IO, Any, Self

from rich.console import Console
from rich.live import Live

WIDTH = 140
"""Where there is no terminal: what reads it later wraps by itself."""


class LiveConsole:
    """Args:
    file: written to, and held on to: `sys.stdout` may be another while KFP runs.
    settings: of rich's `Live`.
    """

    def __init__(self, file: IO[str], **settings: Any):
        self.console = Console(file=file, highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self.live = Live(console=self.console, transient=True, **settings)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()
