"""What tests of RayJobs share: the repository's template, a strict look at a RayJob's fields, requests."""

import json
import time
from pathlib import Path

import kubernetes.client
from kubernetes_objects import Object
from kubernetes_server import KubernetesServer

from components.cluster_api import Cluster
from components.train.ray_manifest import RESULT_LABEL, JobRequest, ray_job
from egoreact.presets import WorkersConfig

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "kubernetes" / "base" / "ray-job.yaml"
FIELDS = json.loads((ROOT / "infra" / "check" / "rayjob_fields.json").read_text())["fields"]
IMAGE = f"registry/egoreact-train@sha256:{'0' * 64}"
NAMESPACE = "team"
PYTHON_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}


def unknown_fields(job: Object) -> list[str]:
    """Paths below `spec` that KubeRay's CRD does not have, or that are of another type. Pod templates are not looked into."""
    wrong = []

    def look(path: str, value: object) -> None:
        kind, _, choices = FIELDS.get(path, "").partition(" ")
        if not kind:
            wrong.append(path)
            return
        if kind != "any" and not isinstance(value, PYTHON_TYPES[kind]):
            wrong.append(f"{path} is no {kind}")
        if choices and value not in choices.split("|"):
            wrong.append(f"{path} is none of {choices}")
        known = [name for name in FIELDS if name.startswith((f"{path}.", f"{path}[]"))]
        if isinstance(value, dict) and known:
            for name, part in value.items():
                look(f"{path}.{name}", part)
        if isinstance(value, list):
            for part in value:
                look(f"{path}[]", part)

    look("spec", job["spec"])
    return wrong


def request(run: str = "run-1", result: str = "same", **changes: object) -> JobRequest:
    values: dict = {
        "name": f"egoreact-tokenizer-{run}",
        "image": IMAGE,
        "entrypoint": ("python", "-m", "components.train.job_entry", "--exchange", "/workspace/jobs/a"),
        "workers": WorkersConfig(),
        "labels": {RESULT_LABEL: result},
        "environment": {},
    }
    return JobRequest(**(values | changes))


def manifest(run: str = "run-1", **changes: object) -> Object:
    return ray_job(TEMPLATE.read_text(), request(run, **changes), {})


def cluster_of(server: KubernetesServer) -> Cluster:
    """Pauses of at most 20 ms."""
    configuration = kubernetes.client.Configuration(host=server.url)
    configuration.retries = False
    api = kubernetes.client.ApiClient(configuration)
    return Cluster(api, NAMESPACE, sleep=lambda seconds: time.sleep(min(seconds, 0.02)))
