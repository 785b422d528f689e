"""A release on a cluster: the Deployment behind a server that speaks the Kubernetes API, a real service behind its Service."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes_controllers import DeploymentController
from kubernetes_server import KubernetesServer
from running import ROOT, Service, environment, running

from components.cluster_api import Cluster
from components.promote.registry import NOT_RELEASED, RegisteredBundle, Registry
from components.release.deployment import DIGEST_ANNOTATION, VERSION_ANNOTATION, Deployment
from components.release.step import run
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle, verify
from egoreact.models.release import DIGEST_VARIABLE, VERSION_VARIABLE, kept_release, read_release
from egoreact.presets import tiny
from egoreact.workspace import Workspace

NAMESPACE, NAME = "egoreact", "egoreact"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp(f"bundle-{seed}") / "bundle" for seed in range(3)]
    for seed, folder in enumerate(folders):
        Bundle.untrained(tiny().reaction, seed=seed).save(folder)
    return folders


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bundles: list[Path]) -> Iterator[Workspace]:
    """A workspace with three versions; no test leaves an alias behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("components.release.step.ensure_bento", lambda workspace, release: False)
        workspace = Workspace(tmp_path_factory.mktemp("home"))
        patch.setenv("EGOREACT_HOME", str(workspace.root))
        registry = Registry(workspace)
        for folder in bundles:
            registry.register(folder, verify(folder)[1], data_revision="aa.dir", mlflow_run="unknown", tags={})
        yield workspace


@pytest.fixture
def versions(home: Workspace) -> list[RegisteredBundle]:
    registry = Registry(home)
    for alias in ("champion", "previous"):
        registry.client.delete_registered_model_alias("egoreact", alias)
    (home.releases / "current.json").unlink(missing_ok=True)
    return registry.versions()


@pytest.fixture
def cluster() -> Iterator[KubernetesServer]:
    with KubernetesServer() as server:
        template = {
            "metadata": {"labels": {"app": "egoreact"}},
            "spec": {"containers": [
                {"name": "metrics", "image": "m", "env": [{"name": DIGEST_VARIABLE, "value": "not ours"}]},
                {"name": "service", "image": "s", "env": [{"name": "EGOREACT_HOME", "value": "/workspace"}]},
            ]},
        }  # fmt: skip
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "egoreact"}}, "template": template}
        server.create(
            "apps", "deployments", NAMESPACE,
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec},
        )  # fmt: skip
        yield server


def found(cluster: KubernetesServer) -> dict:
    return cluster.get("apps", "deployments", NAMESPACE, NAME)


def named(cluster: KubernetesServer) -> dict[str, str]:
    """The release that the pods are started with."""
    (container,) = [c for c in found(cluster)["spec"]["template"]["spec"]["containers"] if c["name"] == "service"]
    return {each["name"]: each["value"] for each in container["env"]}


def place(cluster: KubernetesServer, url: str = "http://127.0.0.1:9", patience_s: float = 2.0) -> Deployment:
    return Deployment(Cluster(cluster.client(), NAMESPACE), NAME, url, poll_s=0.02, patience_s=patience_s)


@pytest.fixture
def unwarmed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """For tests of everything but the reaction; the digests that would have been asked for."""
    asked: list[str] = []

    def note(url: str, digest: str, patience_s: float = 0) -> float:
        asked.append(digest)
        return 0.0

    monkeypatch.setattr("components.release.deployment.warm_up", note)
    return asked


def crowned(home: Workspace, *versions: RegisteredBundle) -> None:
    for version in versions:
        Registry(home).crown(version.version)


def aliases(home: Workspace) -> tuple[str | None, str | None]:
    registry = Registry(home)
    return tuple(each and each.version for each in (registry.champion(), registry.previous()))  # type: ignore[return-value]


def released(home: Workspace, version: RegisteredBundle, at: Deployment):
    return run(home, version.version, version.digest, place=at)


