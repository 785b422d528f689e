"""A RayJob's life against the Kubernetes API over HTTP, with everything that goes wrong on the way."""

import logging
import os
import signal

import pytest
from kubernetes_controllers import FAILS, GONE, STARTS, SUCCEEDS, RayOperator, Step, status
from kubernetes_server import KubernetesServer
from ray_jobs import NAMESPACE, cluster_of, manifest, unknown_fields

from components.train import pod_log
from components.train.ray_job import JobEndedError, Pod, RayJob
from components.train.ray_status import Limits, owner_uid
from egoreact.errors import EgoReactError

NAME = "egoreact-tokenizer-run-1"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(pod_log, "PAUSE_S", 0.02)
    with KubernetesServer() as server:
        server.store.validators["rayjobs"] = lambda job: ", ".join(unknown_fields(job)) or None
        yield server


def job(server, run="run-1", pod="pod-1", **changes):
    given = manifest(run, owner=Pod(pod, f"uid-{pod}").owner_reference)
    return RayJob(cluster_of(server), given, pod=Pod(pod, f"uid-{pod}"), watch_s=1, **changes)


def present(server, name=NAME):
    return server.get("ray.io", "rayjobs", NAMESPACE, name)


def made(server):
    return len(server.asked("create", "rayjobs"))


def test_a_job_is_made_watched_and_its_log_shown(server, capsys):
    with RayOperator(server, SUCCEEDS, log=["step 10 loss 0.5", "step 20 loss 0.4"]) as operator:
        job(server).run()
    assert len(operator.jobs) == 1 and owner_uid(present(server)) == "uid-pod-1"
    assert capsys.readouterr().err.count("step 20 loss 0.4") == 1


def test_a_retried_step_adopts_the_running_job_and_owns_it(server):
    with RayOperator(server, [*STARTS, Step(status("SUCCEEDED", "Complete"), after_s=0.4)]) as operator:
        server.create("ray.io", "rayjobs", NAMESPACE, job(server, pod="pod-1").manifest)
        job(server, pod="pod-2").run()
    assert len(operator.jobs) == 1 and made(server) == 0
    assert owner_uid(present(server)) == "uid-pod-2", "it must not go with the first attempt's pod"


def test_a_create_whose_answer_is_lost_makes_one_job(server):
    server.fail("create", "rayjobs", cut=True, done=True)
    with RayOperator(server) as operator:
        job(server).run()
    assert len(operator.jobs) == 1 and made(server) == 2


def test_a_job_made_by_another_meanwhile_is_adopted(server):
    ours = job(server)
    server.fail("get", "rayjobs", status=404)  # looked before it was there
    server.create("ray.io", "rayjobs", NAMESPACE, ours.manifest)
    with RayOperator(server) as operator:
        ours.run()
    assert len(operator.jobs) == 1 and made(server) == 1


@pytest.mark.parametrize(
    "end", [FAILS[-1].status, status("SUCCEEDED", "Complete")], ids=["failed", "nothing handed back"]
)
def test_a_job_of_no_use_is_replaced(server, end):
    server.create("ray.io", "rayjobs", NAMESPACE, {**manifest(), "status": end})
    before = present(server)["metadata"]["uid"]
    with RayOperator(server, [[], SUCCEEDS]):
        job(server, handed_back=lambda: False).run()
    assert present(server)["metadata"]["uid"] != before


def test_a_job_that_is_done_is_taken_as_it_is(server):
    server.create("ray.io", "rayjobs", NAMESPACE, {**manifest(), "status": status("SUCCEEDED", "Complete")})
    job(server).run()
    assert made(server) == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"verb": "create", "status": 429, "retry_after_s": 1},
        {"verb": "create", "status": 500, "times": 3},
        {"verb": "create", "cut": True},
        {"verb": "get", "status": 429, "times": 3},
        {"verb": "get", "status": 503, "times": 3},
        {"verb": "get", "cut": True, "times": 3},
        {"verb": "list", "status": 500},
        {"verb": "watch", "status": 410, "times": 2},
        {"verb": "watch", "status": 429, "times": 2},
        {"verb": "watch", "status": 500, "times": 2},
        {"verb": "watch", "cut": True, "times": 2},
        {"verb": "watch", "cut": True, "pieces": 1, "times": 2},
        {"verb": "watch", "delay_s": 0.3},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
