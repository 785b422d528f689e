"""Each check of the cluster's files finds what it is there for: a rendered manifest is broken, and the check names it."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.check import __main__ as command
from infra.check import manifests
from infra.check.checks import OF_CLUSTERS
from infra.check.compiled import PIPELINES, check_compiled
from infra.check.findings import Finding
from infra.check.images import check_images
from infra.check.manifests import KUBERNETES, OVERLAYS, SECRETS, Manifest, Rendered, read_all, render
from infra.check.names import BESIDES, CALLS, calls
from infra.check.quantities import quantity
from infra.check.workflows import check_workflows, commands


@pytest.fixture(scope="module")
def sound() -> Rendered:
    return render(OVERLAYS / "gpu")


class Broken:
    """A copy of a rendered overlay, to break."""

    def __init__(self, cluster: Rendered):
        self.objects = copy.deepcopy(list(cluster.objects))
        self.templates = copy.deepcopy(list(cluster.templates))
        self.cluster = replace(cluster, objects=tuple(self.objects), templates=tuple(self.templates))

    def get(self, kind: str, name: str = "egoreact") -> Manifest:
        found = self.cluster.get(kind, name)
        assert found is not None, (kind, name)
        return found

    def pod(self, kind: str = "Deployment", name: str = "egoreact") -> Manifest:
        return self.get(kind, name)["spec"]["template"]["spec"]

    def container(self, kind: str = "Deployment", name: str = "egoreact") -> Manifest:
        return self.pod(kind, name)["containers"][0]

    def variable(self, name: str) -> Manifest:
        return next(each for each in self.container()["env"] if each["name"] == name)

    def add(self, text: str) -> None:
        self.cluster = replace(self.cluster, objects=(*self.cluster.objects, *read_all(text)))

    def remove(self, kind: str, name: str) -> None:
        kept = tuple(each for each in self.cluster.objects if each is not self.get(kind, name))
        self.cluster = replace(self.cluster, objects=kept)

    @property
    def job(self) -> Manifest:
        return self.templates[0]["spec"]

    @property
    def alerts(self) -> list[Manifest]:
        return self.get("PrometheusRule")["spec"]["groups"][0]["rules"]


def _rule(broken: Broken, resource: str) -> Manifest:
    rules = broken.get("Role", "egoreact-pipeline")["rules"]
    return next(rule for rule in rules if resource in rule["resources"])


EXTRA_SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {password: correct horse}\n"
CLUSTER_ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\nrules: []\n"

BREAKS: list[tuple[str, Callable[[Broken], Any], str]] = [
    ("schemas", lambda b: b.pod().update(hostNetworking=True), "hostNetworking"),
    ("schemas", lambda b: b.container().update(image=7), "Deployment/egoreact"),
    ("schemas", lambda b: b.get("Service")["spec"]["ports"][0].update(port="80"), "Service/egoreact"),
    ("schemas", lambda b: b.get("PodDisruptionBudget").update(apiVersion="policy/v1beta1"), "is unknown"),
    ("schemas", lambda b: b.get("ServiceMonitor")["spec"]["endpoints"][0].update(intervall="15s"), "intervall"),
    ("schemas", lambda b: b.alerts[0].update(expr=1), "expr is 1, no string"),
    ("schemas", lambda b: b.job.update(ttlSecondsAfterFinish=1), "spec.ttlSecondsAfterFinish"),
    ("schemas", lambda b: b.job.update(backoffLimit="2"), "spec.backoffLimit is '2', no integer"),
    ("schemas", lambda b: b.job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(x=1), "RayJob/egoreact-training head"),
    ("quantities", lambda b: b.container()["resources"]["limits"].update(memory="16Mib"), "limits.memory is '16Mib'"),
    ("quantities", lambda b: b.container()["resources"]["requests"].update(cpu="64"), "over its limit"),
    ("quantities", lambda b: b.container()["resources"].pop("requests"), "no resources.requests.cpu"),
    ("quantities", lambda b: b.get("ResourceQuota")["spec"]["hard"].update(pods="ten"), "hard.pods is 'ten'"),
    ("quantities", lambda b: b.get("PersistentVolumeClaim", "egoreact-workspace")["spec"]["resources"]["requests"].update(storage="1 Ti"), "storage"),
    ("quantities", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["target"].update(averageValue="six"), "averageValue"),
    ("selectors", lambda b: b.get("Deployment")["spec"]["selector"]["matchLabels"].update(tier="front"), "does not take its own pods"),
    ("selectors", lambda b: b.get("Service", "mlflow")["spec"]["selector"].update(tier="back"), "Service/mlflow: its selector"),
    ("selectors", lambda b: b.get("Service")["spec"]["ports"][0].update(targetPort="web"), "targetPort web"),
    ("selectors", lambda b: b.get("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(x="y"), "takes no pod"),
    ("selectors", lambda b: b.get("NetworkPolicy", "egoreact-mlflow")["spec"]["ingress"][0]["from"][1]["podSelector"]["matchLabels"].update(x="y"), "egoreact-mlflow ingress"),
    ("selectors", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="react"), "Deployment/react"),
    ("selectors", lambda b: b.get("StatefulSet", "mlflow-postgres")["spec"].update(serviceName="db"), "serviceName db"),
    ("selectors", lambda b: b.get("ServiceMonitor")["spec"]["endpoints"][0].update(port="metrics"), "port metrics"),
    ("selectors", lambda b: b.get("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="web"), "Service web"),
    ("selectors", lambda b: b.get("Ingress")["spec"]["tls"][0].update(hosts=["other.example"]), "other.example"),
    ("duplicates", lambda b: b.container()["env"].append({"name": "EGOREACT_LOG", "value": "text"}), "variable EGOREACT_LOG is there twice"),
    ("duplicates", lambda b: b.pod()["volumes"].append({"name": "scratch", "emptyDir": {}}), "volume scratch is there twice"),
    ("duplicates", lambda b: b.add(yaml.safe_dump(b.get("Service", "mlflow"))), "Service/mlflow: is there twice"),
    ("pod security", lambda b: b.pod().update(hostNetwork=True), "hostNetwork is set"),
    ("pod security", lambda b: b.pod()["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "is a hostPath"),
    ("pod security", lambda b: b.container()["securityContext"].update(allowPrivilegeEscalation=True), "allowPrivilegeEscalation"),
    ("pod security", lambda b: b.container()["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "capabilities"),
    ("pod security", lambda b: b.pod()["securityContext"].pop("runAsNonRoot"), "runAsNonRoot is not true"),
    ("pod security", lambda b: b.pod()["securityContext"].update(runAsUser=0), "runAsUser is 0"),
    ("pod security", lambda b: b.pod("StatefulSet", "mlflow-postgres")["securityContext"].pop("seccompProfile"), "mlflow-postgres container postgres: has no seccompProfile"),
    ("pod security", lambda b: b.container()["ports"][0].update(hostPort=3000), "hostPort 3000"),
    ("policies", lambda b: b.container().update(image="egoreact/serve:latest"), "may be another tomorrow"),
    ("policies", lambda b: b.container().update(image="egoreact/serve"), "has no tag"),
    ("policies", lambda b: b.container()["securityContext"].pop("readOnlyRootFilesystem"), "root file system can be written"),
    ("policies", lambda b: b.pod("Deployment", "mlflow").pop("automountServiceAccountToken"), "default account's token"),
    ("policies", lambda b: b.add(EXTRA_SECRET), "Secret/keys: is a secret in the repository"),
    ("policies", lambda b: b.add(SECRETS.read_text()), "Secret/egoreact-mlflow: is the example"),
    ("policies", lambda b: _rule(b, "rayjobs").update(verbs=["*"]), "verbs has *"),
    ("policies", lambda b: _rule(b, "secrets").pop("resourceNames"), "every secret"),
    ("policies", lambda b: b.add(CLUSTER_ROLE), "ClusterRole/all: reaches beyond the namespace"),
    ("references", lambda b: b.remove("PersistentVolumeClaim", "egoreact-workspace"), "claims egoreact-workspace"),
    ("references", lambda b: b.remove("ServiceAccount", "egoreact-service"), "runs as egoreact-service"),
    ("references", lambda b: b.get("ConfigMap")["data"].pop("EGOREACT_HOME"), "has no key EGOREACT_HOME"),
    ("references", lambda b: b.pod()["volumes"][1]["secret"].update(secretName="tokens"), "Secret tokens"),
    ("references", lambda b: b.container("Deployment", "mlflow")["env"][1]["valueFrom"]["secretKeyRef"].update(key="uri"), "no key uri"),
    ("references", lambda b: b.container()["volumeMounts"][0].update(name="work"), "mounts work"),
    ("references", lambda b: b.get("RoleBinding", "egoreact-pipeline")["subjects"][0].update(name="default"), "is for default"),
    ("references", lambda b: b.get("Ingress")["spec"]["tls"][0].update(secretName="certificate"), "Secret certificate"),
    ("names", lambda b: b.get("ConfigMap")["data"].pop("EGOREACT_DATA"), "EGOREACT_DATA is missing"),
    ("names", lambda b: b.get("ConfigMap")["data"].update(EGOREACT_HOMES="/x"), "EGOREACT_HOMES reaches no step"),
    ("names", lambda b: b.get("ConfigMap")["data"].update(EGOREACT_HOME="/home/x"), "put it below /workspace"),
    ("names", lambda b: b.get("ConfigMap")["data"].update(MLFLOW_TRACKING_URI="http://tracking:5000"), "no Service"),
    ("names", lambda b: b.get("ConfigMap")["data"].update(MLFLOW_TRACKING_URI="http://mlflow.other:5000"), "--allowed-hosts lacks"),
    ("names", lambda b: b.get("ConfigMap")["data"].update(EGOREACT_DEPLOYMENT="react"), "no Deployment of this overlay"),
    ("names", lambda b: b.container().update(name="web"), "no container is named service"),
    ("names", lambda b: b.variable("EGOREACT_DRAIN_SECONDS").update(name="EGOREACT_DRAIN_S"), "nothing reads EGOREACT_DRAIN_S"),
    ("names", lambda b: b.remove("ServiceAccount", "egoreact-pipeline"), "no ServiceAccount egoreact-pipeline"),
    ("names", lambda b: b.remove("ConfigMap", "egoreact-ray-job"), "no ConfigMap egoreact-ray-job"),
    ("names", lambda b: _rule(b, "rayjobs")["verbs"].remove("delete"), "may not delete rayjobs.ray.io"),
    ("names", lambda b: _rule(b, "deployments")["verbs"].append("delete"), "may delete deployments.apps egoreact, which nothing needs"),
    ("serving", lambda b: b.pod().update(terminationGracePeriodSeconds=60), "terminationGracePeriodSeconds is 60"),
    ("serving", lambda b: b.variable("EGOREACT_DRAIN_SECONDS").update(value="30"), "a session lasts up to 600 s"),
    ("serving", lambda b: b.container().pop("lifecycle"), "no preStop"),
    ("serving", lambda b: b.variable("EGOREACT_TOKENS").update(value="/tokens.jsonl"), "no volume holds"),
    ("serving", lambda b: b.container()["livenessProbe"]["httpGet"].update(path="/health"), "livenessProbe asks for /health"),
    ("serving", lambda b: b.remove("HorizontalPodAutoscaler", "egoreact"), "nothing scales"),
    ("serving", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"].update(name="sessions"), "no series sessions"),
    ("serving", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"].update(name="egoreact_uploads"), "does not hand on egoreact_uploads"),
    ("serving", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["target"].update(averageValue="64"), "before pods are full"),
    ("serving", lambda b: b.get("HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"].update(stabilizationWindowSeconds=60), "scales down after 60 s"),
    ("serving", lambda b: b.get("Ingress")["metadata"]["annotations"].update({"haproxy.org/timeout-tunnel": "60s"}), "timeout-tunnel is '60s'"),
    ("serving", lambda b: b.get("Ingress")["spec"]["rules"][0]["http"]["paths"][0].update(pathType="Prefix"), "shows /livez"),
    ("monitoring", lambda b: b.alerts.pop(0), "are not those of alerts.yaml"),
    ("monitoring", lambda b: b.container()["resources"]["limits"].update(memory="5Gi"), "another limit than the container's 5 GiB"),
    ("monitoring", lambda b: b.variable("EGOREACT_DRAIN_SECONDS").update(value="900"), "EgoReactDrainsTooLong fires after 11 min"),
    ("monitoring", lambda b: b.get("ConfigMap", "egoreact-dashboard")["data"].update({"egoreact.json": "{}"}), "is not dashboard.json"),
    ("ray job", lambda b: b.job.pop("activeDeadlineSeconds"), "spec.activeDeadlineSeconds is not set"),
    ("ray job", lambda b: b.job.update(suspend=False), "spec.suspend is set"),
    ("ray job", lambda b: b.job["rayClusterSpec"]["workerGroupSpecs"][0].update(maxReplicas=9), "its whole gang"),
    ("ray job", lambda b: b.job["rayClusterSpec"].update(rayVersion="2.9.0"), "rayVersion is 2.9.0"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "break_it", "said"), BREAKS, ids=[f"{c}: {s}" for c, _, s in BREAKS])
def test_a_broken_manifest_is_named(check: str, break_it: Callable[[Broken], Any], said: str, sound: Rendered) -> None:
    broken = Broken(sound)
    break_it(broken)
    cluster = _changed(broken.cluster, sound) if check == "schemas" else broken.cluster  # it takes its time
    found = list(OF_CLUSTERS[check](cluster))
    assert any(said in f"{finding.where}: {finding.what}; {finding.remedy}" for finding in found), sorted(
        map(str, found)
    )
    assert all(finding.where and finding.what and finding.remedy for finding in found)


def _changed(broken: Rendered, sound: Rendered) -> Rendered:
    """Only the objects that differ. That the others are sound is tests/contracts/test_infra.py's."""
    objects = tuple(each for each in broken.objects if each not in sound.objects)
    return replace(
        broken, objects=objects, templates=tuple(each for each in broken.templates if each not in sound.templates)
    )


