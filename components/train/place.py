"""Where a training runs: in this process, or on a Ray cluster of its own where `EGOREACT_RAY_IMAGE` names its image.

Both call the same functions of `components.train.step`. The settings are the environment's, never a pipeline's parameters:

EGOREACT_RAY_IMAGE    image of Ray's pods, by digest; without it the step trains in its own process
EGOREACT_RAY_STORAGE  an address that pyarrow writes to (s3://bucket/folder), for checkpoints and for what step and
                      cluster hand each other; without it the workspace, which all pods mount
EGOREACT_RAY_QUEUE    Kueue's LocalQueue, where jobs are queued
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.train.exchange import ERROR, RESULT, Exchange
from egoreact.errors import EgoReactError
from egoreact.files import sha256_bytes, sha256_json
from egoreact.presets import RunConfig
from egoreact.provenance import code_digest
from egoreact.vision.backbones import BackbonesConfig
from egoreact.weights import network_digest
from egoreact.workspace import Workspace

if TYPE_CHECKING:
    from kfp import dsl

    from components.cluster_api import Cluster

log = logging.getLogger(__name__)
IMAGE, STORAGE, QUEUE = "EGOREACT_RAY_IMAGE", "EGOREACT_RAY_STORAGE", "EGOREACT_RAY_QUEUE"
RUN = "EGOREACT_PIPELINE_RUN"
"""The pipeline run that a step is of."""
JOBS = "jobs"
"""Folder beside the checkpoints: a folder a job, gone when the step has taken its result."""


def train(
    kind: str,
    config: str,
    data_revision: str,
    quarantine: Path,
    out: Path,
    inputs: Mapping[str, Path] | None = None,
    task: "dsl.TaskConfig | None" = None,
) -> None:
    """Teaches one network and writes its folder.

    Args:
        kind: encoder, tokenizer or reaction.
        config: `RunConfig` as JSON.
        quarantine: file that names the clips to leave out.
        inputs: folders of the networks that it builds on, by the names of `run_…`'s parameters.
        task: what was set on the pipeline's task, for the workers' pods.

    Raises:
        EgoReactError: the configuration, the data, or the cluster; one line.
    """
    inputs = dict(inputs or {})
    if os.environ.get(IMAGE) and _is_distributed(kind, config):
        on_ray_cluster(kind, config, data_revision, quarantine, out, inputs, asdict(task) if task else {})
        return
    from components.train import step

    run: Any = {"encoder": step.run_encoder, "tokenizer": step.run_tokenizer, "reaction": step.run_reaction}[kind]
    run(config, data_revision, quarantine, **inputs, out=out)


def on_ray_cluster(
    kind: str,
    config: str,
    data_revision: str,
    quarantine: Path,
    out: Path,
    inputs: Mapping[str, Path],
    task: Mapping[str, Any],
    cluster: "Cluster | None" = None,
) -> None:
    """`train` on a RayJob: prepares the data, hands over what it needs, waits, and takes the result.

    Args:
        task: fields of a `dsl.TaskConfig`.
        cluster: of this pod by default.
    """
    from components.cluster_api import Cluster
    from components.train.initial import initial_bundle
    from components.train.ray_job import JobEndedError, Pod, RayJob, read_template
    from components.train.ray_manifest import RESULT_LABEL, RUN_LABEL, JobRequest, ray_job
    from components.train.step import prepare_data

    cluster = cluster or Cluster.of_this_pod(f"{IMAGE} is set")
    run_config = RunConfig.from_json(config)
    quarantined = quarantine.read_text()
    digests = [network_digest(inputs[name]) for name in sorted(inputs)]
    # The data revision names the files, the code digest what is done with them: the same of all is the same result.
    decides = [kind, run_config.digest, data_revision, code_digest(), sha256_bytes(quarantined.encode()), *digests]
    run, image = os.environ.get(RUN, ""), os.environ[IMAGE]
    name = f"egoreact-{kind}-{sha256_json([run, image, *decides])[:12]}"
    exchange = Exchange(f"{storage()}/{JOBS}/{name}")
    labels = {RESULT_LABEL: sha256_json(decides)[:16], RUN_LABEL: run, "egoreact.io/step": kind}
    pod = Pod.from_environment()
    request = JobRequest(
        name=name,
        image=image,
        entrypoint=("python", "-m", "components.train.job_entry", "--exchange", exchange.address),
        workers=run_config.workers,
        labels={label: value for label, value in labels.items() if _is_label(value)},
        environment={RUN: run} if run else {},
        queue=os.environ.get(QUEUE) or None,
        owner=pod.owner_reference if pod else None,
    )
    manifest = ray_job(read_template(cluster), request, task)
    if exchange.fetch_result(out):
        log.info("RayJob %s handed its result back before", name)
        exchange.remove()
        return
    prepare_data(data_revision)
    if run_config.initial:
        initial_bundle(run_config.initial)  # Ray's pods find it in the workspace
    parameters = {"config": config, "data_revision": data_revision, "quarantine": quarantined}

    job = RayJob(
        cluster,
        manifest,
        pod=pod,
        before_start=lambda: exchange.send_request(kind, parameters, inputs),
        handed_back=lambda: exchange.read_note(RESULT) is not None,
        failed_for_good=lambda: _mistake(exchange),
    )
    try:
        job.run()
    except JobEndedError as error:
        raise _told(exchange, error) from error
    if not exchange.fetch_result(out):
        raise EgoReactError(
            f"RayJob {name} succeeded and handed nothing back",
            where=exchange.address,
            remedy="check that Ray's pods and steps share this storage, and start the run again",
        )
    exchange.remove()


def storage() -> str:
    """Where checkpoints of distributed trainings and hand-overs are: an address, or the workspace's folder."""
    return (os.environ.get(STORAGE) or str(Workspace.from_environment().training)).rstrip("/")


def _is_distributed(kind: str, config: str) -> bool:
    """Published backbones are taken as they are: nothing to start a cluster for."""
    return kind != "encoder" or not isinstance(RunConfig.from_json(config).encoder.model, BackbonesConfig)


def _is_label(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value) is not None


def _mistake(exchange: Exchange) -> str | None:
    note = exchange.read_note(ERROR)
    return str(note["what"]) if note and note.get("final") else None


def _told(exchange: Exchange, ended: Exception) -> EgoReactError:
    """The head's own words where it could write them down, else the operator's."""
    note = exchange.read_note(ERROR)
    if note:
        return EgoReactError(f"{note['what']} ({ended})", where=note["where"], remedy=note["remedy"])
    return EgoReactError(
        str(ended),
        where="training on Ray",
        remedy="look at its events and its head's log (kubectl describe rayjob); started again, it goes on from its newest checkpoint",
    )
