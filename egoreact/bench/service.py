"""How many live sessions the service carries on this machine, with and without shared steps, and what it survives.

The real service runs as a child, its clients in another process; all three share the machine's cores with whatever else
runs there, so the figures are of service and clients together.
"""

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from egoreact.bench.machine import describe
from egoreact.bench.service_bad_clients import FAULTS, SETTINGS, Target
from egoreact.bench.service_faults import Tried, motion_alone, try_fault, try_kill
from egoreact.bench.service_load import LEAD_S, Heard, Load, moving_picture, run_load
from egoreact.bench.service_process import WHERE, ServiceProcess
from egoreact.bench.service_search import Point, Search, most_sessions
from egoreact.errors import EgoReactError
from egoreact.models.release import released_bundle
from egoreact.progress import Progress

Result = TypeVar("Result")
LONG_S = 10 * 365 * 86_400
"""No session ends by its age while it is measured."""
LARGEST_CROWD = {"connects_at_once"}
"""Faults that are tried once: one try has hundreds of clients."""
SOAK_SHARE = 0.5
"""Of the sessions that the service carries."""


@dataclass(frozen=True)
class ServiceBench:
    seconds: float = 6.0
    """That count at each number of sessions, after the warm-up."""
    warm_up_s: float = 2.0
    most: int = 512
    """Sessions that are tried at the most."""
    port: int = 0
    """A free one where 0."""
    faults: bool = False
    tries: int = 5
    """Of each fault."""
    kills: int = 2
    soak_minutes: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("seconds", 1.0), ("warm_up_s", 0.0), ("most", 1), ("tries", 1), ("soak_minutes", 0.0)):
            if not (value := getattr(self, name)) >= least or math.isinf(value):
                raise EgoReactError(f"{name} is {value}", where=WHERE, remedy=f"give {least:g} or more")


@dataclass(frozen=True)
class Soaked:
    minutes: float
    point: Point
    memory_gb_start: float
    memory_gb_end: float


@dataclass(frozen=True)
class Measured:
    batched: Search
    one_by_one: Search
    faults: dict[str, Tried]
    kill_s: list[float]
    """Seconds from a kill of the service's process to the same client's next motion."""
    tracebacks: int
    """In the service's log, while faults were tried."""
    soaked: Soaked | None
    machine: dict[str, object]

    def figures(self) -> dict[str, Any]:
        """For JSON: what the service carries, what it cost there, and what it survived."""
        best = self.batched.best
        latencies = {name: None if best is None else getattr(best, name) for name in ("p50_ms", "p95_ms", "p99_ms")}
        one_by_one = self.one_by_one.sessions
        figures: dict[str, Any] = {
            "sessions_batched": self.batched.sessions,
            "sessions_one_by_one": one_by_one,
            "ratio": self.batched.sessions / one_by_one if one_by_one else None,
            **latencies,
            "memory_gb": None if best is None else best.memory_gb,
            "dropped_share": None if best is None else best.dropped_share,
            "faults": {name: tried.tried for name, tried in self.faults.items()},
            "faults_answered": {name: tried.answered for name, tried in self.faults.items()},
        }
        if self.faults:
            apart_m = [tried.apart_m for tried in self.faults.values()]
            figures["reference_apart_m"] = (
                None if None in apart_m else max(apart for apart in apart_m if apart is not None)
            )
            figures |= {"tracebacks": self.tracebacks, "kill_to_motion_s": max(self.kill_s)}
        if self.soaked is not None:
            figures["soak"] = {
                "minutes": self.soaked.minutes, "sessions": self.soaked.point.sessions, "p99_ms": _finite(self.soaked.point.p99_ms),
                "dropped_share": self.soaked.point.dropped_share, "memory_gb_start": self.soaked.memory_gb_start,
                "memory_gb_end": self.soaked.memory_gb_end,
            }  # fmt: skip
        return figures | {"machine": self.machine}

    def points(self) -> dict[str, list[dict[str, Any]]]:
        """All that was measured, for JSON."""
        return {
            name: [{key: _finite(value) for key, value in asdict(point).items()} for point in search.points]
            for name, search in (("batched", self.batched), ("one_by_one", self.one_by_one))
        }


def measure_service(bundle: Path | None, bench: ServiceBench | None = None) -> Measured:
    """Raises:
    EgoReactError: nothing is released, the port is taken, the service or its clients end, or what serves is not installed.
    """
    bench = bench or ServiceBench()
    _check_installed()
    bundle = bundle or released_bundle()
    with _clients() as clients:
        measuring = _Measuring(bundle, bench, clients)
        batched = measuring.search("batched", {})
        one_by_one = measuring.search("one by one", {"EGOREACT_MAX_BATCH": 1})
        faults, kill_s, tracebacks = measuring.faults() if bench.faults else ({}, [], 0)
        soaked = measuring.soak(batched.sessions) if bench.soak_minutes else None
    return Measured(batched, one_by_one, faults, kill_s, tracebacks, soaked, _machine())


