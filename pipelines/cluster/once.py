"""Makes a thing on the cluster once, though answers are lost and others make the same at the same time."""

from collections.abc import Callable
from typing import Any

from egoreact.errors import EgoReactError
from pipelines.cluster.client import UnknownOutcomeError, is_status

ATTEMPTS = 3


def ensure(find: Callable[[], list[Any]], make: Callable[[], Any], *, look_first: bool = True) -> Any:
    """What is there, else what is made.

    Args:
        find: all that is there and right.
        make: a change, of which it may stay unknown whether it was made; then it is looked for before the next attempt.
        look_first: not for what is new by its name.

    Raises:
        EgoReactError: what `make` raised, where nothing is there after it.
    """
    found = find() if look_first else []
    attempt = 1
    while not found:
        try:
            return make()
        except EgoReactError as error:
            mine_or_others = isinstance(error, UnknownOutcomeError) or is_status(error, 409)
            found = find() if mine_or_others else []
            if not found and (not mine_or_others or attempt == ATTEMPTS):
                raise
            attempt += 1
    return found[0]
