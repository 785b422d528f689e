"""What is compiled for a cluster: golden files, references, images, caching, GPUs; and the step that tells a run's end."""

from pathlib import Path
from typing import Any, Literal

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from egoreact import cli
from pipelines.cluster.package import Package, make, plan_of
from pipelines.training import ON_GPU, OPTIONAL_SECRET_NAMES, OPTIONAL_SETTING_NAMES, SECRET_NAMES, SETTING_NAMES

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGE = "egoreact/step@sha256:" + "0" * 64
NEVER_CACHED = {"promote", "release", "report", "commit-dataset", "ingest-shards", "retrained", "unchanged"}
NAMES: list[Literal["training", "retraining"]] = ["training", "retraining"]


@pytest.fixture(scope="module", params=NAMES)
def package(request: pytest.FixtureRequest) -> Package:
    return make(request.param, plan_of("gpu"), image=IMAGE)


def tasks(package: Package) -> dict[str, dict[str, Any]]:
    dags = [package.spec["root"], *package.spec["components"].values()]
    return {name: task for dag in dags for name, task in dag.get("dag", {}).get("tasks", {}).items()}


def platform(package: Package) -> dict[str, dict[str, Any]]:
    return package.documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_it_is_the_golden_file(package: Package) -> None:
    name = package.name.removeprefix("egoreact-")
    again = f"egoreact pipeline compile tests/golden/{name}.yaml --pipeline {name} --pods gpu --image {IMAGE}"
    assert package.text == (GOLDEN / f"{name}.yaml").read_text(), f"where that is meant: {again}"


def test_it_parses_strictly_and_leads_nowhere_that_is_not_there(package: Package) -> None:
    spec = package.spec
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)
    executors = spec["deploymentSpec"]["executors"]
    for dag in [spec["root"], *spec["components"].values()]:
        inner = dag.get("dag", {}).get("tasks", {})
        for name, task in inner.items():
            component = spec["components"][task["componentRef"]["name"]]
            assert "dag" in component or component["executorLabel"] in executors
            assert set(task.get("dependentTasks", [])) <= set(inner), name
            for source in task.get("inputs", {}).get("parameters", {}).values():
                producers = [each["producerTask"] for each in source.values() if isinstance(each, dict) and "producerTask" in each]  # fmt: skip
                assert set(producers) <= set(inner), name
    assert set(platform(package)) == set(executors)


def test_its_end_is_always_told(package: Package) -> None:
    report = package.spec["root"]["dag"]["tasks"]["report"]
    assert report["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert report["inputs"]["parameters"]["outcome"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    assert package.steps[-1] == "report"
    assert set(package.spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "report"}


def test_steps_come_after_what_they_depend_on(package: Package) -> None:
    steps = package.steps
    assert len(steps) == len(set(steps)) == len(package.spec["deploymentSpec"]["executors"])
    order = ["validate-alignment", "train-encoder", "train-reaction", "evaluate", "promote", "release", "report"]
    assert [step for step in steps if step in order] == order


def test_what_acts_is_never_skipped(package: Package) -> None:
    for name, task in tasks(package).items():
        if name in NEVER_CACHED:
            assert not task.get("cachingOptions", {}).get("enableCache"), name


def test_every_image_is_by_digest(package: Package) -> None:
    images = {each["container"]["image"] for each in package.spec["deploymentSpec"]["executors"].values()}
    assert images == {IMAGE}


def test_pods_with_gpus_run_where_gpus_are(package: Package) -> None:
    executors, extra = package.spec["deploymentSpec"]["executors"], platform(package)
    for name, executor in executors.items():
        gpu = executor["container"]["resources"].get("accelerator")
        assert ("tolerations" in extra[name]) == ("nodeSelector" in extra[name]) == (gpu is not None), name
        if gpu is not None:
            assert gpu["resourceType"] == "nvidia.com/gpu"
            assert extra[name]["nodeSelector"] == {"labels": {"nvidia.com/gpu.present": "true"}}
            assert extra[name]["tolerations"] == [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]  # fmt: skip


def test_trainings_hand_their_settings_on_to_their_workers(package: Package) -> None:
    for name in ("comp-train-encoder", "comp-train-tokenizer", "comp-train-reaction"):
        component = package.spec["components"][name]
        passed = {each["field"] for each in component["taskConfigPassthroughs"]}
        assert {"RESOURCES", "KUBERNETES_TOLERATIONS", "KUBERNETES_NODE_SELECTOR", "ENV"} <= passed
        assert component["inputDefinitions"]["parameters"]["task_config"]["parameterType"] == "TASK_CONFIG"


def test_every_pod_knows_its_run_settings_and_secrets_by_reference_only(package: Package) -> None:
    for name, extra in platform(package).items():
        assert {"name": "EGOREACT_PIPELINE_RUN", "fieldPath": "metadata.labels['pipeline/runid']"} in extra[
            "fieldPathAsEnv"
        ]
        required, optional = extra["configMapAsEnv"]
        assert {each["configMapKey"] for each in required["keyToEnv"]} == set(SETTING_NAMES), name
        assert {each["configMapKey"] for each in optional["keyToEnv"]} == set(OPTIONAL_SETTING_NAMES)
        (secret,) = extra["secretAsEnv"]
        assert {each["secretKey"] for each in secret["keyToEnv"]} == set(SECRET_NAMES + OPTIONAL_SECRET_NAMES)
        assert (secret["secretName"], secret["optional"]) == ("egoreact", True)
        assert extra["pvcMount"][0]["mountPath"] == "/workspace"


def test_the_version_is_the_content(package: Package) -> None:
    name = package.name.removeprefix("egoreact-")
    other = make(name, plan_of("gpu"), image=IMAGE.replace("0", "1"))  # type: ignore[arg-type]
    assert other.version != package.version == make(name, plan_of("gpu"), image=IMAGE).version  # type: ignore[arg-type]


def test_other_nodes_and_more_gpus_a_worker_can_be_named() -> None:
    named = make("training", plan_of("gpu", gpu_nodes="pool=a100", worker_gpus=2), image=IMAGE)
    assert platform(named)["exec-train-reaction"]["nodeSelector"] == {"labels": {"pool": "a100"}}
    container = named.spec["deploymentSpec"]["executors"]["exec-train-reaction"]["container"]
    assert container["resources"]["accelerator"]["resourceCount"] == "2"


def test_a_gang_of_workers_is_what_a_step_needs_most() -> None:
    assert ON_GPU.gpus(4) == 4 and ON_GPU.gpus(1) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--image", "egoreact/step:latest"], "is not named by digest; give --image NAME@sha256:"),
        (["--image", IMAGE[:-1]], "is no image's name"),
        ([], "is not named by digest"),
        (["--image", "a b", "--allow-tag"], "image a b: is no image's name; give"),
        (["pipeline.json", "--image", IMAGE], "pipeline.json: is no name for a compiled pipeline; let it end in .yaml"),
        (["/proc/none/pipeline.yaml", "--image", IMAGE], "/proc/none/pipeline.yaml: cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["pipeline", "compile", *arguments]) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_tag_is_taken_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert cli.main(["pipeline", "compile", str(path), "--image", "egoreact/step:trial", "--allow-tag"]) == 0
    assert "image: egoreact/step:trial\n" in path.read_text()
