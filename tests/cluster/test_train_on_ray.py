"""A training step and its Ray cluster: what they hand each other, on a shared folder and on S3, and what goes wrong."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes_controllers import STARTS, SUCCEEDS, RayOperator, Step, status
from kubernetes_server import KubernetesServer
from ray_jobs import IMAGE, NAMESPACE, ROOT, TEMPLATE, cluster_of

from components.train import job_entry, place, pod_log, step
from components.train.exchange import ERROR, RESULT, Exchange
from egoreact.errors import EgoReactError
from egoreact.presets import tiny
from egoreact.training.ray_train import ClusterLostError

CONFIG = tiny().to_json()
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def bucket():
    """An S3 server over HTTP with one bucket, and the environment by which everything finds it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="egoreact")
        yield "s3://egoreact"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path):
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}" if request.param == "s3" else str(tmp_path / "shared")


def network(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "weights.safetensors").write_text(content)
    return folder


class TestExchange:
    def test_hands_over_and_back(self, storage, tmp_path):
        given = Exchange(f"{storage}/job")
        given.send_request("reaction", {"config": "{}"}, {"encoder": network(tmp_path / "a", "eyes")})
        kind, parameters, inputs = Exchange(f"{storage}/job").fetch_request(tmp_path / "in")
        assert (kind, parameters) == ("reaction", {"config": "{}"})
        assert (inputs["encoder"] / "weights.safetensors").read_text() == "eyes"
        assert not given.fetch_result(tmp_path / "out") and not (tmp_path / "out").exists()
        for content in ("first", "second"):  # a second attempt replaces the first's
            given.send_result(network(tmp_path / content, content))
        assert given.fetch_result(tmp_path / "out")
        assert (tmp_path / "out" / "weights.safetensors").read_text() == "second"
        given.send_request("reaction", {}, {})
        assert given.read_note(RESULT) is None, "what an earlier attempt handed back is gone"
        given.remove()
        assert given.read_note("request.json") is None

    def test_a_storage_that_is_away_is_told_in_one_line(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        with pytest.raises(EgoReactError, match="cannot write to the storage"):
            Exchange(str(tmp_path / "file")).send_request("encoder", {}, {"encoder": network(tmp_path / "a", "x")})

    def test_no_request(self, tmp_path):
        with pytest.raises(EgoReactError, match="holds no request"):
            Exchange(str(tmp_path)).fetch_request(tmp_path / "in")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A cluster with the template, and a step's environment."""
    monkeypatch.setattr(pod_log, "PAUSE_S", 0.02)
    monkeypatch.setattr(step, "prepare_data", lambda revision: None)
    for name in ("EGOREACT_RAY_QUEUE", "EGOREACT_RAY_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "EGOREACT_RAY_IMAGE": IMAGE,
        "EGOREACT_HOME": str(tmp_path / "home"),
        "EGOREACT_PIPELINE_RUN": "3f1c",
        "KFP_POD_NAME": "step-pod",
        "KFP_POD_UID": "step-uid",
    }.items():
        monkeypatch.setenv(name, value)
    with KubernetesServer() as server:
        text = {"ray-job.yaml": TEMPLATE.read_text()}
        server.create(
            "", "configmaps", NAMESPACE,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "egoreact-ray-job"}, "data": text},
        )  # fmt: skip
        yield server


def entry(job):
    """What KubeRay does with a job's entrypoint."""
    *_, module, flag, address = job["spec"]["entrypoint"].split()
    assert (module, flag) == ("components.train.job_entry", "--exchange")
    return job_entry.main(address)


def train(server, tmp_path, out="out", task=None):
    quarantine = tmp_path / "quarantine.json"
    quarantine.write_text(json.dumps({"quarantined": ["clip-3"]}))
    place.on_ray_cluster(
        "tokenizer", CONFIG, "aa.dir", quarantine, tmp_path / out, {}, task or {}, cluster_of(server)
    )  # fmt: skip
    return tmp_path / out


@pytest.fixture
def trainings(monkeypatch):
    """A stand-in for the training itself: what it was called with, and what it then does."""
    record = SimpleNamespace(calls=[], error=None)

    def run_tokenizer(config, data_revision, quarantine, *, out):
        record.calls.append((config, data_revision, json.loads(quarantine.read_text())))
        if record.error:
            raise record.error
        network(out, "taught")

    monkeypatch.setattr(step, "run_tokenizer", run_tokenizer)
    return record


def test_the_head_trains_what_the_step_asks_for_and_hands_it_back(server, trainings, tmp_path, storage, monkeypatch):
    monkeypatch.setenv("EGOREACT_RAY_STORAGE", storage)
    with RayOperator(server, SUCCEEDS, on_running=entry) as operator:
        out = train(server, tmp_path)
    assert (out / "weights.safetensors").read_text() == "taught"
    assert trainings.calls == [(CONFIG, "aa.dir", {"quarantined": ["clip-3"]})]
    [job] = operator.jobs
    assert job["metadata"]["ownerReferences"][0]["uid"] == "step-uid"
    environment = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "EGOREACT_PIPELINE_RUN", "value": "3f1c"} in environment
    assert Exchange(job["spec"]["entrypoint"].split()[-1]).read_note(RESULT) is None, "cleared away"


