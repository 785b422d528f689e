"""The whole workflow as one pipeline: data set, gate, four trainings, evaluation, promotion, release.

The same function is compiled for a cluster and run on one machine by `pipelines.local`. The data set is never an
artifact: steps pass its DVC revision and find the files in the data folder. `pipelines.cluster.package` puts the step
that tells a run's outcome around it.

What a pod may use and where it may run is said once, on its task. The training steps hand it on to the workers of
their RayJob (`dsl.TaskConfig`).

Caching: a step is skipped where the same configuration, data revision and code made its outputs before, so all three
are among its inputs. Steps with effects outside their artifacts are never skipped, and quick where nothing changed.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from kfp import dsl, kubernetes
from kfp.dsl import Artifact

from components.build_dataset.component import build_dataset
from components.evaluate.component import evaluate
from components.extract_features.component import extract_features
from components.promote.component import promote
from components.release.component import release
from components.train.component import train_encoder, train_evaluator, train_reaction, train_tokenizer
from components.validate_alignment.component import validate_alignment
from components.version_dataset.component import version_dataset

NAME = "egoreact-training"
SETTINGS = "egoreact"
"""ConfigMap and Secret of this name hold what differs between clusters."""
SETTING_NAMES = ("EGOREACT_HOME", "EGOREACT_DATA", "EGOREACT_DVC_REMOTE", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL")
"""Keys that the ConfigMap must have: a pod whose key is missing never starts."""
OPTIONAL_SETTING_NAMES = (
    "EGOREACT_RAY_IMAGE",
    "EGOREACT_RAY_STORAGE",
    "EGOREACT_RAY_QUEUE",
    "EGOREACT_DEPLOYMENT",
    "EGOREACT_NAMESPACE",
    "EGOREACT_SERVICE_URL",
    "EGOREACT_GIT_REMOTE",
    "AWS_DEFAULT_REGION",
)
SECRET_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Keys of the Secret; pods with an identity of their own need none."""
OPTIONAL_SECRET_NAMES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "EGOREACT_TOKEN", "EGOREACT_WEBHOOK")
RUN_ID = "EGOREACT_PIPELINE_RUN"
"""Each pod's environment names the pipeline run it is of, from the label that Kubeflow Pipelines gives it."""
VOLUME = "egoreact-workspace"
"""PersistentVolumeClaim that all steps share: workspace and data folder."""
MOUNT = "/workspace"
USER = 10001
"""Of the images: namespaces that enforce Pod Security want it said as a number."""


GPU = "nvidia.com/gpu"
GPU_NODES = "nvidia.com/gpu.present=true"
"""Label of nodes with GPUs, as NVIDIA's feature discovery sets it."""


@dataclass(frozen=True)
class Resources:
    """What a pod may use, in Kubernetes' units. One machine ignores it.

    Args:
        gpus: a pod with any tolerates the taint of GPU nodes and runs on nodes with this label only.
        gpu_nodes: `label=value`.
    """

    cpu: str
    memory: str
    gpus: int = 0
    gpu_nodes: str = GPU_NODES


@dataclass(frozen=True)
class Plan:
    """Resources by kind of step."""

    light: Resources = Resources("1", "2Gi")
    data: Resources = Resources("4", "8Gi")
    training: Resources = Resources("2", "6Gi")
    evaluation: Resources = Resources("2", "6Gi")

    def gpus(self, workers: int) -> int:
        """The most that one step of a run needs at once: a training has `workers` pods, any other step one."""
        return max(self.training.gpus * workers, self.light.gpus, self.data.gpus, self.evaluation.gpus)

    def gpus_side_by_side(self, workers: int) -> int:
        """The most that a run needs so that no step waits: encoder and tokenizer on workers, the evaluator in its pod."""
        return max(self.gpus(workers), self.training.gpus * (2 * workers + 1))


ON_CPU = Plan()
ON_GPU = Plan(
    data=Resources("16", "32Gi"),
    training=Resources("8", "64Gi", gpus=1),
    evaluation=Resources("8", "32Gi", gpus=1),
)


Input: TypeAlias = Any
"""Of a component, while a pipeline is made: a value, a parameter of the pipeline, or another task's output. KFP types none."""


class Outcome(NamedTuple):
    """What a run gives: whether its bundle is the champion now, the champion, and the two documents about it."""

    promoted: bool
    version: str
    digest: str
    record: Artifact
    decision: Artifact