def test_a_busy_broken_or_forgetful_api_server_changes_nothing(server, fault):
    fault = dict(fault)
    server.fail(fault.pop("verb"), "rayjobs", **fault)
    with RayOperator(server) as operator:
        job(server).run()
    assert len(operator.jobs) == 1


def test_a_watch_from_a_forgotten_version_starts_anew(server):
    """410 Gone inside the stream, as etcd's compaction gives it."""
    script = [*STARTS, Step(lambda _: server.compact()), Step(status("RUNNING", "Running", message="still"))]
    with RayOperator(server, [*script, Step(lambda _: server.compact()), SUCCEEDS[-1]]):
        job(server).run()


def test_a_failed_attempt_that_the_operator_retries_is_no_failure(server):
    again = Step(status("FAILED", "Retrying", failed=1))
    with RayOperator(server, [*STARTS, again, *SUCCEEDS]):
        job(server).run()


def test_a_mistake_is_not_given_another_cluster(server):
    again = Step(status("FAILED", "Retrying", failed=1))
    with RayOperator(server, [*STARTS, again]), pytest.raises(JobEndedError, match="no clips"):
        job(server, failed_for_good=lambda: "no clips").run()
    assert server.names("ray.io", "rayjobs", NAMESPACE) == []


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (FAILS[-1].status, r"failed \(AppFailed: the entrypoint exited with 1\)"),
        ({"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed", "message": "name too long"},
         "refused by KubeRay .*name too long"),
        (status("RUNNING", "Failed", reason="DeadlineExceeded", message="the deadline"), "DeadlineExceeded"),
        ({"jobDeploymentStatus": "Failed", "reason": "PreRunningDeadlineExceeded"}, "PreRunningDeadlineExceeded"),
        (status("STOPPED", "Complete"), "was stopped"),
        (GONE, "was deleted while it ran"),
    ],
)  # fmt: skip
def test_a_job_that_ends_badly_says_why(server, end, said):
    with RayOperator(server, [*STARTS, Step(end)]), pytest.raises(JobEndedError, match=said):
        job(server).run()


def test_a_job_that_someone_replaces_is_not_taken_for_ours(server):
    def replace(value):
        server.delete("ray.io", "rayjobs", NAMESPACE, NAME)
        server.create("ray.io", "rayjobs", NAMESPACE, manifest())

    with RayOperator(server, [[*STARTS, Step(replace)], []]), pytest.raises(JobEndedError, match="deleted"):
        job(server).run()


class TestToldToStop:
    def test_sigterm_deletes_the_job(self, server, caplog):
        def terminate(_):
            os.kill(os.getpid(), signal.SIGTERM)

        before = signal.getsignal(signal.SIGTERM)
        with RayOperator(server, STARTS, on_running=terminate), pytest.raises(SystemExit) as stopped:
            job(server).run()
        assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) == before
        assert server.names("ray.io", "rayjobs", NAMESPACE) == []
        [deleted] = server.asked("delete", "rayjobs")
        assert deleted.body["propagationPolicy"] == "Background" and deleted.body["preconditions"]["uid"]

    def test_the_delete_is_repeated_where_the_api_server_is_busy(self, server):
        server.fail("delete", "rayjobs", status=500, times=2)
        with (
            RayOperator(server, STARTS, on_running=lambda _: os.kill(os.getpid(), signal.SIGTERM)),
            pytest.raises(SystemExit),
        ):
            job(server).run()
        assert server.names("ray.io", "rayjobs", NAMESPACE) == []

    def test_a_job_that_a_later_attempt_has_adopted_stays(self, server):
        def adopt_and_terminate(_):
            change = {"metadata": {"ownerReferences": [Pod("pod-2", "uid-2").owner_reference]}}
            cluster_of(server).objects.patch_namespaced_custom_object(
                "ray.io", "v1", NAMESPACE, "rayjobs", NAME, change
            )
            os.kill(os.getpid(), signal.SIGTERM)

        with RayOperator(server, STARTS, on_running=adopt_and_terminate), pytest.raises(SystemExit):
            job(server).run()
        assert server.names("ray.io", "rayjobs", NAMESPACE) == [NAME]


