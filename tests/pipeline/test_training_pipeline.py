"""The compiled training pipeline: the same bytes each time, strictly valid, nothing dangling, nothing a cluster mistakes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.runner import compile_pipeline
from pipelines.training import ON_CPU, ON_GPU, training_pipeline_on

STEPS = {
    "build-dataset",
    "version-dataset",
    "validate-alignment",
    "train-encoder",
    "extract-features",
    "train-evaluator",
    "train-tokenizer",
    "train-reaction",
    "evaluate",
    "promote",
    "release",
}
NEVER_CACHED = {"build-dataset", "version-dataset", "extract-features", "promote", "release"}
YAML_1_1_BOOLEANS = {"y", "n", "yes", "no", "on", "off", "true", "false"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = compile_pipeline(training_pipeline_on(ON_CPU), tmp_path_factory.mktemp("compiled") / "pipeline.yaml")
    return list(yaml.safe_load_all(path.read_text()))


def tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    dags = [spec["root"], *spec["components"].values()]
    return {name: task for dag in dags for name, task in dag.get("dag", {}).get("tasks", {}).items()}


def test_two_processes_compile_the_same_bytes(tmp_path: Path) -> None:
    program = "import sys; from pipelines.cluster.commands import pipeline_compile; from pathlib import Path; pipeline_compile(Path(sys.argv[1]), allow_tag=True)"
    for name in ("a.yaml", "b.yaml"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, capture_output=True)
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


def test_it_parses_strictly(documents: list[dict[str, Any]]) -> None:
    spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    assert spec.pipeline_info.name == "egoreact-training"


def test_every_step_is_there_and_every_reference_leads_somewhere(documents: list[dict[str, Any]]) -> None:
    spec = documents[0]
    found = tasks(spec)
    assert set(found) - {"condition-1"} == STEPS
    executors = spec["deploymentSpec"]["executors"]
    for task in found.values():
        implementation = spec["components"][task["componentRef"]["name"]]
        assert implementation.get("executorLabel") in executors or "dag" in implementation
    for dag in [spec["root"], *spec["components"].values()]:
        inner = dag.get("dag", {}).get("tasks", {})
        for name, task in inner.items():
            assert set(task.get("dependentTasks", [])) <= set(inner), name
            for kind in ("parameters", "artifacts"):
                for source in task.get("inputs", {}).get(kind, {}).values():
                    _check_source(spec, inner, dag, source)


def _check_source(spec: dict, inner: dict, dag: dict, source: dict) -> None:
    for kind, definitions in (("taskOutputParameter", "parameters"), ("taskOutputArtifact", "artifacts")):
        if kind in source:
            producer = spec["components"][inner[source[kind]["producerTask"]]["componentRef"]["name"]]
            key = source[kind].get("outputParameterKey") or source[kind].get("outputArtifactKey")
            assert key in producer["outputDefinitions"][definitions]
    if "componentInputParameter" in source:
        assert source["componentInputParameter"] in dag["inputDefinitions"]["parameters"]


def test_steps_with_effects_are_never_cached_and_the_others_know_code_and_data(documents: list[dict[str, Any]]) -> None:
    for name, task in tasks(documents[0]).items():
        if name == "condition-1":
            continue
        cached = task.get("cachingOptions", {}).get("enableCache", False)
        assert cached == (name not in NEVER_CACHED), name
        if cached:
            assert {"code_digest", "data_revision"} <= set(task["inputs"]["parameters"]), name


def test_the_data_set_is_no_artifact(documents: list[dict[str, Any]]) -> None:
    for name in ("comp-build-dataset", "comp-version-dataset", "comp-extract-features"):
        assert "artifacts" not in documents[0]["components"][name].get("outputDefinitions", {})


def test_release_waits_for_promotion(documents: list[dict[str, Any]]) -> None:
    condition = tasks(documents[0])["condition-1"]["triggerPolicy"]["condition"]
    assert "promote-Output" in condition and "true" in condition


def test_every_pod_has_limits_settings_and_the_volume(documents: list[dict[str, Any]]) -> None:
    executors = documents[0]["deploymentSpec"]["executors"]
    platform = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == len(STEPS)
    for name, executor in executors.items():
        resources = executor["container"]["resources"]
        assert resources["resourceCpuLimit"] and resources["resourceMemoryLimit"], name
        assert platform[name]["pvcMount"], name
        assert platform[name]["configMapAsEnv"], name
        assert platform[name]["secretAsEnv"][0]["optional"], name


def test_gpu_pods_have_gpus(tmp_path: Path) -> None:
    spec = next(yaml.safe_load_all(compile_pipeline(training_pipeline_on(ON_GPU), tmp_path / "gpu.yaml").read_text()))
    executors = spec["deploymentSpec"]["executors"]
    with_gpu = {name for name, executor in executors.items() if "accelerator" in executor["container"]["resources"]}
    assert with_gpu == {
        f"exec-{name}"
        for name in (
            "train-encoder",
            "train-evaluator",
            "train-tokenizer",
            "train-reaction",
            "extract-features",
            "evaluate",
            "promote",
        )
    }


def test_no_name_that_yaml_1_1_reads_as_a_boolean(documents: list[dict[str, Any]]) -> None:
    """KFP's compiler in Go reads such keys so."""

    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {str(key).lower() for key in value} | {n for v in value.values() for n in names(v)}
        return {n for v in value for n in names(v)} if isinstance(value, list) else set()

    assert not names(documents) & YAML_1_1_BOOLEANS


def test_nothing_of_this_machine_is_in_it(documents: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump_all(documents)
    assert str(Path.home()) not in text.replace("/root/", "") or str(Path.home()) == "/root"
    assert str(Path(__file__).parents[2]) not in text
