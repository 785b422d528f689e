"""The search on services that are made up, the pacing on a socket, and the whole on a tiny bundle for seconds."""

import asyncio
import itertools
import json
import multiprocessing
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import msgpack
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from egoreact.bench import service as bench_module
from egoreact.bench.commands import COMMANDS, bench_service
from egoreact.bench.service import Measured, ServiceBench, Soaked, measure_service
from egoreact.bench.service_bad_clients import FAULTS, FLOOD
from egoreact.bench.service_faults import Tried
from egoreact.bench.service_load import Load, frames_due, moving_picture, phase_s, run_load
from egoreact.bench.service_process import ServiceProcess
from egoreact.bench.service_report import write_report
from egoreact.bench.service_search import Point, most_sessions
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny


def point(sessions: int, p99_ms: float, dropped_share: float = 0.0) -> Point:
    return Point(sessions, p99_ms / 2, p99_ms / 1.5, p99_ms, dropped_share)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench-service") / "bundle"
    Bundle.untrained(tiny().reaction).save(folder)
    return folder


@pytest.mark.parametrize("limit", [1, 2, 3, 31, 32, 33, 100, 200])
def test_the_search_finds_the_limit(limit: int) -> None:
    search = most_sessions(lambda sessions: point(sessions, 200.0 if sessions <= limit else 201.0), 512)
    assert search.best is not None and 0.95 * limit - 1 <= search.sessions <= limit
    assert len(search.points) < 30


def test_drops_alone_are_too_many() -> None:
    search = most_sessions(lambda sessions: point(sessions, 10.0, 0.0 if sessions <= 5 else 0.011), 64)
    assert search.sessions == 5


def test_the_search_ends_at_the_most() -> None:
    search = most_sessions(lambda sessions: point(sessions, 1.0), 48)
    assert search.sessions == 48 and [measured.sessions for measured in search.points] == [1, 2, 4, 8, 16, 32, 48]


def test_one_bad_moment_does_not_count_but_two_do() -> None:
    tries: dict[int, int] = {}

    def measure(sessions: int) -> Point:
        tries[sessions] = tries.get(sessions, 0) + 1
        return point(sessions, 500.0 if (sessions == 4 and tries[4] == 1) or sessions > 8 else 20.0)

    assert most_sessions(measure, 64).sessions == 8


def test_a_service_that_carries_nobody() -> None:
    search = most_sessions(lambda sessions: point(sessions, float("inf"), 1.0), 64)
    assert search.best is None and search.sessions == 0 and len(search.points) == 2


def test_frames_are_due_at_twenty_a_second_and_boundaries_never_together() -> None:
    frames = list(frames_due(0.15, 2.0))
    assert [seq for seq, _ in frames] == list(range(37)) and frames[-1][1] < 2.0
    assert np.diff([due_s for _, due_s in frames]) == pytest.approx(0.05)
    phases = [phase_s(session, 8) for session in range(8)]
    assert phases[0] == 0 and np.diff(phases) == pytest.approx(0.2 / 8)


def test_pictures_move_and_are_small() -> None:
    images = moving_picture(10)
    decoded = [cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).astype(int) for image in images]
    assert all(picture.shape == (112, 112, 3) for picture in decoded) and max(map(len, images)) < 20_000
    assert all(np.abs(a - b).mean() > 2 for a, b in itertools.pairwise(decoded))


async def measured_against(answer_after_s: float, load: Load, *, every: int = 1, refuse: bool = False) -> tuple:
    """A load on a server that answers each `every`-th boundary so much later; also when each frame arrived, by connection."""
    arrived: list[list[float]] = []

    async def handle(connection: ServerConnection) -> None:
        mine: list[float] = []
        arrived.append(mine)
        if refuse:
            error = {"type": "error", "error": "full", "code": 1013, "retry_after_s": 1, "version": "", "digest": ""}
            await connection.send(msgpack.packb(error))
            return
        await connection.send(msgpack.packb({"type": "hello"}))
        async for content in connection:
            mine.append(time.perf_counter())
            frame = msgpack.unpackb(content)
            if frame["seq"] % (4 * every) == 0:
                chunk = {
                    "type": "chunk", "seq": frame["seq"], "captured_at": frame["captured_at"],
                    "timings_ms": {"total": 1e3 * answer_after_s}, "batch": 3,
                }  # fmt: skip
                await asyncio.sleep(answer_after_s)
                await connection.send(msgpack.packb(chunk))

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as clients:
        async with serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            load = replace(load, url=f"http://127.0.0.1:{port}")
            heard = await asyncio.get_running_loop().run_in_executor(clients, run_load, load)
    return heard, arrived


LOAD = Load("", sessions=3, seconds=1.0, warm_up_s=0.4, images=(b"picture",))