class TestLog:
    """It is for people; no fault of it ends anything."""

    LINES = tuple(f"step {i}" for i in range(6))

    @pytest.mark.parametrize(
        "fault",
        [
            {"verb": "log", "cut": True, "pieces": 2, "times": 2},
            {"verb": "log", "status": 500},
            {"verb": "log", "cut": True},
        ],
        ids=["cut in the middle", "500", "cut before the first line"],
    )
    def test_a_broken_stream_is_opened_anew_and_each_line_is_shown_once(self, server, fault, capsys, caplog):
        fault = dict(fault)
        server.fail(fault.pop("verb"), "pods", **fault)
        script = [*STARTS, Step(status("SUCCEEDED", "Complete"), after_s=0.5)]
        with RayOperator(server, script, log=self.LINES):
            job(server).run()
        shown = [line for line in capsys.readouterr().err.splitlines() if line in self.LINES]
        assert shown == list(self.LINES)
        assert "the job goes on" in caplog.text

    @pytest.mark.parametrize("status_code", [403, 404, 410, 500])
    def test_a_log_that_may_not_be_read_is_told_once_and_ends_nothing(self, server, status_code, caplog):
        server.fail("list", "pods", status=status_code, times=1000)
        with RayOperator(server, SUCCEEDS, log=self.LINES):
            job(server).run()
        assert caplog.text.count("the job goes on") <= 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ({"status": 403}, "Role"),
            ({"status": 401}, "renew the token"),
            ({"status": 404}, "install KubeRay"),
        ],
    )
    def test_what_repeating_does_not_change_is_told_in_one_line(self, server, fault, said):
        server.fail("create", "rayjobs", **fault)
        with pytest.raises(EgoReactError, match=said) as refused:
            job(server).run()
        assert "\n" not in str(refused.value) and made(server) == 1

    def test_an_unknown_field_is_refused_with_the_server_s_words(self, server):
        ours = job(server)
        ours.manifest["spec"]["backOffLimit"] = 1
        with pytest.raises(EgoReactError, match=r"spec\.backOffLimit"):
            ours.run()

    def test_an_api_server_that_stays_away_is_told_when_time_is_up(self):
        with KubernetesServer() as server:
            cluster = cluster_of(server)
        with pytest.raises(EgoReactError, match="could not read"):
            cluster.call(
                lambda: cluster.objects.get_namespaced_custom_object("ray.io", "v1", NAMESPACE, "rayjobs", NAME),
                "read it",
                limit_s=0.3,
            )


def test_two_runs_of_the_same_training_take_turns(server, caplog):
    """Both would write the same checkpoints."""
    caplog.set_level(logging.INFO)
    server.create("ray.io", "rayjobs", NAMESPACE, {**manifest("run-0"), "status": status("RUNNING", "Running")})
    over = {"done": False}

    def sleep(_):
        over["done"] = True
        server.set_status("ray.io", "rayjobs", NAMESPACE, "egoreact-tokenizer-run-0", status("SUCCEEDED", "Complete"))

    ours = job(server)
    object.__setattr__(ours.cluster, "sleep", sleep)
    with RayOperator(server, [[], SUCCEEDS]):
        ours.run()
    assert over["done"] and "waiting for it" in caplog.text and made(server) == 1


def test_a_job_that_no_operator_takes_up_is_deleted(server, monkeypatch):
    monkeypatch.setattr("components.train.ray_status.SLACK_S", 0.1)
    ours = job(server)
    ours.manifest["spec"]["preRunningDeadlineSeconds"] = 0
    with pytest.raises(JobEndedError, match="taken up by no operator"):
        ours.run()
    assert server.names("ray.io", "rayjobs", NAMESPACE) == []


def test_the_clock_of_a_queued_job_does_not_run(monkeypatch):
    limits = Limits({"preRunningDeadlineSeconds": 0, "activeDeadlineSeconds": 0})
    limits.started -= 10_000
    assert limits.passed({"jobDeploymentStatus": "Suspended"}) is None
    limits.started -= 10_000
    assert limits.passed({"jobDeploymentStatus": "Running"})