class _Measuring:
    def __init__(self, bundle: Path, bench: ServiceBench, clients: ProcessPoolExecutor):
        self.bundle, self.bench, self.clients = bundle, bench, clients
        self.images = moving_picture()
        self.console = Console(stderr=True)

    def search(self, name: str, settings: dict[str, object]) -> Search:
        with self._service({"EGOREACT_MAX_SESSIONS": self.bench.most, **settings}) as service:

            def measure(sessions: int) -> Point:
                with self.console.status(f"{WHERE}: {sessions} sessions, {name}"):
                    point = self._point(service, sessions, self.bench.seconds)
                self.console.print(f"{WHERE}: {name}: {describe_point(point)}", highlight=False, soft_wrap=True)
                return point

            return most_sessions(measure, self.bench.most)

    def faults(self) -> tuple[dict[str, Tried], list[float], int]:
        tried: dict[str, Tried] = {}
        progress = Progress(f"{WHERE}, faults", len(FAULTS) + self.bench.kills, "faults")
        with self._service(SETTINGS) as service:
            target = Target(service.url, self.images, self._call(service, motion_alone, service.url, self.images))
            for name in FAULTS:
                tries = 1 if name in LARGEST_CROWD else self.bench.tries
                tried[name] = self._call(service, try_fault, name, target, tries)
                progress.advance(note=f"{name} {tried[name].answered}/{tried[name].tried}")
            tracebacks = service.log().count("Traceback (most recent call last)")
            killed: list[Tried] = []
            kill_s: list[float] = []
            for _ in range(self.bench.kills):
                service.wait_ready()
                outcome, seconds = self._call(service, try_kill, target, service.worker_pid())
                killed.append(outcome)
                kill_s.append(seconds)
                progress.advance(note=f"killed, motion again after {seconds:.1f} s")
        apart_m = [outcome.apart_m for outcome in killed]
        tried["killed"] = Tried(
            len(killed), sum(outcome.answered for outcome in killed),
            None if None in apart_m else max((apart for apart in apart_m if apart is not None), default=None),
        )  # fmt: skip
        return tried, kill_s, tracebacks

    def soak(self, sessions: int) -> Soaked:
        sessions, seconds = max(1, int(SOAK_SHARE * sessions)), 60 * self.bench.soak_minutes
        with self._service({"EGOREACT_MAX_SESSIONS": self.bench.most}) as service:
            self._point(service, sessions, self.bench.seconds)
            start_gb = service.memory_gb()
            progress = Progress(f"{WHERE}, soak of {sessions} sessions", round(seconds), "s")
            point = self._point(service, sessions, seconds, progress)
            return Soaked(self.bench.soak_minutes, point, start_gb, service.memory_gb())

    def _service(self, settings: dict[str, object]) -> ServiceProcess:
        return ServiceProcess(self.bundle, {"EGOREACT_SESSION_SECONDS": LONG_S, **settings}, port=self.bench.port)

    def _point(self, service: ServiceProcess, sessions: int, seconds: float, progress: Progress | None = None) -> Point:
        load = Load(service.url, sessions, seconds, self.bench.warm_up_s, self.images)
        done = self.clients.submit(run_load, load)
        _wait(done, LEAD_S + self.bench.warm_up_s, service)
        begun_s, cpu_s = time.monotonic(), service.cpu_s()
        for step in _steps(seconds):
            _wait(done, step, service)
            if progress is not None:
                progress.advance(round(step))
        service_cores = (service.cpu_s() - cpu_s) / (time.monotonic() - begun_s)
        memory_gb = service.memory_gb()
        heard = _result(done, service)
        return _point_of(sessions, heard, service_cores, memory_gb)

    def _call(self, service: ServiceProcess, work: Callable[..., Result], *arguments: object) -> Result:
        return _result(self.clients.submit(work, *arguments), service)


def describe_point(point: Point) -> str:
    verdict = "holds" if point.holds else "too many"
    return (
        f"{point.sessions} sessions, p50 {point.p50_ms:.0f} ms, p99 {point.p99_ms:.0f} ms, dropped {point.dropped_share:.1%}, "
        f"{point.batch:.1f} a step, cores {point.service_cores:.2f} + {point.client_cores:.2f} of clients: {verdict}"
    )


def _point_of(sessions: int, heard: Heard, service_cores: float, memory_gb: float) -> Point:
    chunks = max(1, len(heard.latencies_ms))
    late = sorted(heard.late_ms)
    return Point(
        sessions, heard.percentile_ms(50), heard.percentile_ms(95), heard.percentile_ms(99), heard.dropped_share,
        batch=heard.batches / chunks,
        late_p99_ms=late[int(0.99 * len(late))] if late else 0.0,
        service_cores=service_cores, client_cores=heard.cores, memory_gb=memory_gb,
        stages_ms={stage: total / chunks for stage, total in heard.stages_ms.items()},
        failures=dict(heard.failures),
    )  # fmt: skip


def _steps(seconds: float) -> Iterator[float]:
    """Seconds, and what is left of one at the end."""
    whole = int(seconds)
    yield from [1.0] * whole
    if seconds > whole:
        yield seconds - whole


def _wait(done: "Future[Any]", seconds: float, service: ServiceProcess) -> None:
    wait([done], seconds)
    service.check()


def _result(done: "Future[Result]", service: ServiceProcess) -> Result:
    try:
        result = done.result()
    except BrokenProcessPool as error:
        raise EgoReactError(
            "the clients' process ended", where=WHERE, remedy="try again, with fewer sessions: --most"
        ) from error
    except EgoReactError:
        service.check()  # its own line says more
        raise
    service.check()
    return result


@contextmanager
def _clients() -> Iterator[ProcessPoolExecutor]:
    """One process, begun afresh: nothing of this one's memory or threads."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as clients:
        clients.submit(int).result()  # its start counts in no measurement
        yield clients


def _check_installed() -> None:
    for needed in ("bentoml", "psutil"):
        if find_spec(needed) is None:
            remedy = "install what serves: pip install 'egoreact[serving]'"
            raise EgoReactError(f"{needed} is not installed", where=WHERE, remedy=remedy)


def _machine() -> dict[str, object]:
    import psutil

    return describe() | {
        "cores": len(os.sched_getaffinity(0)),
        "machine_memory_gb": psutil.virtual_memory().total / 1e9,
        "load_average": os.getloadavg()[0],
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value