@cache
def training_pipeline_on(plan: Plan):
    """The pipeline whose pods get these resources. Its steps and its wiring are the same for every plan."""

    @dsl.pipeline(name=NAME, description="Data set to released reaction model")
    def pipeline(config: str, code_digest: str, max_failing_fraction: float) -> Outcome:
        """Args:
        config: `RunConfig` as JSON.
        code_digest: digest of the project's sources; steps run again where it differs.
        max_failing_fraction: share of the clips that may fail the alignment gate, 0 to 1.
        """
        built = placed(build_dataset(config=config, code_digest=code_digest), plan.data, cached=False)
        versioned = placed(version_dataset(manifest_digest=built.output), plan.light, cached=False, retries=2)
        taught = teach(config, versioned.output, code_digest, max_failing_fraction, plan)
        release_where_promoted(taught.promoted, code_digest, plan)
        champion = taught.promoted.outputs
        return Outcome(
            promoted=champion["Output"],
            version=champion["version"],
            digest=champion["digest"],
            record=taught.evaluated.outputs["record"],
            decision=champion["decision"],
        )

    return pipeline


class Taught(NamedTuple):
    """The tasks of a teaching that others build on."""

    gate: dsl.PipelineTask
    evaluated: dsl.PipelineTask
    promoted: dsl.PipelineTask


def teach(config: Input, data_revision: Input, code_digest: Input, max_failing_fraction: Input, plan: Plan) -> Taught:
    """From a data revision to a decision: gate, four trainings, evaluation, promotion. Called inside a pipeline.

    Args:
        config, data_revision, code_digest, max_failing_fraction: the pipeline's parameters, or outputs of tasks.
    """
    origin = {"data_revision": data_revision, "code_digest": code_digest}
    gate = placed(validate_alignment(**origin, max_failing_fraction=max_failing_fraction), plan.data)
    usable = {"config": config, **origin, "quarantine": gate.outputs["quarantine"]}

    encoder = placed(train_encoder(**usable), plan.training, retries=1)
    evaluator = placed(train_evaluator(**usable), plan.training, retries=1)
    tokenizer = placed(train_tokenizer(**usable), plan.training, retries=1)
    features = placed(
        extract_features(config=config, data_revision=data_revision, encoder=encoder.outputs["encoder"]),
        plan.evaluation,
        cached=False,
    )
    reaction = placed(
        train_reaction(
            **usable,
            features_digest=features.output,
            encoder=encoder.outputs["encoder"],
            tokenizer=tokenizer.outputs["tokenizer"],
        ),
        plan.training,
        retries=1,
    )
    judged = {"bundle": reaction.outputs["bundle"], "evaluator": evaluator.outputs["evaluator"]}
    evaluated = placed(evaluate(**usable, **judged, features_digest=features.output), plan.evaluation)
    promoted = placed(
        promote(
            config=config,
            data_revision=data_revision,
            quarantine=gate.outputs["quarantine"],
            record=evaluated.outputs["record"],
            **judged,
        ),
        plan.evaluation,
        cached=False,
    )
    return Taught(gate, evaluated, promoted)


def release_where_promoted(promoted: dsl.PipelineTask, code_digest: Input, plan: Plan) -> None:
    """Releases the champion that `promoted` made. Called inside a pipeline, last: what follows would be conditional too."""
    champion = promoted.outputs
    with dsl.If(champion["Output"] == True, name="promoted"):  # noqa: E712 - KFP records the comparison
        released = release(version=champion["version"], digest=champion["digest"], code_digest=code_digest)
        # Not tried again by the cluster: a release that failed has set the champion back.
        placed(released, plan.light, cached=False)


def placed(task: dsl.PipelineTask, resources: Resources, *, cached: bool = True, retries: int = 0) -> dsl.PipelineTask:
    """Gives a task its pod's resources, nodes, settings, secrets, volume, cache and retries."""
    task.set_cpu_limit(resources.cpu).set_memory_limit(resources.memory).set_caching_options(cached)
    if resources.gpus:
        task.set_accelerator_type(GPU).set_accelerator_limit(resources.gpus)
        label, _, value = resources.gpu_nodes.partition("=")
        kubernetes.add_node_selector(task, label, value)
        kubernetes.add_toleration(task, key=GPU, operator="Exists", effect="NoSchedule")
    if retries:
        task.set_retry(retries, backoff_duration="30s", backoff_factor=2.0)
    kubernetes.use_field_path_as_env(task, RUN_ID, "metadata.labels['pipeline/runid']")
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in SETTING_NAMES})
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in OPTIONAL_SETTING_NAMES}, optional=True)
    secrets = SECRET_NAMES + OPTIONAL_SECRET_NAMES
    kubernetes.use_secret_as_env(task, SETTINGS, {name: name for name in secrets}, optional=True)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.mount_pvc(task, VOLUME, MOUNT)
    return task


training_pipeline = training_pipeline_on(ON_CPU)
