import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from egoreact.evaluation.record import BASELINES, FIGURES, MetricRecord
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.workspace import Workspace


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: that takes seconds, copying them none."""
    from components.promote.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = Workspace(tmp_path_factory.mktemp("database"))
        Registry(workspace).champion()
    return workspace.root / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of its own, with a database, and a data folder beside it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("EGOREACT_DVC_REMOTE", raising=False)
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EGOREACT_DATA", str(tmp_path / "project" / "data"))
    workspace = Workspace.from_environment()
    workspace.root.mkdir()
    shutil.copy(empty_database, workspace.root)
    return workspace


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Seed → the folder of an untrained bundle, made once."""
    made: dict[int, Path] = {}

    def make(seed: int) -> Path:
        if seed not in made:
            made[seed] = tmp_path_factory.mktemp(f"bundle-{seed}") / "bundle"
            Bundle.untrained(tiny().reaction, seed=seed).save(made[seed])
        return made[seed]

    return make


def _record(digest: str, head_error_cm: float, **changes: object) -> MetricRecord:
    """A record that passes every gate, with this head trajectory error."""
    figures = dict.fromkeys(FIGURES, 1.0) | {"head_trajectory_error_cm": head_error_cm}
    record = MetricRecord(
        bundle_digest=digest,
        data_revision="aa.dir",
        samples=16,
        repeats=2,
        categories=("ball_left",),
        chance=0.1,
        figures=figures,
        intervals=dict.fromkeys(FIGURES),
        truth=dict.fromkeys(FIGURES),
        baselines={name: {"head_trajectory_error_cm": 100.0} for name in BASELINES},
    )
    return replace(record, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def record_of() -> Callable[..., MetricRecord]:
    return _record
