"""How many sessions the service carries: their number is doubled until it is too many, then narrowed."""

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_P99_MS = 200.0
"""A token lasts so long: motion that comes later is behind the body for ever."""
MOST_DROPPED_SHARE = 0.01
NARROW_SHARE = 0.05
"""Of the sessions: as exact as the answer is."""


@dataclass(frozen=True)
class Point:
    """So many sessions at once, and what they got. Latencies are infinite where no motion came at all."""

    sessions: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    dropped_share: float
    """Of the tokens, those that never came."""
    batch: float = 1.0
    """Mean number of sessions that shared a token's step."""
    late_p99_ms: float = 0.0
    """How late the client itself sent."""
    service_cores: float = 0.0
    client_cores: float = 0.0
    memory_gb: float = 0.0
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Means, on the service's clock."""
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return self.p99_ms <= MOST_P99_MS and self.dropped_share <= MOST_DROPPED_SHARE


@dataclass(frozen=True)
class Search:
    points: tuple[Point, ...]
    """In the order in which they were measured."""
    best: Point | None
    """The most sessions that the service carried; None where not even one."""

    @property
    def sessions(self) -> int:
        return 0 if self.best is None else self.best.sessions


def most_sessions(measure: Callable[[int], Point], most: int) -> Search:
    """Doubles from 1 until a number does not hold or `most` is reached; then halves the gap down to 5 % of it.

    A number that does not hold is measured once more before it counts: another program's moment is not the service's.
    """
    points: list[Point] = []

    def held(sessions: int) -> Point | None:
        for _ in range(2):
            points.append(measure(sessions))
            if points[-1].holds:
                return points[-1]
        return None

    best, few, many = None, 0, 1
    while (point := held(many)) is not None:
        best, few = point, many
        if many == most:
            return Search(tuple(points), best)
        many = min(2 * many, most)
    while many - few > max(1, int(NARROW_SHARE * few)):
        between = (few + many) // 2
        if (point := held(between)) is not None:
            best, few = point, between
        else:
            many = between
    return Search(tuple(points), best)