def test_every_check_is_tried() -> None:
    assert {check for check, _, _ in BREAKS} == set(OF_CLUSTERS)


def test_quantities_are_read_as_kubernetes_reads_them() -> None:
    from kubernetes.utils import parse_quantity

    for text in ("1", "0.5", "500m", "16Mi", "4Gi", "1Ti", "1k", "2M", "1e3", "12E", "100n", "+1", ".5"):
        assert quantity(text) == parse_quantity(text), text
    assert all(quantity(text) is None for text in ("16Mib", "1K", "NaN", "1 Gi", "", "Gi", "0x10", "1,5"))


def test_every_call_of_the_steps_has_a_right() -> None:
    assert "create_namespaced_custom_object" in calls() and "patch_namespaced_deployment" in calls()
    assert calls() <= CALLS.keys()
    assert not {right for right in BESIDES if right[3] in ("delete", "update", "*")}


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    for path in PIPELINES.glob("*training.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def _change(folder: Path, cluster: Rendered, change: Callable[[Manifest, Manifest], Any]) -> list[Finding]:
    """Breaks the training pipeline; gives what is found."""
    path = folder / "training.yaml"
    spec, platform = read_all(path.read_text())
    change(spec, platform)
    path.write_text("\n---\n".join(map(json.dumps, (spec, platform))))  # JSON is YAML, written faster
    return list(check_compiled(folder, cluster))


def _input(spec: Manifest) -> Manifest:
    """One that comes from another task."""
    for owner in (spec["root"], *spec["components"].values()):
        for task in owner.get("dag", {}).get("tasks", {}).values():
            for source in task.get("inputs", {}).get("parameters", {}).values():
                if "taskOutputParameter" in source:
                    return source["taskOutputParameter"]
    raise AssertionError("no task hands anything on")


def _first(folder: Manifest) -> Any:
    return next(iter(folder.values()))


COMPILED_BREAKS: list[tuple[str, Callable[[Manifest, Manifest], Any]]] = [
    ("is refused", lambda spec, platform: spec.update(pipelineinfo={})),
    ("is refused", lambda spec, platform: _first(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]).update(mounts=[])),
    ("producerTask nobody is no task", lambda spec, platform: _input(spec).update(producerTask="nobody")),
    ("gives no thing", lambda spec, platform: _input(spec).update(outputParameterKey="thing")),
    ("there is no executor", lambda spec, platform: spec["deploymentSpec"]["executors"].pop("exec-promote")),
    ("there is no component", lambda spec, platform: spec["components"].pop("comp-promote")),
    ("there is no such executor", lambda spec, platform: platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].update({"exec-x": {}})),
    ("may be another tomorrow", lambda spec, platform: spec["deploymentSpec"]["executors"]["exec-promote"]["container"].update(image="a/b:latest")),
    ("read as a boolean", lambda spec, platform: spec["root"]["inputDefinitions"]["parameters"].update(n={"parameterType": "STRING"})),
    ("mounts claim elsewhere", lambda spec, platform: _first(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])["pvcMount"][0].update(pvcNameParameter={"runtimeValue": {"constant": "elsewhere"}}, constant="elsewhere")),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change"), COMPILED_BREAKS, ids=[said for said, _ in COMPILED_BREAKS])
