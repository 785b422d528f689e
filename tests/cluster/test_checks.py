"""What is looked up on the cluster before a run is submitted: quota, settings, secret."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp_server import KfpServer
from kubernetes_server import KubernetesServer

from egoreact import cli
from pipelines.training import SECRET_NAMES, SETTING_NAMES

IMAGE = "egoreact/step@sha256:" + "0" * 64
SUBMIT = ["pipeline", "submit", "--image", IMAGE, "--namespace", "egoreact"]
PAPER = [*SUBMIT, "--preset", "paper"]
TINY = [*SUBMIT, "--preset", "tiny"]


@pytest.fixture(scope="module")
def kfp() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def cluster(kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    """A cluster that has everything, and a kubeconfig that leads to it."""
    kfp.reset()
    for name in ("KFP_TOKEN_FILE", "KFP_TOKEN", "EGOREACT_MAX_GPUS", "MLFLOW_TRACKING_URI", "EGOREACT_RAY_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp.url)
    with KubernetesServer() as server:
        server.create("", "configmaps", "egoreact", core("ConfigMap", data=dict.fromkeys(SETTING_NAMES, "x")))
        server.create("", "secrets", "egoreact", core("Secret", data=dict.fromkeys(SECRET_NAMES, "eA==")))
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", server.url)))
        yield server


def core(kind: str, name: str = "egoreact", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "egoreact"}, **fields}


def write_kubeconfig(path: Path, url: str) -> Path:
    content = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def quota(hard: dict[str, str]) -> dict[str, Any]:
    return core("ResourceQuota", "gpus", spec={"hard": hard}, status={"hard": hard})


def test_a_cluster_that_has_everything_takes_the_run(
    cluster: KubernetesServer, kfp: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.create("", "resourcequotas", "egoreact", quota({"requests.nvidia.com/gpu": "4"}))
    assert cli.main(PAPER) == 0
    assert len(kfp.runs) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("gpus", "settings", "told"),
    [("4", {}, True), ("4", {"EGOREACT_RAY_QUEUE": "trainings"}, False), ("9", {}, False)],
    ids=["room for one training", "a queue lets one in first", "room for all"],
)
def test_trainings_that_may_wait_for_each_other_are_told_of(
    cluster: KubernetesServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    gpus: str,
    settings: dict[str, str],
    told: bool,
) -> None:
    monkeypatch.setenv("EGOREACT_RAY_IMAGE", IMAGE)
    cluster.delete("", "configmaps", "egoreact", "egoreact")
    data = dict.fromkeys(SETTING_NAMES, "x") | {"EGOREACT_RAY_IMAGE": IMAGE} | settings
    cluster.create("", "configmaps", "egoreact", core("ConfigMap", data=data))
    cluster.create("", "resourcequotas", "egoreact", quota({"requests.nvidia.com/gpu": gpus}))
    assert cli.main(PAPER) == 0
    line = "note: trainings side by side want 9 GPUs and quota gpus allows 4: each may hold some and wait for the rest"
    err = capsys.readouterr().err
    assert (line in err) if told else err == ""


@pytest.mark.parametrize("key", ["requests.nvidia.com/gpu", "limits.nvidia.com/gpu"])
def test_more_gpus_than_the_quota_is_one_line(
    cluster: KubernetesServer, kfp: KfpServer, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    cluster.create("", "resourcequotas", "egoreact", quota({key: "2", "pods": "100"}))
    assert cli.main(PAPER) == 2
    line = capsys.readouterr().err
    assert "quota gpus of namespace egoreact: one step needs 4 GPUs at once, more than the 2 allowed; take" in line
    assert line.count("\n") == 1 and not kfp.requests
    assert cli.main(TINY) == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda server: server.delete("", "secrets", "egoreact", "egoreact"),
         "Secret egoreact of namespace egoreact: is missing; kubectl create secret generic egoreact -n egoreact --from-literal=AWS_ACCESS_KEY_ID=…"),
        (lambda server: server.delete("", "configmaps", "egoreact", "egoreact"),
         "ConfigMap egoreact of namespace egoreact: is missing; kubectl apply -k"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_line(
    cluster: KubernetesServer, kfp: KfpServer, capsys: pytest.CaptureFixture[str], change: Callable[[KubernetesServer], None], line: str,
) -> None:  # fmt: skip
    change(cluster)
    assert cli.main(TINY) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
    assert not kfp.requests


def test_a_secret_without_its_keys_is_one_line(
    cluster: KubernetesServer, kfp: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.delete("", "secrets", "egoreact", "egoreact")
    cluster.create("", "secrets", "egoreact", core("Secret", data={"AWS_ACCESS_KEY_ID": "eA=="}))
    assert cli.main(TINY) == 2
    assert "Secret egoreact of namespace egoreact: lacks AWS_SECRET_ACCESS_KEY;" in capsys.readouterr().err
    assert not kfp.requests


def test_pods_with_an_identity_need_no_secret(cluster: KubernetesServer, kfp: KfpServer) -> None:
    cluster.delete("", "secrets", "egoreact", "egoreact")
    assert cli.main([*TINY, "--without-secret"]) == 0
    assert not cluster.asked("get", "secrets")


def test_what_the_account_may_not_see_is_told_and_passed_over(
    cluster: KubernetesServer, kfp: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb, plural in (("list", "resourcequotas"), ("get", "configmaps"), ("get", "secrets")):
        cluster.fail(verb, plural, status=403, times=10)  # type: ignore[arg-type]
    assert cli.main(PAPER) == 0
    notes = capsys.readouterr().err.splitlines()
    assert [note.partition(" could not")[0] for note in notes] == ["note: quotas", "note: ConfigMap egoreact", "note: Secret egoreact"]  # fmt: skip
    assert cli.main([*PAPER, "--max-gpus", "3"]) == 2
    assert len(kfp.runs) == 1


def test_a_cluster_that_is_away_is_told_and_passed_over(
    cluster: KubernetesServer, kfp: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "away", "http://127.0.0.1:9")))
    assert cli.main(TINY) == 0
    assert "the cluster does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(("here", "there"), [("", "ray@sha256:1"), ("ray@sha256:1", "")])
def test_where_trainings_run_is_the_same_here_and_there(
    cluster: KubernetesServer, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: str, there: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("EGOREACT_RAY_IMAGE", here)
    cluster.delete("", "configmaps", "egoreact", "egoreact")
    data = dict.fromkeys(SETTING_NAMES, "x") | {"EGOREACT_RAY_IMAGE": there}
    cluster.create("", "configmaps", "egoreact", core("ConfigMap", data=data))
    assert cli.main(TINY) == 2
    assert "EGOREACT_RAY_IMAGE, which is" in capsys.readouterr().err
    assert not kfp.requests


def test_a_limit_of_the_environment_holds(
    cluster: KubernetesServer, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EGOREACT_MAX_GPUS", "3")
    assert cli.main(PAPER) == 2
    assert "limit --max-gpus or EGOREACT_MAX_GPUS: one step needs 4 GPUs at once" in capsys.readouterr().err
    assert not kfp.requests and not cluster.requests
