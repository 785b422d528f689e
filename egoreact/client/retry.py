"""How long to wait before the next attempt, and when to stop trying."""

import random
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double from `first_s` up to `most_s`, each shortened by chance to between half and all of itself.

    Chance keeps a hundred clients of a restarted service from coming back in the same moment. `give_up_s` bounds the
    whole of it, from the loss of the connection on; 0 means never to try again.
    """

    first_s: float = 0.2
    most_s: float = 5.0
    give_up_s: float = 60.0

    def wait_s(self, attempt: int, chance: random.Random) -> float:
        """Before attempt 0, 1, 2, …"""
        return min(self.most_s, self.first_s * 2.0 ** min(attempt, 32)) * chance.uniform(0.5, 1.0)


class Outage:
    """The attempts since the service was last heard to work: connecting alone does not count, motion does."""

    def __init__(self, backoff: Backoff):
        self.backoff = backoff
        self._chance = random.Random()
        self._attempts, self._since_s = 0, 0.0

    def over(self) -> None:
        self._attempts = 0

    def next_wait_s(self, at_least_s: float = 0.0) -> float | None:
        """Seconds before the next attempt, or None where it is time to give up."""
        now_s = time.monotonic()
        if self._attempts == 0:
            self._since_s = now_s
        left_s = self._since_s + self.backoff.give_up_s - now_s
        wait_s = max(at_least_s, self.backoff.wait_s(self._attempts, self._chance))
        self._attempts += 1
        if left_s <= 0 or at_least_s > left_s:
            return None
        return min(wait_s, left_s)
