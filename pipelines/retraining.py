"""The workflow on new data: shards that were dropped at a source become a revision, and that a new model, if it is better.

It ends early, and says so, where there is no reason to train: see `components.ingest_shards.step`. Otherwise the steps
are those of the training pipeline. Whose weights they start from, the champion's or none, is said in the run's
configuration, which the ingesting step gives on: so it decides what is reused from earlier runs, as all of that does.
"""

from functools import cache
from typing import NamedTuple

from kfp import dsl

from components.ingest_shards.component import ingest_shards
from components.outcome.component import retrained, unchanged
from components.version_dataset.component import commit_dataset
from pipelines.training import ON_CPU, Plan, placed, release_where_promoted, teach

NAME = "egoreact-retraining"


class Outcome(NamedTuple):
    """What a run gives: whether it trained, why, the data revision, and its end as JSON (`components.outcome.step`)."""

    trained: bool
    why: str
    data_revision: str
    outcome: str


@cache
def retraining_pipeline_on(plan: Plan):
    """The pipeline whose pods get these resources. Its steps and its wiring are the same for every plan."""

    @dsl.pipeline(name=NAME, description="New shards to released reaction model")
    def pipeline(
        config: str, code_digest: str, max_failing_fraction: float, source: str, from_scratch: bool = False
    ) -> Outcome:
        """Args:
        config: `RunConfig` as JSON.
        code_digest: digest of the project's sources; steps run again where it differs.
        max_failing_fraction: share of the clips that may fail the alignment gate, 0 to 1.
        source: where new shards are dropped: a folder that all steps reach, or s3://bucket/prefix.
        from_scratch: start from fresh weights instead of the champion's.
        """
        ingested = placed(
            ingest_shards(
                source=source,
                config=config,
                max_failing_fraction=max_failing_fraction,
                from_scratch=from_scratch,
            ),
            plan.data,
            cached=False,
            retries=2,
        )
        with dsl.If(ingested.outputs["Output"] == True, name="new-data"):  # noqa: E712 - KFP records the comparison
            data_revision = ingested.outputs["data_revision"]
            taught = teach(ingested.outputs["config"], data_revision, code_digest, max_failing_fraction, plan)
            commit = commit_dataset(data_revision=data_revision).after(taught.gate)
            placed(commit, plan.light, cached=False, retries=2)
            champion = taught.promoted.outputs
            ended = retrained(
                promoted=champion["Output"],
                version=champion["version"],
                digest=champion["digest"],
                decision=champion["decision"],
            )
            placed(ended, plan.light, cached=False)
            release_where_promoted(taught.promoted, code_digest, plan)
        with dsl.Else(name="nothing-new"):
            stopped = placed(unchanged(why=ingested.outputs["why"]), plan.light, cached=False)

        return Outcome(
            trained=ingested.outputs["Output"],
            why=ingested.outputs["why"],
            data_revision=ingested.outputs["data_revision"],
            outcome=dsl.OneOf(ended.output, stopped.output),
        )

    return pipeline


retraining_pipeline = retraining_pipeline_on(ON_CPU)
