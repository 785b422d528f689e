"""The template and what is made of it: fields that KubeRay knows, pods that Kubernetes and Pod Security take."""

import warnings

import kubernetes_validate
import pytest
import yaml
from ray_jobs import IMAGE, TEMPLATE, manifest, request, unknown_fields

from components.train.ray_manifest import GPU, QUEUE_LABEL, ray_job
from egoreact.errors import EgoReactError
from egoreact.presets import WorkersConfig

GPU_TASK = {
    "resources": {"limits": {"cpu": "8", "memory": "64G", GPU: "1"}, "requests": {"cpu": "4"}},
    "node_selector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": None,
    "env": [{"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "egoreact", "key": "AWS_ACCESS_KEY_ID"}}}],
    "volumes": [{"name": "egoreact-workspace", "persistentVolumeClaim": {"claimName": "egoreact-workspace"}}],
    "volume_mounts": [{"name": "egoreact-workspace", "mountPath": "/workspace"}],
}  # fmt: skip


def pods_of(job):
    cluster = job["spec"]["rayClusterSpec"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def check_pods(job):
    for template in pods_of(job):
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "a", **template["metadata"]}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kubernetes_validate.validate(pod, "1.34", strict=True)
        spec, container = template["spec"], template["spec"]["containers"][0]
        assert spec["securityContext"]["runAsNonRoot"] and isinstance(spec["securityContext"]["runAsUser"], int)
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"] and container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
        names = [each["name"] for each in container.get("env", [])]
        assert len(names) == len(set(names))


def test_the_template_is_a_rayjob_of_fields_that_kuberay_knows():
    job = yaml.safe_load(TEMPLATE.read_text())
    assert unknown_fields(job) == []
    check_pods(job)


@pytest.mark.parametrize("task", [{}, GPU_TASK], ids=["nothing set on the task", "a GPU task"])
def test_a_job_is_of_known_fields_with_one_gang_of_a_fixed_size(task):
    workers = WorkersConfig(count=3, gpus=1 if task else 0)
    job = ray_job(TEMPLATE.read_text(), request(workers=workers, queue="training"), task)
    assert unknown_fields(job) == []
    check_pods(job)
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] and spec["ttlSecondsAfterFinished"] and "suspend" not in spec
    assert spec["backoffLimit"] >= 1 and spec["activeDeadlineSeconds"] and spec["preRunningDeadlineSeconds"]
    assert "submitterPodTemplate" not in spec and not cluster["enableInTreeAutoscaling"]
    assert job["metadata"]["labels"][QUEUE_LABEL] == "training"
    [group] = cluster["workerGroupSpecs"]
    assert group["groupName"] == ("gpu" if task else "cpu")
    assert {group[name] for name in ("replicas", "minReplicas", "maxReplicas")} == {3}
    assert {pod["spec"]["containers"][0]["image"] for pod in pods_of(job)} == {IMAGE}


def test_what_is_set_once_on_the_task_reaches_the_workers():
    job = ray_job(TEMPLATE.read_text(), request(workers=WorkersConfig(gpus=1)), GPU_TASK)
    head, worker = (template["spec"] for template in pods_of(job))
    container = worker["containers"][0]
    wanted = {"cpu": "8", "memory": "64G", GPU: "1"}
    assert container["resources"] == {"requests": wanted, "limits": wanted}
    assert worker["nodeSelector"] == GPU_TASK["node_selector"] and worker["tolerations"] == GPU_TASK["tolerations"]
    for pod in (head, worker):
        assert GPU_TASK["env"][0] in pod["containers"][0]["env"]
        assert {volume["name"] for volume in pod["volumes"]} == {"egoreact-workspace", "scratch"}
        assert {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]} == {"/workspace", "/tmp"}
    assert GPU not in head["containers"][0]["resources"]["limits"] and "nodeSelector" not in head


def test_ray_s_pods_get_credentials_from_the_secret_by_reference():
    for template in pods_of(manifest()):
        assert {"secretRef": {"name": "egoreact", "optional": True}} in template["spec"]["containers"][0]["envFrom"]


@pytest.mark.parametrize(
    ("changes", "task", "said"),
    [
        ({"image": "registry/egoreact-train:latest"}, {}, "names no digest"),
        ({"workers": WorkersConfig(gpus=1)}, {"resources": {"limits": {"cpu": "2"}}}, "needs 1 nvidia.com/gpu"),
        ({"workers": WorkersConfig(gpus=2)}, GPU_TASK, "needs 2 nvidia.com/gpu, and its pod gets 1"),
        ({"workers": WorkersConfig(threads=4)}, {"resources": {"limits": {"cpu": "500m"}}}, "needs 4 cpu"),
        ({}, {"resources": {"limits": {"cpu": "two"}}}, "'two' is no quantity"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(changes, task, said):
    with pytest.raises(EgoReactError, match=said):
        ray_job(TEMPLATE.read_text(), request(**changes), task)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{", "is no RayJob"),
        ("kind: RayJob", "is no RayJob"),
        (TEMPLATE.read_text().replace("groupName: gpu", "groupName: other"), "cpu and gpu"),
        (TEMPLATE.read_text().replace("  backoffLimit", "  suspend: true\n  backoffLimit"), "belongs to Kueue"),
    ],
)
def test_a_spoilt_template_is_refused(template, said):
    with pytest.raises(EgoReactError, match=said) as refused:
        ray_job(template, request(), {})
    assert "egoreact-ray-job" in str(refused.value)
