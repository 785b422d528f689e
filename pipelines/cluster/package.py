"""A pipeline as a cluster runs it: the one that `pipelines.local` runs, and around it the step that tells the outcome.

Compiled, it is a file whose digest names its version: the same code, image and plan are the same version.
"""

import inspect
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import yaml

from egoreact.errors import EgoReactError
from egoreact.files import sha256_bytes

if TYPE_CHECKING:
    from pipelines.training import Plan

Name = Literal["training", "retraining"]
Pods = Literal["cpu", "gpu"]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C takes a tenth of the time


@dataclass(frozen=True)
class Package:
    """A compiled pipeline: name and text of its file."""

    name: str
    text: str

    @property
    def version(self) -> str:
        """The first 16 hexadecimal digits of the file's SHA-256."""
        return sha256_bytes(self.text.encode())[:16]

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """The pipeline, and what only Kubernetes reads of it."""
        return list(yaml.load_all(self.text, Loader=_LOADER))

    @property
    def spec(self) -> dict[str, Any]:
        """The pipeline without what only Kubernetes reads."""
        return self.documents[0]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Name → what the file says of it: `parameterType`, `isOptional`, `defaultValue`."""
        return self.spec["root"].get("inputDefinitions", {}).get("parameters", {})

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps that run in pods, in the order they can run in, the one that tells the outcome last."""
        return tuple(self._steps(self.spec["root"]))

    def _steps(self, dag: dict[str, Any]) -> list[str]:
        tasks = dag["dag"]["tasks"]
        found: list[str] = []
        for name in _in_order(tasks):
            component = self.spec["components"][tasks[name]["componentRef"]["name"]]
            found += self._steps(component) if "dag" in component else [name]
        return found


def plan_of(pods: Pods, *, gpu_nodes: str | None = None, worker_gpus: int = 1) -> "Plan":
    """The resources of that name.

    Args:
        gpu_nodes: `label=value` of the nodes that pods with GPUs run on.
        worker_gpus: GPUs of each worker of a training, where the pods have any.

    Raises:
        EgoReactError: the label is none.
    """
    from pipelines.training import ON_CPU, ON_GPU

    if gpu_nodes is not None and not all(gpu_nodes.partition("=")):
        remedy = "give NAME=VALUE: kubectl get nodes --show-labels"
        raise EgoReactError(f"'{gpu_nodes}' is no label", where="--gpu-nodes", remedy=remedy)
    if pods == "cpu":
        return ON_CPU
    plan = replace(ON_GPU, training=replace(ON_GPU.training, gpus=max(worker_gpus, 1)))
    if gpu_nodes is None:
        return plan
    return replace(plan, **{kind: replace(getattr(plan, kind), gpu_nodes=gpu_nodes) for kind in vars(plan)})


@cache
def make(pipeline: Name, plan: "Plan", *, image: str | None, allow_tag: bool = False) -> Package:
    """Compiles a pipeline for a cluster.

    Args:
        image: of the steps; `EGOREACT_STEP_IMAGE` where not given.
        allow_tag: take an image that is not named by digest.

    Raises:
        EgoReactError: the image is named by a tag.
    """
    from components.images import STEP_IMAGE, check_image

    chosen = image or STEP_IMAGE
    check_image(chosen, allow_tag=allow_tag)
    from pipelines.runner import compile_pipeline

    function = told(_function(pipeline, plan))
    with TemporaryDirectory(prefix="egoreact-compile-") as folder:
        path = compile_pipeline(function, Path(folder) / "pipeline.yaml")
        text = path.read_text()
    # The components were given the environment's image when they were imported.
    text = re.sub(rf"(?m)^( +image: ){re.escape(STEP_IMAGE)}$", rf"\g<1>{chosen}", text)
    return Package(function.name, text)


def told(pipeline: Any) -> Any:
    """The pipeline under an exit handler: when it has ended, however it has, the step `report` runs.

    It has the same name and parameters. Its outputs stay inside: Kubeflow Pipelines lets none out of an exit handler.
    """
    from kfp import dsl

    from components.report.component import report
    from pipelines.training import Plan, placed

    signature = inspect.signature(pipeline.pipeline_func)
    names = list(signature.parameters)

    def outer(*arguments: Any) -> None:
        last = report(pipeline=pipeline.name, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        with dsl.ExitHandler(placed(last, Plan.light, cached=False), name="pipeline"):
            pipeline(**dict(zip(names, arguments, strict=True)))

    outer.__signature__ = signature.replace(return_annotation=inspect.Signature.empty)  # type: ignore[attr-defined]
    outer.__doc__ = pipeline.pipeline_func.__doc__
    return dsl.pipeline(name=pipeline.name, description=pipeline.description)(outer)


def _function(pipeline: Name, plan: "Plan") -> Any:
    if pipeline == "training":
        from pipelines.training import training_pipeline_on

        return training_pipeline_on(plan)
    from pipelines.retraining import retraining_pipeline_on

    return retraining_pipeline_on(plan)


def _in_order(tasks: dict[str, Any]) -> list[str]:
    """Each task after those it depends on; otherwise as they stand in the file."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for before in tasks[name].get("dependentTasks", []):
                visit(before)
            order.append(name)

    for name in tasks:
        visit(name)
    return order
