"""A tiny lab, made once for all experiments: simulated clips, an untrained bundle, an evaluator that was taught for seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from egoreact.evaluation.kept import Origin, keep_evaluator
from egoreact.experiments import encounters
from egoreact.experiments.lab import Lab, open_lab
from egoreact.hrd.clip import Split
from egoreact.hrd.dataset import manifest_digest
from egoreact.hrd.shards import write_manifest, write_shard
from egoreact.hrd.simulate import simulate_clip
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluatorConfig
from egoreact.presets import tiny
from egoreact.training import features
from egoreact.training.data import load_motion, usable_rows
from egoreact.training.evaluator import EvaluatorTrainingConfig, train_evaluator
from egoreact.training.loop import LoopConfig
from egoreact.workspace import Workspace

KINDS = ("ball_left", "head_bar")
CLIPS: dict[Split, int] = {"train": 8, "val": 4, "test": 6}
STEPS = 4


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project folder with data, a bundle in `bundle/`, and the evaluator kept with the data; also the environment's."""
    root = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(root / "home"))
        patch.setenv("EGOREACT_DATA", str(root / "data"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        for module in (features, encounters):  # starting a process takes longer than all that it would do
            patch.setattr(module, "map_in_processes", lambda function, items, workers=None: map(function, items))
        hrd = root / "data" / "hrd"
        write_manifest(hrd, [row for split, count in CLIPS.items() for row in write_split(hrd, split, count)])
        labelled = [(m.features.numpy(), m.category) for m in load_motion(hrd, usable_rows(hrd, "train"))]
        config = EvaluatorTrainingConfig(
            model=MotionEvaluatorConfig(channels=16, hidden=16, embedding_dim=16),
            loop=LoopConfig(steps=20, batch_size=8, learning_rate=1e-3),
        )
        evaluator = train_evaluator(labelled, [], config, folder=root / "evaluator")
        left_out = usable_rows(hrd, "train")["clip_id"].iloc[0]
        keep_evaluator(Workspace.from_environment(), evaluator, Origin("aa.dir", manifest_digest(hrd), (left_out,)))
        Bundle.untrained(tiny().reaction, seed=1).save(root / "bundle")
        yield root


def write_split(hrd: Path, split: Split, count: int) -> list[dict]:
    config = tiny().dataset.simulator
    seeds = range(1000 * len(split), 1000 * len(split) + count)  # another range for each
    clips = [simulate_clip(config, KINDS[seed % len(KINDS)], seed, f"{split}-{seed}", split) for seed in seeds]
    return write_shard(hrd / f"{split}-00000.tar", clips)


@pytest.fixture
def lab(place: Path) -> Lab:
    return open_lab("tiny", bundle=place / "bundle", steps=STEPS)