def test_version_and_digest_are_written_the_rollout_awaited_and_a_real_service_reacts(home, versions, cluster, capsys):
    """The whole way: a pod, here a process with the Deployment's environment, comes up and is asked for a reaction."""
    crowned(home, versions[0])
    service: list[Service] = []
    stack = []

    def start_pod(value) -> None:
        settings = {name: text for name, text in named(cluster).items() if name.startswith("EGOREACT_RELEASE")}
        if not settings:  # as it was before the first release
            return
        entered = running(home.root, **settings)
        stack.append(entered)
        service.append(entered.__enter__())
        at.url = service[0].url

    at = place(cluster, patience_s=20)
    try:
        with DeploymentController(cluster, on_rollout=start_pod) as controller:
            release = released(home, versions[0], at)
    finally:
        for entered in stack:
            entered.__exit__(None, None, None)
    assert len(controller.rollouts) == 2  # as it was found, and ours
    assert named(cluster) == {
        "EGOREACT_HOME": "/workspace", VERSION_VARIABLE: "1", DIGEST_VARIABLE: versions[0].digest
    }  # fmt: skip
    for metadata in (found(cluster)["metadata"], found(cluster)["spec"]["template"]["metadata"]):
        assert metadata["annotations"] == {VERSION_ANNOTATION: "1", DIGEST_ANNOTATION: versions[0].digest}
    assert read_release(home) == release == kept_release(home, versions[0].digest)
    assert "serves version 1" in capsys.readouterr().out