def test_a_broken_pipeline_is_named(
    said: str, change: Callable[[Manifest, Manifest], Any], compiled: Path, sound: Rendered
) -> None:
    found = _change(compiled, sound, change)
    assert any(said in finding.what for finding in found), list(map(str, found))


def test_a_cached_release_and_a_missing_pipeline_are_named(compiled: Path, sound: Rendered) -> None:
    (compiled / "retraining.yaml").unlink()

    def cache(spec: Manifest, platform: Manifest) -> None:
        for owner in (spec["root"], *spec["components"].values()):
            for task in owner.get("dag", {}).get("tasks", {}).values():
                if task["componentRef"]["name"] == "comp-release":
                    task["cachingOptions"] = {"enableCache": True}

    said = [finding.what for finding in _change(compiled, sound, cache)]
    assert "may be skipped by the cache" in said and "is not there" in said


def test_broken_workflows_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "on: push\njobs:\n  one:\n    steps:\n"
        "      - uses: actions/checkout@v5\n"
        "      - run: |\n"
        "          . .venv/bin/activate && egoreact pipelines run\n"
        "          X=1 egoreact pipeline compile out.yaml --podds gpu\n"
        "          make fly\n"
        "          echo ${{ github.event.pull_request.title }}\n"
    )
    (tmp_path / "b.yaml").write_text("on: [push\n")
    said = " | ".join(map(str, check_workflows(tmp_path)))
    for part in (
        "actions/checkout@v5 may be another tomorrow",
        "no command 'egoreact pipelines run'",
        "no option --podds",
        "no target 'fly'",
        "runs what others write",
        "has no permissions",
        "has no timeout-minutes",
        "b.yaml: is no YAML",
    ):
        assert part in said, said


