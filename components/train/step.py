"""The four trainings: each prepares its samples, teaches through `fit_distributed`, and writes one folder.

A job's samples and checkpoints lie in the workspace under a name made of what decides its result (configuration, data,
code). So a step that was killed and started again goes on from its newest checkpoint, and another job never does.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from components.train.place import storage
from components.validate_alignment.step import read_quarantine
from components.version_dataset.dvc_data import current_revision, ensure_revision
from egoreact.errors import EgoReactError
from egoreact.evaluation.kept import Origin, keep_evaluator
from egoreact.files import sha256_json
from egoreact.hrd.clip import UNKNOWN, Split
from egoreact.hrd.dataset import data_folder, manifest_digest
from egoreact.hrd.shards import disk_errors_named, read_clips
from egoreact.models.bundle import Bundle, BundleManifest
from egoreact.models.reaction_gpt import ReactionGPT
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.motion.export import write_side_by_side
from egoreact.motion.representation import Normaliser
from egoreact.presets import RunConfig
from egoreact.progress import Progress
from egoreact.provenance import code_digest, git_commit, library_versions
from egoreact.streaming.session import react_to_frames
from egoreact.training.checkpoint import load_module
from egoreact.training.data import Motion, load_motion, load_pictures, usable_rows
from egoreact.training.encoder import make_encoder_learner, write_encoder_data
from egoreact.training.evaluator import train_evaluator
from egoreact.training.features import load_features
from egoreact.training.gpt import ReactionSamples, make_reaction_learner, samples_of, write_reaction_data
from egoreact.training.loop import FitResult, Learner, LoopConfig
from egoreact.training.ray_train import Resources, fit_distributed
from egoreact.training.tracking import Tracker, track
from egoreact.training.vqvae import make_tokenizer_learner, warn_of_empty_codes, write_tokenizer_data
from egoreact.training.waits import Waits, waits_of
from egoreact.vision.backbones import BackbonesConfig, load_backbones
from egoreact.vision.encoders import load_encoder
from egoreact.weights import load_network, network_digest, parameter_count, read_tensors, save_network
from egoreact.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """One training of a run: its configuration, its data, the folder of its checkpoints, and its run in MLflow."""

    kind: str
    config: RunConfig
    data_revision: str
    quarantined: frozenset[str]
    folder: Path
    tracker: Tracker

    @property
    def hrd(self) -> Path:
        return data_folder() / "hrd"

    def motion(self, split: Split) -> list[Motion]:
        return load_motion(self.hrd, usable_rows(self.hrd, split, self.quarantined))

    def initial(self, network: Literal["encoder", "tokenizer", "gpt"]) -> dict[str, str]:
        """The learner's argument that names the weights to start from; none from scratch."""
        if not self.config.initial:
            return {}
        from components.train.initial import initial_weights

        return {"initial": initial_weights(self.config.initial, network)}

    def fit(
        self, factory: Callable[..., Learner], arguments: dict[str, Any], loop: LoopConfig, workers: int
    ) -> FitResult:
        """Teaches, on so many workers; one that runs in this process has all of this machine's cores."""
        settings = self.config.workers
        here = workers == 1 and "RAY_ADDRESS" not in os.environ
        threads = (os.cpu_count() or 1) if here else settings.threads
        return fit_distributed(
            factory,
            arguments,
            loop,
            run_name=self.folder.name,
            storage=storage(),
            resources=Resources(workers, threads, settings.gpus),
            identity=self.folder.name,
            on_metrics=self.tracker.reporter(),
        )


@contextmanager
def _job(kind: str, config: str, data_revision: str, quarantine: Path, *inputs: str) -> Iterator[Job]:
    """Everything that a training starts from. `inputs` are digests of other networks that it builds on."""
    run_config = RunConfig.from_json(config)
    prepare_data(data_revision)
    quarantined = read_quarantine(quarantine)
    parts = [getattr(run_config, name) for name in _DECIDES[kind]]
    decides = [
        kind, data_revision, sorted(quarantined), code_digest(), *inputs,
        *(asdict(part) for part in parts), run_config.workers.count,
        *([run_config.initial] if run_config.initial and kind != "evaluator" else []),
    ]  # fmt: skip
    folder = Workspace.from_environment().training / f"{kind}-{sha256_json(decides)[:16]}"
    params = {name: asdict(part) for name, part in zip(_DECIDES[kind], parts, strict=True)}
    with track(
        f"{kind} {run_config.name}",
        params=params,
        tags={
            "kind": kind,
            "preset": run_config.name,
            "config_digest": run_config.digest,
            "data_revision": data_revision,
            "started_from": run_config.initial or "scratch",
        },
        group=group_name(run_config, data_revision),
    ) as tracker:
        tracker.log_data(data_revision, manifest_digest(data_folder() / "hrd"))
        with disk_errors_named(folder):
            yield Job(kind, run_config, data_revision, quarantined, folder, tracker)