def test_the_name_is_a_function_of_run_step_and_configuration(server, trainings, tmp_path, monkeypatch):
    names = []
    for run, config in (("a", CONFIG), ("a", CONFIG), ("b", CONFIG), ("a", tiny(seed=1).to_json())):
        monkeypatch.setenv("EGOREACT_PIPELINE_RUN", run)
        monkeypatch.setattr(sys.modules[__name__], "CONFIG", config)
        with RayOperator(server, SUCCEEDS, on_running=entry) as operator:
            train(server, tmp_path)
        names.append(operator.jobs[-1]["metadata"]["name"])
        server.delete("ray.io", "rayjobs", NAMESPACE, names[-1])
    assert names[0] == names[1] and len(set(names)) == 3
    assert all(len(name) <= 47 for name in names), "KubeRay names a cluster after it"


def test_a_result_that_an_earlier_attempt_of_the_step_did_not_take_is_taken(server, trainings, tmp_path, monkeypatch):
    with (
        monkeypatch.context() as patch,
        RayOperator(server, SUCCEEDS, on_running=entry),
        pytest.raises(KeyboardInterrupt),
    ):
        patch.setattr(Exchange, "fetch_result", interrupted_once(Exchange.fetch_result))
        train(server, tmp_path)
    for name in server.names("ray.io", "rayjobs", NAMESPACE):
        server.delete("ray.io", "rayjobs", NAMESPACE, name)  # its time to live is over
    out = train(server, tmp_path)
    assert (out / "weights.safetensors").read_text() == "taught" and len(trainings.calls) == 1


def interrupted_once(real):
    calls = []

    def fetch_result(self, out):
        calls.append(out)
        if len(calls) == 2:  # the first looks for an earlier result
            raise KeyboardInterrupt
        return real(self, out)

    return fetch_result


def test_a_mistake_on_the_head_is_the_step_s_own_error_and_not_tried_again(server, trainings, tmp_path):
    trainings.error = EgoReactError("names no clips", where="manifest.parquet", remedy="build a data set")
    with (
        RayOperator(server, [*STARTS, Step(status("FAILED", "Retrying", failed=1))], on_running=entry),
        pytest.raises(EgoReactError) as told,
    ):
        train(server, tmp_path)
    assert "manifest.parquet: names no clips" in str(told.value) and "build a data set" in str(told.value)
    assert len(trainings.calls) == 1 and server.names("ray.io", "rayjobs", NAMESPACE) == []


@pytest.mark.parametrize("error", [ClusterLostError("lost", where="a", remedy="b"), OSError("disk full")])
def test_what_may_be_the_machine_s_fault_gets_another_cluster(server, trainings, tmp_path, error):
    trainings.error = error

    def run(job):
        assert entry(job) == (1 if trainings.error else 0)
        trainings.error = None

    with RayOperator(server, [*STARTS, Step(status("FAILED", "Retrying", failed=1)), *SUCCEEDS], on_running=run):
        out = train(server, tmp_path)
    assert (out / "weights.safetensors").exists() and len(trainings.calls) == 2


def test_success_without_a_result_is_an_error(server, trainings, tmp_path):
    with RayOperator(server, SUCCEEDS), pytest.raises(EgoReactError, match="handed nothing back"):
        train(server, tmp_path)
    assert not (tmp_path / "out").exists()


def test_no_template_and_no_quota_are_told_before_anything_is_made(server, trainings, tmp_path):
    task = {"resources": {"limits": {"cpu": "500m"}}}
    with pytest.raises(EgoReactError, match="needs 1 cpu"):
        train(server, tmp_path, task=task)
    server.delete("", "configmaps", NAMESPACE, "egoreact-ray-job")
    with pytest.raises(EgoReactError, match="no ConfigMap egoreact-ray-job"):
        train(server, tmp_path)
    assert not server.asked("create", "rayjobs") and not (tmp_path / "home").exists()


def test_without_an_image_the_step_trains_in_its_own_process(trainings, tmp_path, monkeypatch):
    monkeypatch.delenv("EGOREACT_RAY_IMAGE", raising=False)
    (tmp_path / "q.json").write_text('{"quarantined": []}')
    place.train("tokenizer", CONFIG, "aa.dir", tmp_path / "q.json", tmp_path / "out")
    assert (tmp_path / "out" / "weights.safetensors").exists()


def test_the_head_s_lines_reach_the_pod_s_log_and_a_closed_log_changes_nothing(tmp_path):
    pod_log_path = tmp_path / "log"
    os.mkfifo(pod_log_path)
    lines: list[str] = []

    def read_one():
        with pod_log_path.open() as log:
            lines.append(log.readline())

    reader = threading.Thread(target=read_one)
    reader.start()
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from components.train.job_entry import also_in_pod_log\n"
        f"with also_in_pod_log(Path({str(pod_log_path)!r})):\n"
        "    print('one', flush=True); time.sleep(0.3)\n"
        "    for _ in range(2000): print('more' * 20)\n"
        "print('end')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    reader.join()
    assert done.returncode == 0, done.stderr
    assert lines == ["one\n"] and done.stdout.count("more") == 40_000 and done.stdout.endswith("end\n")


def test_the_head_needs_nothing_that_the_image_of_ray_s_pods_lacks():
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('kfp', 'kfp_kubernetes', 'dvc', 'great_expectations', 'bentoml', 'kubernetes'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import components.train.job_entry, components.train.step, components.train.initial\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_error_note_outlives_the_job(server, trainings, tmp_path):
    trainings.error = OSError("no space left on device")
    script = [*STARTS, Step(status("FAILED", "Failed", reason="AppFailed"))]
    with RayOperator(server, script, on_running=entry) as operator, pytest.raises(EgoReactError, match="no space left"):
        train(server, tmp_path)
    assert Exchange(operator.jobs[0]["spec"]["entrypoint"].split()[-1]).read_note(ERROR)
