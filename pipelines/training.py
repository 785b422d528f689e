"""The whole workflow as one pipeline: data set, gate, four trainings, evaluation, promotion, release.

The same function is compiled for a cluster and run on one machine by `pipelines.local`. The data set is never an
artifact: steps pass its DVC revision and find the files in the data folder.

Caching: a step is skipped where the same configuration, data revision and code made its outputs before, so all three
are among its inputs. Steps with effects outside their artifacts are never skipped, and quick where nothing changed.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

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
SECRET_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
VOLUME = "egoreact-workspace"
"""PersistentVolumeClaim that all steps share: workspace and data folder."""
MOUNT = "/workspace"


@dataclass(frozen=True)
class Resources:
    """What a pod may use, in Kubernetes' units. One machine ignores it."""

    cpu: str
    memory: str
    gpus: int = 0


@dataclass(frozen=True)
class Plan:
    """Resources by kind of step."""

    light: Resources = Resources("1", "2Gi")
    data: Resources = Resources("4", "8Gi")
    training: Resources = Resources("2", "6Gi")
    evaluation: Resources = Resources("2", "6Gi")


ON_CPU = Plan()
ON_GPU = Plan(
    data=Resources("16", "32Gi"),
    training=Resources("8", "64Gi", gpus=1),
    evaluation=Resources("8", "32Gi", gpus=1),
)


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
        built = _placed(build_dataset(config=config, code_digest=code_digest), plan.data, cached=False)
        versioned = _placed(version_dataset(manifest_digest=built.output), plan.light, cached=False, retries=2)
        origin = {"data_revision": versioned.output, "code_digest": code_digest}

        gate = _placed(validate_alignment(**origin, max_failing_fraction=max_failing_fraction), plan.data)
        usable = {"config": config, **origin, "quarantine": gate.outputs["quarantine"]}

        encoder = _placed(train_encoder(**usable), plan.training, retries=1)
        evaluator = _placed(train_evaluator(**usable), plan.training, retries=1)
        tokenizer = _placed(train_tokenizer(**usable), plan.training, retries=1)
        features = _placed(
            extract_features(config=config, data_revision=versioned.output, encoder=encoder.outputs["encoder"]),
            plan.evaluation,
            cached=False,
        )
        reaction = _placed(
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
        evaluated = _placed(evaluate(**usable, **judged, features_digest=features.output), plan.evaluation)

        promoted = _placed(
            promote(
                config=config,
                data_revision=versioned.output,
                quarantine=gate.outputs["quarantine"],
                record=evaluated.outputs["record"],
                **judged,
            ),
            plan.evaluation,
            cached=False,
        )
        with dsl.If(promoted.outputs["Output"] == True, name="promoted"):  # noqa: E712 - KFP records the comparison
            released = release(
                version=promoted.outputs["version"], digest=promoted.outputs["digest"], code_digest=code_digest
            )
            _placed(released, plan.light, cached=False, retries=2)

        return Outcome(
            promoted=promoted.outputs["Output"],
            version=promoted.outputs["version"],
            digest=promoted.outputs["digest"],
            record=evaluated.outputs["record"],
            decision=promoted.outputs["decision"],
        )

    return pipeline


def _placed(task: dsl.PipelineTask, resources: Resources, *, cached: bool = True, retries: int = 0) -> dsl.PipelineTask:
    """Gives a task its pod's resources, settings, secrets, volume, cache and retries."""
    task.set_cpu_limit(resources.cpu).set_memory_limit(resources.memory).set_caching_options(cached)
    if resources.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(resources.gpus)
    if retries:
        task.set_retry(retries, backoff_duration="30s", backoff_factor=2.0)
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in SETTING_NAMES})
    kubernetes.use_secret_as_env(task, SETTINGS, {name: name for name in SECRET_NAMES}, optional=True)
    kubernetes.mount_pvc(task, VOLUME, MOUNT)
    return task


training_pipeline = training_pipeline_on(ON_CPU)