def test_other_containers_are_left_alone_and_a_second_release_changes_nothing(home, versions, cluster, unwarmed):
    crowned(home, versions[0])
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
        first = found(cluster)
        released(home, versions[0], place(cluster))
    assert found(cluster)["metadata"]["generation"] == first["metadata"]["generation"]
    assert first["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "not ours"
    assert unwarmed == [versions[0].digest] * 2


def test_pods_that_do_not_come_up_put_the_release_before_and_both_aliases_back(home, versions, cluster, unwarmed):
    crowned(home, versions[0])
    with DeploymentController(cluster, ready=lambda value: versions[2].digest not in json.dumps(value)):
        released(home, versions[0], place(cluster))
        crowned(home, versions[1])
        released(home, versions[1], place(cluster))
        crowned(home, versions[2])
        assert aliases(home) == ("3", "2")
        cluster.create("", "pods", NAMESPACE, _crashing_pod(versions[2].digest))
        with pytest.raises(EgoReactError) as failed:
            released(home, versions[2], place(cluster))
    line = str(failed.value)
    assert "version 3 does not come up (its digest is another)" in line
    assert "version 2 serves again; the champion is version 2" in line and "\n" not in line
    assert aliases(home) == ("2", "1")
    assert named(cluster)[DIGEST_VARIABLE] == versions[1].digest
    assert found(cluster)["metadata"]["annotations"][VERSION_ANNOTATION] == "2"
    assert read_release(home).version == "2"
    assert "does not come up" in Registry(home).tags("3")[NOT_RELEASED]
    assert unwarmed == [versions[0].digest, versions[1].digest]
    with pytest.raises(EgoReactError, match=r"version 3: is not the champion: .*does not come up"):
        released(home, versions[2], place(cluster))  # as a retry of the step would


def _crashing_pod(digest: str) -> dict:
    ended = {"exitCode": 2, "message": "starting\nits digest is another"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    container = {
        "name": "service", "state": {"waiting": waiting}, "lastState": {"terminated": ended},
        "image": "s", "imageID": "s", "ready": False, "restartCount": 3,
    }  # fmt: skip
    metadata = {"name": "egoreact-1", "labels": {"app": "egoreact"}, "annotations": {DIGEST_ANNOTATION: digest}}
    status = {"phase": "Running", "containerStatuses": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def test_a_first_release_that_fails_leaves_neither_a_release_nor_a_champion(home, versions, cluster, unwarmed):
    crowned(home, versions[0])
    with (
        DeploymentController(cluster, ready=lambda value: versions[0].digest not in json.dumps(value)),
        pytest.raises(EgoReactError, match="nothing was released before; there is no champion"),
    ):
        released(home, versions[0], place(cluster))
    assert named(cluster) == {"EGOREACT_HOME": "/workspace"}
    assert not found(cluster)["metadata"]["annotations"]
    assert aliases(home) == (None, None)
    assert not (home.releases / "current.json").exists()
    with pytest.raises(EgoReactError, match=r"version 1: is not the champion: .*does not come up"):
        released(home, versions[0], place(cluster))


def test_pods_that_come_up_but_do_not_react_are_rolled_back(home, versions, cluster, unwarmed, monkeypatch):
    crowned(home, versions[0])
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
        crowned(home, versions[1])
        monkeypatch.undo()
        monkeypatch.setattr("components.release.step.ensure_bento", lambda workspace, release: False)
        with pytest.raises(EgoReactError, match=r"cannot be reached.*version 1 serves again"):
            released(home, versions[1], place(cluster, patience_s=0.2))
    assert aliases(home)[0] == "1" and named(cluster)[VERSION_VARIABLE] == "1"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after_s": 0},
        {"status": 500},
        {"status": 409},
        {"cut": True},
        {"status": 503, "done": True},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_an_api_server_that_stumbles_is_asked_again(home, versions, cluster, unwarmed, fault):
    crowned(home, versions[0])
    cluster.fail("get", "deployments", times=2, **fault)
    cluster.fail("patch", "deployments", times=2, **fault)
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
    assert named(cluster)[VERSION_VARIABLE] == "1"


@pytest.mark.parametrize(
    ("verb", "status", "told"),
    [
        ("get", 403, "does not let this account get Deployment"),
        ("get", 401, "no such credentials"),
        ("get", 404, "kubectl apply"),
        ("patch", 403, "Role"),
    ],
)
def test_what_the_api_server_refuses_is_one_line_and_the_aliases_are_set_back(
    home, versions, cluster, unwarmed, verb, status, told
):
    crowned(home, versions[0])
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
        crowned(home, versions[1])
        cluster.fail(verb, "deployments", times=1, status=status)
        with pytest.raises(EgoReactError, match=told):
            released(home, versions[1], place(cluster))
    assert aliases(home)[0] == "1" and named(cluster)[VERSION_VARIABLE] == "1" and read_release(home).version == "1"


def test_an_api_server_that_stays_away_is_named(home, versions, cluster, unwarmed):
    crowned(home, versions[0])
    cluster.fail("get", "deployments", times=10_000, cut=True)
    with pytest.raises(EgoReactError, match=r"127.0.0.1.*could not get Deployment"):
        released(home, versions[0], place(cluster, patience_s=0.2))


def test_a_release_that_another_one_overtakes_is_left_to_it(home, versions, cluster, unwarmed):
    crowned(home, versions[0])
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
    crowned(home, versions[1])
    other = place(cluster)

    def overtake() -> None:
        while not cluster.asked("patch", "deployments")[1:]:
            time.sleep(0.01)
        other.before()
        other._name(replace(other._before, version="9", digest="9" * 64))

    overtaking = threading.Thread(target=overtake)
    overtaking.start()
    with pytest.raises(EgoReactError, match=r"another release has taken"):  # no controller: it waits until then
        released(home, versions[1], place(cluster))
    overtaking.join()
    assert named(cluster)[VERSION_VARIABLE] == "9"


def test_a_deployment_of_something_else_is_refused(home, versions, unwarmed):
    crowned(home, versions[0])
    with KubernetesServer() as other:
        spec = {"selector": {}, "template": {"spec": {"containers": [{"name": "nginx"}]}}}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec}
        other.create("apps", "deployments", NAMESPACE, body)
        with pytest.raises(EgoReactError, match="no container 'service'"):
            released(home, versions[0], place(other))
        assert other.asked("patch", "deployments") == []


def test_without_replicas_nothing_is_asked_for_a_reaction(home, versions, cluster, unwarmed, capsys):
    crowned(home, versions[0])
    cluster.store.patch(*_at(cluster), {"spec": {"replicas": 0}}, "application/merge-patch+json", status=False)
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
    assert unwarmed == [] and "no replicas" in capsys.readouterr().out


def _at(cluster):
    ((kind, namespace, name),) = cluster.store.objects
    return kind, namespace, name


def test_a_cancelled_release_goes_back_too(home, versions, cluster, unwarmed, tmp_path):
    """SIGTERM, as Kubernetes ends a pod: by the environment's own kubeconfig, in a process of its own."""
    crowned(home, versions[0])
    with DeploymentController(cluster):
        released(home, versions[0], place(cluster))
    crowned(home, versions[1])
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    settings = environment(
        home.root, KUBECONFIG=tmp_path / "config", EGOREACT_DEPLOYMENT=NAME, EGOREACT_NAMESPACE=NAMESPACE,
        EGOREACT_DATA=tmp_path / "data",
    )  # fmt: skip
    code = (
        "import components.release.step as step; step.ensure_bento = lambda workspace, release: False\n"
        "from pipelines.commands import release; release()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True)
    while VERSION_VARIABLE not in named(cluster) or named(cluster)[VERSION_VARIABLE] != "2":
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert named(cluster)[DIGEST_VARIABLE] == versions[0].digest
    assert aliases(home)[0] == "1" and read_release(home).version == "1"