def test_commands_of_a_script_are_told_apart() -> None:
    script = "make lint && A=1 egoreact ui --port 5 | tee x; (egoreact serve)\necho 'egoreact no'\negoreact a \\\n  --b ${{ c d }}\n"
    assert [words for words in commands(script) if words[0] == "egoreact"] == [
        ["egoreact", "ui", "--port", "5"],
        ["egoreact", "serve"],
        ["egoreact", "a", "--b", "x"],
    ]


def test_broken_dockerfiles_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.Dockerfile").write_text("FROM python:3.11-slim\nCOPY no-such-folder x\nCOPY tests x\nUSER app\n")
    (tmp_path / "b.Dockerfile").write_text(
        "FROM python:3.11.14-slim AS a\nFROM debian:12.1.0@sha256:0\nCOPY --from=a /x /x\n"
    )
    said = " | ".join(map(str, check_images(tmp_path)))
    for part in (
        "FROM python:3.11-slim may be another tomorrow",
        "FROM python:3.11-slim takes no digest",
        "has one stage",
        "its user is app",
        "copies no-such-folder, which is not there",
        "copies tests, which .dockerignore leaves out",
        "its user is root",
        "a.Dockerfile: its user has no name",
        "may have no `python`",
    ):
        assert part in said, said


def test_the_command_says_what_is_wrong_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(KUBERNETES.parent, tmp_path / "infra", ignore=shutil.ignore_patterns("check", "docker"))
    overlay = tmp_path / "infra" / "kubernetes" / "overlays" / "kind"
    shutil.copy(SECRETS, overlay)
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(
        kustomization.read_text().replace("  - ../../base", "  - ../../base\n  - secrets.example.yaml")
    )
    monkeypatch.setattr(command, "overlays", lambda: [overlay])
    monkeypatch.setattr(command, "run_all", lambda clusters: _only(clusters, "policies"))
    assert command.main([]) == 2
    shown = capsys.readouterr()
    assert "✗ 4" in shown.out and "policies" in shown.out and "kind" in shown.out
    assert (
        "error: [policies] kind Secret/egoreact: is the example, with REPLACE-ME in it; make it with kubectl"
        in shown.err
    )
    assert len(shown.err.splitlines()) == 4


