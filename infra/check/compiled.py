"""The compiled pipelines: strictly what Kubeflow Pipelines reads, with every reference leading somewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Rendered, read_all
from infra.check.security import image_findings
from infra.check.sources import ROOT

PIPELINES = ROOT / "tests" / "golden"
NAMES = ("training", "retraining")
NEVER_CACHED = ("promote", "release", "report")
"""Components with effects outside their artifacts."""
YAML_BOOLEANS = ("y", "n", "yes", "no", "on", "off", "true", "false")
RECOMPILE = "compile it again: egoreact pipeline compile"


def check_compiled(folder: Path = PIPELINES, cluster: Rendered | None = None) -> Iterator[Finding]:
    """Args:
    folder: of training.yaml and retraining.yaml.
    cluster: whose ConfigMaps and claims the pods must find; not judged where not given.
    """
    for name in NAMES:
        path = folder / f"{name}.yaml"
        if not path.is_file():
            yield Finding(str(path), "is not there", RECOMPILE)
            continue
        documents = read_all(path.read_text())
        spec, platform = documents[0], documents[1] if len(documents) > 1 else {}
        yield from _parsed(path.name, spec, platform)
        yield from _references(path.name, spec)
        yield from _rules(path.name, spec)
        yield from _platform(path.name, spec, platform, cluster)


def _parsed(where: str, spec: Manifest, platform: Manifest) -> Iterator[Finding]:
    """As protobuf: an unknown field or a wrong type is refused."""
    from google.protobuf import json_format
    from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

    parts = [(where, spec, PipelineSpec()), (f"{where} platform", platform, PlatformSpec())]
    for label, config in _executors(platform).items():
        parts.append((f"{where} {label}", config, KubernetesExecutorConfig()))
    for place, part, message in parts:
        try:
            json_format.ParseDict(part, message)
        except json_format.ParseError as error:
            yield Finding(place, f"is refused ({str(error).splitlines()[0][:200]})", RECOMPILE)


def _executors(platform: Manifest) -> dict[str, Any]:
    kubernetes = (platform.get("platforms") or {}).get("kubernetes") or {}
    return (kubernetes.get("deploymentSpec") or {}).get("executors") or {}


def _references(where: str, spec: Manifest) -> Iterator[Finding]:
    components, executors = spec.get("components") or {}, (spec.get("deploymentSpec") or {}).get("executors") or {}
    for name, component in components.items():
        label = component.get("executorLabel")
        if label is not None and label not in executors:
            yield Finding(f"{where} {name}", f"there is no executor {label}", RECOMPILE)
        if "dag" in component:
            yield from _dag(f"{where} {name}", component, components)
    yield from _dag(f"{where} root", spec.get("root") or {}, components)


def _dag(where: str, owner: Manifest, components: dict[str, Any]) -> Iterator[Finding]:
    tasks = (owner.get("dag") or {}).get("tasks") or {}
    for name, task in tasks.items():
        here = f"{where} task {name}"
        if (task.get("componentRef") or {}).get("name") not in components:
            yield Finding(here, f"there is no component {(task.get('componentRef') or {}).get('name')}", RECOMPILE)
        for other in set(task.get("dependentTasks") or ()) - tasks.keys():
            yield Finding(here, f"waits for {other}, which is no task", RECOMPILE)
        inputs = task.get("inputs") or {}
        for source in [*(inputs.get("parameters") or {}).values(), *(inputs.get("artifacts") or {}).values()]:
            yield from _source(here, source, owner, tasks, components)
    for selectors in _outputs(owner):
        producer, key = selectors.get("producerSubtask"), selectors.get("outputParameterKey") or selectors.get("outputArtifactKey")  # fmt: skip
        if producer not in tasks or key not in _given(tasks[producer], components):
            yield Finding(where, f"gives {producer}.{key}, which nobody makes", RECOMPILE)


def _source(
    where: str, source: Manifest, owner: Manifest, tasks: dict[str, Any], components: dict[str, Any]
) -> Iterator[Finding]:
    """Where a task's input comes from: another task, or its own dag's input."""
    for field, key in (("taskOutputParameter", "outputParameterKey"), ("taskOutputArtifact", "outputArtifactKey")):
        if field in source:
            producer, name = source[field].get("producerTask"), source[field].get(key)
            if producer not in tasks:
                yield Finding(where, f"producerTask {producer} is no task", RECOMPILE)
            elif name not in _given(tasks[producer], components):
                yield Finding(where, f"{producer} gives no {name}", RECOMPILE)
    final = (source.get("taskFinalStatus") or {}).get("producerTask")
    if final is not None and final not in tasks:
        yield Finding(where, f"producerTask {final} is no task", RECOMPILE)
    defined = owner.get("inputDefinitions") or {}
    for field, kind in (("componentInputParameter", "parameters"), ("componentInputArtifact", "artifacts")):
        if field in source and source[field] not in (defined.get(kind) or {}):
            yield Finding(where, f"takes {source[field]}, which its pipeline is not given", RECOMPILE)


def _given(task: Manifest, components: dict[str, Any]) -> set[str]:
    made = (components.get((task.get("componentRef") or {}).get("name", "")) or {}).get("outputDefinitions") or {}
    return {*(made.get("parameters") or {}), *(made.get("artifacts") or {})}


def _outputs(owner: Manifest) -> Iterator[Manifest]:
    outputs = (owner.get("dag") or {}).get("outputs") or {}
    for parameter in (outputs.get("parameters") or {}).values():
        if "valueFromParameter" in parameter:
            yield parameter["valueFromParameter"]
        yield from (parameter.get("valueFromOneof") or {}).get("parameterSelectors") or ()
    for artifact in (outputs.get("artifacts") or {}).values():
        yield from artifact.get("artifactSelectors") or ()


def _rules(where: str, spec: Manifest) -> Iterator[Finding]:
    for label, executor in ((spec.get("deploymentSpec") or {}).get("executors") or {}).items():
        image = (executor.get("container") or {}).get("image")
        if image:
            yield from image_findings(f"{where} {label}", image)
    owners = {"root": spec.get("root") or {}, **(spec.get("components") or {})}
    for name, owner in owners.items():
        for parameter in ((owner.get("inputDefinitions") or {}).get("parameters")) or {}:
            if parameter.lower() in YAML_BOOLEANS:
                what = f"parameter {parameter} is read as a boolean"
                yield Finding(f"{where} {name}", what, "give it a longer name")
        for task_name, task in ((owner.get("dag") or {}).get("tasks") or {}).items():
            component = (task.get("componentRef") or {}).get("name", "").removeprefix("comp-")
            if component in NEVER_CACHED and (task.get("cachingOptions") or {}).get("enableCache"):
                yield Finding(f"{where} task {task_name}", "may be skipped by the cache", "switch its caching off")


def _platform(where: str, spec: Manifest, platform: Manifest, cluster: Rendered | None) -> Iterator[Finding]:
    executors = (spec.get("deploymentSpec") or {}).get("executors") or {}
    for label, config in _executors(platform).items():
        here = f"{where} {label}"
        if label not in executors:
            yield Finding(here, "there is no such executor", RECOMPILE)
        if cluster is None:
            continue
        for reference in (*(config.get("configMapAsEnv") or ()), *(config.get("configMapAsVolume") or ())):
            yield from _config_map(here, cluster, reference)
        for reference in (*(config.get("secretAsEnv") or ()), *(config.get("secretAsVolume") or ())):
            name = _name(reference, "secretName", "secretNameParameter")
            keys = {each.get("secretKey") for each in reference.get("keyToEnv") or ()}
            for key in keys - cluster.brought.get(name, frozenset()):
                what = f"takes {key} of Secret {name}, which nobody is told to bring"
                yield Finding(here, what, "describe it in infra/kubernetes/secrets.example.yaml")
        for mount in config.get("pvcMount") or ():
            name = _name(mount, "constant", "pvcNameParameter")
            if name and cluster.get("PersistentVolumeClaim", name) is None:
                yield Finding(here, f"mounts claim {name}, which is not in {cluster.name}", "add it to the manifests")


def _config_map(where: str, cluster: Rendered, reference: Manifest) -> Iterator[Finding]:
    name = _name(reference, "configMapName", "configMapNameParameter")
    found = cluster.get("ConfigMap", name)
    if found is None:
        yield Finding(where, f"takes ConfigMap {name}, which is not in {cluster.name}", "add it to the manifests")
        return
    if reference.get("optional"):
        return
    keys = {each.get("configMapKey") for each in reference.get("keyToEnv") or ()}
    for key in keys - (found.get("data") or {}).keys():
        yield Finding(where, f"takes {key} of ConfigMap {name}, which has none", "add it to the manifests")


def _name(reference: Manifest, plain: str, parameter: str) -> str:
    """kfp-kubernetes writes a name plainly, as a constant, or both."""
    given = (reference.get(parameter) or {}).get("runtimeValue", {}).get("constant")
    return str(reference.get(plain) or given or "")
