"""The live sessions of one worker: opened, parked when their connection is lost, resumed, taken over, ended.

A session outlives its connection by `limits.resume_seconds`: its slot and its state stay, and whoever comes with its
token goes on where it was. A token is good for the bearer of the same name only.
"""

import asyncio
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from serving.access import Access
from serving.admission import RETRY_AFTER_S, Admission, Limits
from serving.metrics import gauges
from serving.protocol import Refused
from serving.recording import Recording
from serving.scheduler import Scheduler, Seat


class Connection(Protocol):
    """What a session must know of the connection that it is on."""

    released: asyncio.Event
    """Set once the connection has let go of the session."""

    def stop(self, why: Refused) -> None:
        """Ends the connection soon."""

    def announce_end(self, seconds_left: float) -> None:
        """Tells the client that the service is about to restart."""


@dataclass(eq=False)
class Session:
    token: str
    """32 hex digits; with it one resumes the session."""
    seed: int
    owner: str
    """Name of the bearer token it was opened with."""
    seat: Seat
    lease: ExitStack
    """What it holds of the limits."""
    connection: Connection | None
    """None while it is parked."""
    begun_s: float = field(default_factory=time.monotonic)
    recording: Recording | None = None
    dropped_told: int = 0
    """Boundaries passed over that the metrics know of."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    expires_s: float = 0
    expiry: asyncio.TimerHandle | None = None


class Sessions:
    def __init__(self, scheduler: Scheduler, admission: Admission, access: Access, limits: Limits):
        self.scheduler, self.admission, self.access, self.limits = scheduler, admission, access, limits
        self.by_token: dict[str, Session] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self, seed: int, owner: str, connection: Connection) -> Session:
        """A new session. Raises `Refused` where there is no room, or the bearer token's rate is used up."""
        parked_s = [session.expires_s - time.monotonic() for session in self.by_token.values() if session.expiry]
        with ExitStack() as stack:
            stack.enter_context(self.admission.slot("session", next_free_s=min(parked_s, default=RETRY_AFTER_S)))
            stack.enter_context(self.access.session(owner))
            self.access.spend(owner)
            seat = await self.scheduler.join(seed)
            session = Session(secrets.token_hex(16), seed, owner, seat, stack.pop_all(), connection)
        self.by_token[session.token] = session
        gauges().sessions.labels(state="live").inc()
        return session

    async def claim(self, token: str, owner: str, connection: Connection) -> Session | None:
        """The session of this token, parked or taken over from a connection that still lives; None where there is none."""
        session = self.by_token.get(token)
        if session is None or session.owner != owner:
            return None
        async with session.lock:  # one comer at a time
            if session.token not in self.by_token:
                return None
            before, session.connection = session.connection, connection
            if session.expiry is not None:
                session.expiry.cancel()
                session.expiry = None
                _count(session, "parked", "live")
            if before is not None:
                before.stop(Refused("another connection took this session over", status=409, close_code=1008))
                await before.released.wait()
                session.seat.mute()
            await session.seat.settle()
            if session.seat.failure is not None:
                await self.end(session)
                return None
            return session

    def park(self, session: Session) -> None:
        """Its connection was lost: keeps it for a while."""
        session.connection = None
        session.seat.mute()
        session.expires_s = time.monotonic() + self.limits.resume_seconds
        session.expiry = asyncio.get_running_loop().call_later(self.limits.resume_seconds, self._expire, session)
        _count(session, "live", "parked")

    def _expire(self, session: Session) -> None:
        if self._forget(session):
            ending = asyncio.get_running_loop().create_task(self._free(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def end(self, session: Session) -> None:
        """Frees all that it holds."""
        if self._forget(session):
            await self._free(session)

    def _forget(self, session: Session) -> bool:
        """From now on nobody can claim it. False where that was so before."""
        if self.by_token.pop(session.token, None) is None:
            return False
        gauges().sessions.labels(state="parked" if session.expiry else "live").dec()
        if session.expiry is not None:
            session.expiry.cancel()
        return True

    async def _free(self, session: Session) -> None:
        await self.scheduler.leave(session.seat)
        if session.recording is not None:
            session.recording.close()
        session.lease.close()

    async def drain(self, seconds: float) -> None:
        """Ends the parked sessions at once, tells the others, and ends them too where they have not after `seconds`."""
        for session in list(self.by_token.values()):
            if session.connection is None:
                self._expire(session)
            else:
                session.connection.announce_end(seconds)
        if await self._empty_within(seconds):
            return
        for session in self.by_token.values():
            if session.connection is not None:
                session.connection.stop(Refused("the service restarts", status=503, close_code=1012, retry_after_s=1))
        await self._empty_within(1)

    async def _empty_within(self, seconds: float) -> bool:
        give_up_s = time.monotonic() + seconds
        while self.by_token and time.monotonic() < give_up_s:
            await asyncio.sleep(0.02)
        return not self.by_token


def _count(session: Session, before: str, after: str) -> None:
    gauges().sessions.labels(state=before).dec()
    gauges().sessions.labels(state=after).inc()
