"""Where a machine keeps what the workflow makes. One folder, named by `EGOREACT_HOME`, `.egoreact` by default."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders under one root. Nothing here is in git; the data set itself lies in `data/`, under DVC."""

    root: Path

    @staticmethod
    def from_environment() -> "Workspace":
        return Workspace(Path(os.environ.get("EGOREACT_HOME", ".egoreact")).absolute())

    @property
    def features(self) -> Path:
        """Frame features, a file per shard and encoder: `<shard digest>-<encoder digest>.safetensors`."""
        return self.root / "features"

    @property
    def pipeline_root(self) -> Path:
        """Artifacts of local pipeline runs, and KFP's local cache."""
        return self.root / "pipeline"

    @property
    def training(self) -> Path:
        """Checkpoints of training jobs, a folder per run name: what a killed run resumes from."""
        return self.root / "training"

    @property
    def evaluators(self) -> Path:
        """Motion evaluators, a folder per data revision: each is kept with the data set that it was trained on."""
        return self.root / "evaluators"

    @property
    def releases(self) -> Path:
        """Released bundles, a folder per digest, and `current.json`, which names the one being served."""
        return self.root / "releases"

    @property
    def dvc_remote(self) -> Path:
        return self.root / "dvc-remote"

    @property
    def tracking_uri(self) -> str:
        """MLflow's address: `MLFLOW_TRACKING_URI`, or an SQLite file here."""
        return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{self.root / 'mlflow.db'}")

    @property
    def tracking_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"