def prepare_data(revision: str) -> None:
    """Makes sure that the data folder holds this revision. The image of Ray's pods has no DVC: the step has fetched it.

    Raises:
        EgoReactError: it does not, and cannot be fetched.
    """
    if importlib.util.find_spec("dvc") is not None:
        ensure_revision(data_folder(), revision)
    elif (here := current_revision(data_folder())) != revision:
        raise EgoReactError(
            f"holds data revision {here}, not {revision}",
            where=data_folder(),
            remedy="mount the steps' volume in Ray's pods, and start the training from its pipeline step",
        )


def group_name(config: RunConfig, data_revision: str) -> str:
    """Of the MLflow run that a pipeline run's steps are nested under."""
    return f"{config.name} {sha256_json([config.digest, data_revision, code_digest()])[:10]}"


_DECIDES = {
    "encoder": ("encoder", "encoder_loop"),
    "tokenizer": ("tokenizer", "tokenizer_loop"),
    "reaction": ("gpt", "gpt_loop"),
    "evaluator": ("evaluator",),
}


def run_encoder(config: str, data_revision: str, quarantine: Path, out: Path) -> None:
    """Teaches the frame encoder, or takes the published backbones as they are, and writes its folder."""
    with _job("encoder", config, data_revision, quarantine) as job:
        training = job.config.encoder
        if isinstance(training.model, BackbonesConfig):
            progress = Progress("taking published weights, nothing to train", 1, "encoder")
            backbones = load_backbones(training.model)
            job.tracker.set_tags({"encoder": training.model.description})
            job.tracker.log_metrics(0, {"parameters": parameter_count(backbones), "trained_parameters": 0})
            save_network(out, backbones, training.model)
            progress.advance(note=training.model.description)
            return
        data = job.folder / "pictures.safetensors"
        if not data.is_file():
            _write_pictures(job, data)  # and lets go of them: the workers read the file
        arguments: dict[str, Any] = {"data": str(data), "config": asdict(training), **job.initial("encoder")}
        result = job.fit(make_encoder_learner, arguments, job.config.encoder_loop, job.config.workers.count)
        learner = make_encoder_learner(**arguments)
        load_module(result.checkpoint, learner.module)
        save_network(out, learner.module, training.model)


def _write_pictures(job: Job, path: Path) -> None:
    training = job.config.encoder
    pictures, held_out = (
        load_pictures(
            job.hrd,
            usable_rows(job.hrd, split, job.quarantined),
            image_size_px=training.model.vit.image_size_px,
            side=training.model.depth_side,
            every=training.every,
        )
        for split in ("train", "val")
    )
    write_encoder_data(path, pictures, held_out)


def run_evaluator(config: str, data_revision: str, quarantine: Path, out: Path) -> None:
    """Teaches the evaluator on the data set that it will judge, writes its folder, and keeps it with the data set."""
    with _job("evaluator", config, data_revision, quarantine) as job:
        torch.set_num_threads(os.cpu_count() or 1)
        labelled = {
            split: [(m.features.numpy(), m.category) for m in job.motion(split) if m.category != UNKNOWN]
            for split in ("train", "val")
        }
        evaluator = train_evaluator(
            labelled["train"],
            labelled["val"],
            job.config.evaluator,
            folder=job.folder,
            on_metrics=job.tracker.log_metrics,
        )
        origin = Origin(data_revision, manifest_digest(job.hrd), tuple(sorted(job.quarantined)))
        evaluator.save(out, trained_on=asdict(origin))
        keep_evaluator(Workspace.from_environment(), evaluator, origin)