def test_the_load_is_paced_and_latency_is_what_the_server_took() -> None:
    heard, arrived = asyncio.run(measured_against(0.03, LOAD))
    assert heard.expected == len(heard.latencies_ms) == 15 and heard.dropped_share == 0 and not heard.failures
    assert 30 <= heard.percentile_ms(50) < 500 and heard.stages_ms["total"] == pytest.approx(15 * 30)
    assert heard.batches == 45 and 0 < heard.cores < 2
    assert sorted(len(times) for times in arrived) == [26, 27, 28]  # phases of 0, 67 and 133 ms
    assert np.mean([np.diff(times).mean() for times in arrived]) == pytest.approx(0.05, rel=0.3)


def test_what_is_never_answered_is_dropped() -> None:
    heard, _ = asyncio.run(measured_against(0.0, LOAD, every=2))
    assert 0.3 < heard.dropped_share < 0.7


def test_refused_sessions_count_as_dropped() -> None:
    heard, _ = asyncio.run(measured_against(0.0, LOAD, refuse=True))
    assert heard.dropped_share == 1 and dict(heard.failures) == {"1013: full": 3} and heard.percentile_ms(99) == np.inf


def test_a_tiny_service_from_one_end_to_the_other(
    bundle: Path, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        bench_module, "ServiceBench", lambda **given: ServiceBench(**given, warm_up_s=0.5, tries=1, kills=1)
    )
    bench_service(bundle=bundle, seconds=1, most=2, faults=True, soak_minutes=0.05, out=tmp_path / "report")
    output = capsys.readouterr()
    figures = json.loads(output.out)
    assert figures["sessions_batched"] in (0, 1, 2) and figures["sessions_one_by_one"] in (0, 1, 2)
    assert set(figures["faults"]) == {*FAULTS, "killed"} and figures["faults"]["connects_at_once"] == FLOOD
    assert figures["faults"] == figures["faults_answered"]
    assert figures["reference_apart_m"] <= 1e-5 and figures["tracebacks"] == 0 and figures["kill_to_motion_s"] > 0
    assert figures["soak"]["memory_gb_end"] > 0.1
    if figures["sessions_batched"]:
        assert figures["p50_ms"] <= figures["p99_ms"] <= 200 and figures["memory_gb"] > 0.1
    assert {"device", "cores", "versions", "commit"} <= set(figures["machine"])
    assert "Traceback" not in output.err
    report = (tmp_path / "report" / "service.md").read_text()
    assert "garbage" in report and str(tmp_path) not in report
    assert (tmp_path / "report" / "service.png").stat().st_size > 10_000
    points = json.loads((tmp_path / "report" / "service.json").read_text())["points"]
    assert points["batched"][0]["stages_ms"]["total"] > 0 and points["batched"][0]["service_cores"] > 0


def test_a_report_of_a_service_that_failed_everything(tmp_path: Path) -> None:
    nothing = most_sessions(lambda sessions: point(sessions, float("inf"), 1.0), 4)
    machine: dict[str, object] = {
        "commit": "0" * 40, "device": "none", "cores": 1, "machine_memory_gb": 1.0, "load_average": 0.0,
    }  # fmt: skip
    soaked = Soaked(1.0, point(1, float("inf"), 1.0), 0.5, 0.5)
    measured = Measured(nothing, nothing, {"garbage": Tried(5, 3, None)}, [2.0], 1, soaked, machine)
    figures = measured.figures()
    json.dumps(figures | measured.points(), allow_nan=False)
    assert figures["ratio"] is figures["p99_ms"] is figures["reference_apart_m"] is None
    write_report(tmp_path / "report", measured, figures)
    assert "broke off" in (tmp_path / "report" / "service.md").read_text()


def test_nothing_released(workspace: Path) -> None:
    with pytest.raises(EgoReactError, match="no promoted model yet"):
        measure_service(None)


def test_no_bundle_there(tmp_path: Path, workspace: Path) -> None:
    with pytest.raises(EgoReactError, match="no bundle here; name a bundle's folder"):
        measure_service(tmp_path)


def test_the_port_is_taken(bundle: Path, workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EgoReactError, match=f"127.0.0.1:{port}: cannot listen there"):
            measure_service(bundle, ServiceBench(port=port))


def test_a_service_that_dies(bundle: Path, workspace: Path) -> None:
    with ServiceProcess(bundle, {}) as service:
        service._process.kill()
        service._process.wait()
        with pytest.raises(
            EgoReactError, match=r"the service ended with code -9; its last line: .*; try: egoreact serve"
        ):
            service.check()


@pytest.mark.parametrize("given", [{"seconds": 0.5}, {"most": 0}, {"soak_minutes": -1.0}, {"seconds": float("nan")}])
def test_sizes_that_measure_nothing(given: dict) -> None:
    with pytest.raises(EgoReactError, match="or more"):
        ServiceBench(**given)


def test_it_is_a_command() -> None:
    assert COMMANDS["bench service"] is bench_service