def _only(clusters: Any, check: str) -> list[Any]:
    from infra.check.checks import Outcome

    return [Outcome(check, each.name, tuple(OF_CLUSTERS[check](each))) for each in clusters]


def test_a_kustomization_that_does_not_render_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [gone.yaml]\n")
    monkeypatch.setattr(command, "overlays", lambda: [tmp_path])
    assert command.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}: kubectl kustomize refuses it") and "gone.yaml" in line
    monkeypatch.setenv("PATH", "")
    assert command.main([]) == 2
    assert (
        capsys.readouterr().err
        == "error: kubectl: cannot be run; install kubectl 1.30 or newer; no cluster is needed\n"
    )


def test_what_a_step_makes_of_the_template_is_sound(sound: Rendered) -> None:
    from components.train.ray_manifest import GPU, JobRequest, ray_job
    from egoreact.presets import WorkersConfig

    request = JobRequest(
        name="reaction-0123456789abcdef",
        image=f"egoreact/train@sha256:{'0' * 64}",
        entrypoint=("python", "-m", "components.train.job_entry", "--exchange", "s3://egoreact/training"),
        workers=WorkersConfig(count=4, threads=8, gpus=1),
        labels={"egoreact.io/run": "1"},
        environment={"EGOREACT_PIPELINE_RUN": "1"},
        queue="training",
        owner={"apiVersion": "v1", "kind": "Pod", "name": "step", "uid": "1", "controller": True},
    )
    task = {
        "resources": {"limits": {"cpu": "8", "memory": "64Gi", GPU: "1"}},
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        "node_selector": {"nvidia.com/gpu.present": "true"},
    }
    template = sound.get("ConfigMap", "egoreact-ray-job")
    assert template is not None
    job = ray_job(template["data"]["ray-job.yaml"], request, task)
    made = replace(sound, objects=(), templates=(job,))
    assert list(OF_CLUSTERS["schemas"](made)) == []
    made = replace(sound, templates=(job,))
    for check in ("quantities", "selectors", "duplicates", "pod security", "policies", "references", "ray job"):
        assert list(map(str, OF_CLUSTERS[check](made))) == [], check


def test_the_ray_job_is_judged_where_it_is_missing(
    sound: Rendered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(manifests, "RAY_JOB", tmp_path / "none.yaml")
    (finding,) = OF_CLUSTERS["ray job"](replace(sound, templates=manifests.ray_job_templates()))
    assert finding.what == "is not there"
