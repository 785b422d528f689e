"""The tests' own Kubernetes API does what the real one does, as the official client sees it."""

import kubernetes.client
import kubernetes.watch
import pytest
import urllib3
from kubernetes.client.exceptions import ApiException
from kubernetes_controllers import DeploymentController
from kubernetes_server import KubernetesServer

NAMESPACE = "team"


def deployment(name: str = "egoreact"):
    container = {"name": "service", "image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    pod = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def server():
    with KubernetesServer() as server:
        yield server


def test_objects_are_made_read_listed_and_deleted(server):
    api = kubernetes.client.AppsV1Api(server.client())
    made = api.create_namespaced_deployment(NAMESPACE, deployment())
    assert made.metadata.uid and made.metadata.generation == 1
    with pytest.raises(ApiException) as again:
        api.create_namespaced_deployment(NAMESPACE, deployment())
    assert again.value.status == 409 and "AlreadyExists" in again.value.body
    assert [each.metadata.name for each in api.list_namespaced_deployment(NAMESPACE).items] == ["egoreact"]
    api.delete_namespaced_deployment("egoreact", NAMESPACE)
    with pytest.raises(ApiException) as gone:
        api.read_namespaced_deployment("egoreact", NAMESPACE)
    assert gone.value.status == 404


def test_a_strategic_patch_joins_containers_and_environment_by_name_and_leaves_the_status(server):
    api = kubernetes.client.AppsV1Api(server.client())
    api.create_namespaced_deployment(NAMESPACE, deployment())
    api.patch_namespaced_deployment_status("egoreact", NAMESPACE, {"status": {"readyReplicas": 1}})
    container = {"name": "service", "env": [{"name": "B", "value": "3"}]}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}, "status": {"readyReplicas": 9}}
    after = api.patch_namespaced_deployment("egoreact", NAMESPACE, change)
    [service] = after.spec.template.spec.containers
    assert service.image == "a" and {each.name: each.value for each in service.env} == {"A": "1", "B": "3"}
    assert after.status.ready_replicas == 1 and after.metadata.generation == 2


def test_a_watch_goes_on_from_a_version_and_an_old_version_is_gone(server):
    api = kubernetes.client.AppsV1Api(server.client())
    version = api.list_namespaced_deployment(NAMESPACE).metadata.resource_version
    for name in ("one", "two"):
        api.create_namespaced_deployment(NAMESPACE, deployment(name))
    seen = []
    watch = kubernetes.watch.Watch()
    for event in watch.stream(api.list_namespaced_deployment, NAMESPACE, resource_version=version, timeout_seconds=5):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watch.stop()
    assert seen == [("ADDED", "one"), ("ADDED", "two")]
    server.compact()
    with pytest.raises(ApiException) as expired:
        list(kubernetes.watch.Watch().stream(api.list_namespaced_deployment, NAMESPACE, resource_version=version))
    assert expired.value.status == 410


def test_planned_faults_happen_in_turn(server):
    api = kubernetes.client.AppsV1Api(server.client())
    server.fail("create", "deployments", status=429, retry_after_s=2)
    server.fail("create", "deployments", cut=True, done=True)
    with pytest.raises(ApiException) as busy:
        api.create_namespaced_deployment(NAMESPACE, deployment())
    assert busy.value.status == 429 and busy.value.headers["Retry-After"] == "2"
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.create_namespaced_deployment(NAMESPACE, deployment())
    assert server.names("apps", "deployments", NAMESPACE) == ["egoreact"], "it took effect before the cut"


def test_a_log_is_followed_to_its_end_or_cut(server):
    api = kubernetes.client.CoreV1Api(server.client())
    server.write_log(NAMESPACE, "pod", "one", "two", end=True)
    assert api.read_namespaced_pod_log("pod", NAMESPACE) == "one\ntwo\n"
    server.fail("log", "pods", cut=True, pieces=1)
    stream = api.read_namespaced_pod_log("pod", NAMESPACE, follow=True, _preload_content=False)
    with pytest.raises(urllib3.exceptions.HTTPError):
        stream.read()


@pytest.mark.parametrize(("good", "reason"), [(True, "NewReplicaSetAvailable"), (False, "ProgressDeadlineExceeded")])
def test_a_rollout_becomes_available_or_passes_its_deadline(server, good, reason):
    api = kubernetes.client.AppsV1Api(server.client())
    with DeploymentController(server, ready=lambda _: good, deadline_s=0.05):
        api.create_namespaced_deployment(NAMESPACE, deployment())

        def reasons():
            status = server.get("apps", "deployments", NAMESPACE, "egoreact").get("status", {})
            return [each["reason"] for each in status.get("conditions", [])]

        assert server.store.wait(lambda: reason in reasons(), 5)
