"""Cron expressions as Kubeflow Pipelines reads them: six fields, seconds first, UTC.

What croniter takes beyond that (`L`, `#`, `W`, years, Sunday as 7) the cluster's reader refuses or ignores, so it is
refused here.
"""

import re
from datetime import UTC, datetime

from egoreact.errors import EgoReactError

FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week")
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_VALUES = (r"\d{1,2}", r"\d{1,2}", r"\d{1,2}", r"\d{1,2}", rf"\d{{1,2}}|{_MONTHS}", rf"[0-6]|{_DAYS}")
_REMEDY = "give five fields (minute hour day month weekday) or six (seconds first), in UTC: --cron '0 3 * * *'"


def six_fields(expression: str) -> str:
    """The expression with seconds; five fields get second 0.

    Raises:
        EgoReactError: it does not parse, or names no time that ever comes.
    """
    where = f"cron '{expression}'"
    fields = expression.upper().split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise EgoReactError(f"has {len(fields)} fields", where=where, remedy=_REMEDY)
    for name, field, value in zip(FIELDS, fields, _VALUES, strict=True):
        item = rf"(?:[*?]|(?:{value})(?:-(?:{value}))?)(?:/[1-9]\d*)?"
        if not re.fullmatch(rf"{item}(?:,{item})*", field):
            raise EgoReactError(f"'{field}' is no {name}", where=where, remedy=_REMEDY)
    whole = " ".join(fields)
    next_times(whole, 1)
    return whole


def next_times(expression: str, count: int, after: datetime | None = None) -> list[datetime]:
    """When it fires next, in UTC.

    Raises:
        EgoReactError: a field is out of range, or it never fires.
    """
    from croniter import croniter
    from croniter.croniter import CroniterBadDateError, CroniterError

    try:
        times = croniter(expression, after or datetime.now(UTC), second_at_beginning=True)
        return [times.get_next(datetime) for _ in range(count)]
    except CroniterBadDateError as error:
        raise EgoReactError("names no time that ever comes", where=f"cron '{expression}'", remedy=_REMEDY) from error
    except CroniterError as error:
        reason = str(error).partition("] ")[2] or str(error)
        raise EgoReactError(f"does not parse ({reason})", where=f"cron '{expression}'", remedy=_REMEDY) from error
