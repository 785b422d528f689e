import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # learners.py, also in spawned processes

from learners import waves

from egoreact.models.vqvae import VQVAEConfig
from egoreact.motion.representation import Normaliser
from egoreact.training.vqvae import TokenizerTrainingConfig, write_tokenizer_data


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer_arguments(tmp_path_factory) -> dict:
    """Keyword arguments of `make_tokenizer_learner`: 12 clips of 70 to 92 frames, a tokenizer of 20,000 weights."""
    training = {name: clip[: 70 + 2 * number] for number, (name, clip) in enumerate(waves(12, 96).items())}
    held_out = {f"held-{name}": clip for name, clip in waves(2, 50, seed=1).items()}
    path = tmp_path_factory.mktemp("tokenizer") / "motion.safetensors"
    write_tokenizer_data(path, training, held_out, Normaliser.from_features(list(training.values())))
    model = VQVAEConfig(width=16, code_dim=8, codebook_size=32, residual_blocks=1)
    return {"data": str(path), "config": asdict(TokenizerTrainingConfig(model, window_frames=32))}
