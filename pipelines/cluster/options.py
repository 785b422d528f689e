"""Options that `submit` and `schedule` share: what is to run, and where; and all that is looked at before it does."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from egoreact.errors import EgoReactError

if TYPE_CHECKING:
    from pipelines.cluster.client import Access
    from pipelines.cluster.package import Package


@dataclass(frozen=True)
class Work:
    """What is to run.

    Args:
        pipeline: which one.
        preset: size of the run: tiny, demo, or paper, which needs GPUs.
        seed: of data, training and evaluation.
        config: JSON file of a whole run configuration, instead of preset and seed.
        parameters: more of the pipeline's parameters, each NAME=VALUE.
        pods: resources of the steps' pods; auto takes gpu where the configuration's workers have GPUs.
        gpu_nodes: label=value of the nodes with GPUs; nvidia.com/gpu.present=true where not given.
        max_gpus: refuse a run one step of which needs more; EGOREACT_MAX_GPUS where not given.
        without_secret: the pods have an identity of their own and need no keys of S3.
        image: the steps' image, by digest; EGOREACT_STEP_IMAGE where not given.
        allow_tag: take an image that is named by a tag: what runs may then change without notice.
    """

    pipeline: Literal["training", "retraining"] = "training"
    preset: str = "demo"
    seed: int = 0
    config: Path | None = None
    parameters: tuple[str, ...] = ()
    pods: Literal["auto", "cpu", "gpu"] = "auto"
    gpu_nodes: str | None = None
    max_gpus: int | None = None
    without_secret: bool = False
    image: str | None = None
    allow_tag: bool = False


@dataclass(frozen=True)
class Place:
    """Where it runs.

    Args:
        host: address of Kubeflow Pipelines; KF_PIPELINES_ENDPOINT where not given.
        token_file: file with the bearer token, read anew for each request; KFP_TOKEN_FILE, or the token itself in KFP_TOKEN.
        ca_file: certificates to trust instead of the usual ones.
        namespace: of the runs; EGOREACT_NAMESPACE where not given, needed where the cluster has several.
        service_account: that the steps' pods run as.
    """

    host: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    namespace: str | None = None
    service_account: str = "egoreact-pipeline"

    def access(self) -> "Access":
        """Raises:
        EgoReactError: no address, or a token that cannot be read or has expired.
        """
        from pipelines.cluster.client import Access

        return Access.from_environment(self.host, self.token_file, self.namespace, self.ca_file)


WorkOptions = Annotated[Work, arg(name="")]
PlaceOptions = Annotated[Place, arg(name="")]


@dataclass(frozen=True)
class Ready:
    """Work that has passed every check that needs nothing created."""

    package: "Package"
    arguments: Mapping[str, Any]
    access: "Access"
    preset: str


def prepare(work: Work, place: Place) -> Ready:
    """Compiles, and looks at everything that can be wrong. What could not be looked at is told on stderr.

    Raises:
        EgoReactError: the first thing that is wrong; nothing has been created.
    """
    from egoreact.presets import RunConfig, by_name
    from pipelines.cluster.checks import check_cluster, check_gpus_limit
    from pipelines.cluster.package import make, plan_of
    from pipelines.cluster.submit import arguments_of

    config = by_name(work.preset, seed=work.seed) if work.config is None else RunConfig.from_file(work.config)
    access = place.access()
    wants = config.workers.gpus > 0
    if work.pods == "cpu" and wants:
        raise EgoReactError(f"its workers need {config.workers.gpus} GPU each", where=f"config {config.name}", remedy="take --pods gpu, or another preset")  # fmt: skip
    pods: Literal["cpu", "gpu"] = "gpu" if work.pods == "gpu" or wants else "cpu"
    plan = plan_of(pods, gpu_nodes=work.gpu_nodes, worker_gpus=config.workers.gpus)
    gpus = plan.gpus(config.workers.count)
    check_gpus_limit(gpus, work.max_gpus)
    package = make(work.pipeline, plan, image=work.image, allow_tag=work.allow_tag)
    arguments = arguments_of(package, config, work.parameters)
    side_by_side = plan.gpus_side_by_side(config.workers.count)
    namespace = access.namespace or "kubeflow"
    notes = check_cluster(namespace, gpus=gpus, side_by_side=side_by_side, secret=not work.without_secret)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return Ready(package, arguments, access, config.name)
