"""`egoreact pipeline schedule`: one recurring run by each name, whatever is asked twice, lost, or asked at once."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kfp_objects import PAGE_SIZE
from kfp_server import KfpServer

from egoreact import cli
from egoreact.errors import EgoReactError
from pipelines.cluster import client
from pipelines.cluster.cron import next_times, six_fields

IMAGE = "egoreact/step@sha256:" + "0" * 64
SCHEDULE = ["pipeline", "schedule", "--pipeline", "training", "--preset", "tiny", "--image", IMAGE]
NIGHTLY = [*SCHEDULE, "--cron", "0 3 * * *"]


@pytest.fixture(scope="module")
def shared() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def server(shared: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KfpServer:
    shared.reset()
    for name in ("KFP_TOKEN_FILE", "KFP_TOKEN", "EGOREACT_NAMESPACE", "EGOREACT_MAX_GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", shared.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "PATIENCE_S", 0.3)
    return shared


def test_a_schedule_is_pinned_alone_and_catches_nothing_up(
    server: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(NIGHTLY) == 0
    (made,) = server.recurring.values()
    (version,) = server.versions.values()
    assert made["display_name"] == "egoreact-training"
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == ("1", True, "ENABLE")
    assert made["service_account"] == "egoreact-pipeline"
    created, line = capsys.readouterr().out.splitlines()
    assert created == "created" and " 03:00 UTC" in line


def test_scheduling_twice_is_scheduling_once(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert [cli.main(NIGHTLY), cli.main(NIGHTLY)] == [0, 0]
    assert len(server.recurring) == len(server.versions) == 1
    assert "unchanged" in capsys.readouterr().out


def test_another_time_replaces_it_and_a_pause_outlasts_that(
    server: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(NIGHTLY) == 0
    assert cli.main([*SCHEDULE, "--pause"]) == 0
    assert cli.main([*SCHEDULE, "--cron", "0 4 * * *"]) == 0
    (made,) = server.recurring.values()
    assert (made["trigger"]["cron_schedule"]["cron"], made["mode"]) == ("0 0 4 * * *", "DISABLE")
    assert "replaced" in capsys.readouterr().out
    assert cli.main([*SCHEDULE, "--resume"]) == 0
    assert made["mode"] == "ENABLE"
    assert "next at" in capsys.readouterr().out


def test_listing_goes_through_all_pages(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"schedule-{number}" for number in range(2 * PAGE_SIZE + 1)]
    for name in names:
        assert cli.main([*NIGHTLY, "--name", name]) == 0
    capsys.readouterr()
    assert cli.main([*SCHEDULE, "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names


def test_deleting_twice_is_deleting_once(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(NIGHTLY) == 0
    capsys.readouterr()
    assert [cli.main([*SCHEDULE, "--delete"]), cli.main([*SCHEDULE, "--delete"])] == [0, 0]
    assert not server.recurring
    assert capsys.readouterr().out == "1 deleted\n0 deleted\n"
    assert cli.main([*SCHEDULE, "--list"]) == 0
    assert capsys.readouterr().out == "nothing is scheduled\n"


@pytest.mark.parametrize("status", [0, 500, 503, 429])
@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_schedules_once(server: KfpServer, status: int, done: bool) -> None:
    """Whether the cut came before the server acted or after."""
    lost = done and status in (0, 500)
    with server.fault("POST /apis/v2beta1/recurringruns", status=status, done=lost, headers={"Retry-After": "0"}):
        assert cli.main(NIGHTLY) == 0
    assert len(server.recurring) == 1


@pytest.mark.parametrize("status", [0, 500])
def test_an_old_one_that_cannot_be_deleted_is_deleted_the_next_time(server: KfpServer, status: int) -> None:
    assert cli.main(NIGHTLY) == 0
    later = [*SCHEDULE, "--cron", "0 4 * * *"]
    with server.fault("DELETE .*", status=status, times=10**6):
        assert cli.main(later) == 2
    assert len(server.recurring) == 2
    assert cli.main(later) == 0
    (made,) = server.recurring.values()
    assert made["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"


def test_four_at_once_come_to_the_same_one(server: KfpServer) -> None:
    from egoreact.presets import tiny
    from pipelines.cluster.package import make, plan_of
    from pipelines.cluster.schedule import schedule
    from pipelines.cluster.submit import arguments_of

    package = make("training", plan_of("cpu"), image=IMAGE)
    arguments = arguments_of(package, tiny())
    together = threading.Barrier(4)
    ends: list[str] = []

    def one() -> None:
        api = client.Api(client.Access(server.url))
        together.wait()
        ends.append(schedule(api, package, arguments, name="nightly", cron="0 0 3 * * *")[1].id)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.recurring) == 1
    assert set(server.recurring) <= set(ends)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--cron", "every night"], "cron 'every night': has 2 fields; give five fields"),
        (["--cron", "0 3 * *"], "has 4 fields"),
        (["--cron", "61 3 * * *"], "does not parse"),
        (["--cron", "0 3 * * 7"], "'7' is no day of week"),
        (["--cron", "0 3 L * *"], "'L' is no day of month"),
        (["--cron", "0 3 30 2 *"], "names no time that ever comes"),
        (["--cron", "@daily"], "has 1 fields"),
        (["--cron", "0 3 * * *", "--list"], "wants one thing to do; give one of --cron, --list"),
        ([], "wants one thing to do"),
        (["--cron", "0 3 * * *", "--preset", "huge"], "no preset 'huge'"),
        (["--cron", "0 3 * * *", "--preset", "paper", "--max-gpus", "1"], "one step needs 4 GPUs at once"),
        (["--cron", "0 3 * * *", "--image", "egoreact/step:latest"], "is not named by digest"),
    ],
)
def test_bad_input_is_one_line_and_asks_the_cluster_nothing(
    server: KfpServer, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert cli.main([*SCHEDULE, *arguments]) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
    assert not server.requests


def test_what_is_not_scheduled_cannot_be_paused(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SCHEDULE, "--pause"]) == 2
    assert "schedule egoreact-training: nothing is scheduled by that name; see:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("*/15 * * * mon-fri", "0 */15 * * * MON-FRI"),
        ("0 0 3 ? * *", "0 0 3 ? * *"),
        ("30 5,17 1-7 JAN,jul 0", "0 30 5,17 1-7 JAN,JUL 0"),
    ],
)
def test_expressions_get_six_fields(expression: str, fields: str) -> None:
    assert six_fields(expression) == fields


def test_times_are_utc_and_seconds_come_first() -> None:
    after = datetime(2026, 12, 31, 3, 0, tzinfo=UTC)
    assert next_times("30 0 3 * * *", 2, after) == [
        datetime(2026, 12, 31, 3, 0, 30, tzinfo=UTC),
        datetime(2027, 1, 1, 3, 0, 30, tzinfo=UTC),
    ]
    with pytest.raises(EgoReactError, match="names no time"):
        next_times("0 0 3 31 11 *", 1)
