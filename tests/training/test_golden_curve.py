"""The tokenizer's loss over 20 steps is what it was, on motion that the simulator makes.

Written by `python tests/training/test_golden_curve.py`, to be run again, and its difference looked at, where the network,
the loop or the simulator's acting are changed on purpose. Tolerance: 1e-3 relative, for other processors add in another
order; the curve falls by a sixth, so a changed learning rate, draw or loss shows.
"""

import json
import tempfile
from pathlib import Path

import pytest
import torch

from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser, encode, retarget
from egoreact.presets import EIGHT_KINDS
from egoreact.training.checkpoint import FolderStore
from egoreact.training.loop import LoopConfig, fit
from egoreact.training.vqvae import TokenizerLearner, TokenizerTrainingConfig
from egoreact.weights import seeded

GOLDEN = Path(__file__).parent.parent / "golden" / "tokenizer_20_steps.json"
CONFIG = TokenizerTrainingConfig(
    VQVAEConfig(width=48, code_dim=32, codebook_size=64, residual_blocks=2), window_frames=64
)
LOOP = LoopConfig(steps=20, batch_size=8, learning_rate=2e-3, warmup_steps=4, log_every=1, seed=3)


def curve(folder: Path) -> dict[str, list[float]]:
    """Loss, reconstruction and share of codes met, a number a step."""
    simulator = SimulatorConfig(frames=97)
    clips = {}
    for seed, category in enumerate(EIGHT_KINDS):
        joints_m = stage(simulator, category, seed).performance.body.joints_m
        clips[category] = encode(retarget(torch.from_numpy(joints_m).float()))
    learner = TokenizerLearner(
        seeded(0, lambda: VQVAE(CONFIG.model)), Normaliser.from_features(list(clips.values())), clips, {}, CONFIG
    )
    reports: list[dict[str, float]] = []
    fit(learner, LOOP, store=FolderStore(folder, "golden"), on_metrics=lambda _, report: reports.append(report))
    return {
        name: [round(report[f"train/{name}"], 6) for report in reports]
        for name in ("loss", "reconstruction", "codes_used")
    }


def test_the_curve_is_what_it_was(tmp_path):
    golden = json.loads(GOLDEN.read_text())
    made = curve(tmp_path)
    assert made["loss"] == pytest.approx(golden["loss"], rel=1e-3)
    assert made["reconstruction"] == pytest.approx(golden["reconstruction"], rel=1e-3)
    assert made["codes_used"] == pytest.approx(golden["codes_used"], abs=0.05)
    assert golden["loss"][-1] < 0.85 * golden["loss"][0]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        made = curve(Path(name))
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
    print(f"{GOLDEN}: loss {made['loss'][0]} to {made['loss'][-1]}")