def run_tokenizer(config: str, data_revision: str, quarantine: Path, out: Path) -> None:
    """Teaches the VQ-VAE and writes its folder, the normalisation statistics beside it."""
    with _job("tokenizer", config, data_revision, quarantine) as job:
        data = job.folder / "motion.safetensors"
        training, held_out = ({m.clip_id: m.features for m in job.motion(split)} for split in ("train", "val"))
        normaliser = _statistics(job, list(training.values()))
        if not data.is_file():
            write_tokenizer_data(data, training, held_out, normaliser)
        arguments = {"data": str(data), "config": asdict(job.config.tokenizer), **job.initial("tokenizer")}
        result = job.fit(make_tokenizer_learner, arguments, job.config.tokenizer_loop, job.config.workers.count)
        warn_of_empty_codes(result.metrics, job.config.tokenizer.model)
        tokenizer = VQVAE(job.config.tokenizer.model)
        load_module(result.checkpoint, tokenizer)
        save_network(out, tokenizer, job.config.tokenizer.model, statistics=normaliser.tensors())


def _statistics(job: Job, training: list[torch.Tensor]) -> Normaliser:
    """Weights that are taken on mean nothing under other statistics than their own."""
    if not job.config.initial:
        return Normaliser.from_features(training)
    from components.train.initial import initial_statistics

    return initial_statistics(job.config.initial)


def run_reaction(config: str, data_revision: str, quarantine: Path, encoder: Path, tokenizer: Path, out: Path) -> None:
    """Teaches the reaction transformer, writes the whole bundle, and shows it to MLflow with videos of held-out clips."""
    inputs = network_digest(encoder), network_digest(tokenizer)
    with _job("reaction", config, data_revision, quarantine, *inputs) as job:
        quantizer = load_network(tokenizer, VQVAEConfig, VQVAE)
        normaliser = Normaliser(**read_tensors(tokenizer / "statistics.safetensors"))
        data = job.folder / "samples.safetensors"
        if not data.is_file():
            training, held_out = (_samples(job, split, inputs[0], quantizer, normaliser) for split in ("train", "val"))
            write_reaction_data(data, training, held_out, normaliser, _waits(job, quantizer, normaliser))
        arguments = {
            "data": str(data),
            "tokenizer": str(tokenizer.absolute()),
            "config": asdict(job.config.gpt),
            **job.initial("gpt"),
        }
        result = job.fit(make_reaction_learner, arguments, job.config.gpt_loop, job.config.workers.count)
        gpt = ReactionGPT(job.config.gpt.model)
        load_module(result.checkpoint, gpt)
        manifest = BundleManifest(
            config=job.config.reaction,
            files={},
            data_revision=data_revision,
            commit=git_commit(),
            code_digest=code_digest(),
            mlflow_run=job.tracker.run_id or "",
            seed=job.config.gpt_loop.seed,
            versions=library_versions(),
            metrics={name: value for name, value in result.metrics.items() if name.startswith("val/")},
        )
        bundle = Bundle(manifest, load_encoder(encoder), quantizer, gpt, normaliser=normaliser).save(out)
        job.tracker.set_tags({"bundle_digest": bundle.digest})
        _show_samples(job, bundle)


def _samples(job: Job, split: Split, encoder_digest: str, tokenizer: VQVAE, normaliser: Normaliser) -> ReactionSamples:
    rows = usable_rows(job.hrd, split, job.quarantined)
    seen = load_features(Workspace.from_environment().features, rows, encoder_digest)
    return samples_of(load_motion(job.hrd, rows), seen, tokenizer, normaliser)


def _waits(job: Job, tokenizer: VQVAE, normaliser: Normaliser) -> Waits | None:
    versions = job.config.gpt.waits
    if not versions:
        return None
    motion = load_motion(job.hrd, usable_rows(job.hrd, "train", job.quarantined))
    return waits_of(motion, tokenizer, normaliser, versions=versions, seed=job.config.gpt_loop.seed)


SHOWN_CLIPS = 8


def _show_samples(job: Job, bundle: Bundle) -> None:
    """Logs videos of held-out clips: what was seen beside how the bundle reacts, closed loop, one a kind of encounter."""
    rows = usable_rows(job.hrd, "val", job.quarantined).drop_duplicates("category").head(SHOWN_CLIPS)
    with TemporaryDirectory() as folder:
        for clip in read_clips(job.hrd, rows):
            reaction = react_to_frames(bundle, clip.rgb)
            path = Path(folder) / f"{clip.record.category}-{clip.id}.mp4"
            write_side_by_side(path, clip.rgb, reaction.joints_m, caption=clip.record.caption)
            job.tracker.log_artifact(path, to="samples")
