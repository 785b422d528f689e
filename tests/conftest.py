"""What every room's tests share: one thread a process, a tiny untrained bundle, and where real sample data may lie."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import pytest
import torch

from egoreact.models.bundle import Bundle
from egoreact.presets import tiny

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data made by others, read in place; tests that use it skip where it is absent."""
    folder = Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real sample data at {folder} (EGOREACT_SHARED_DATA names the folder)")
    return folder


@pytest.fixture(scope="session")
def untrained_bundle() -> Bundle:
    return Bundle.untrained(tiny().reaction, seed=1)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh workspace and data folder, so that no test touches a person's own."""
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EGOREACT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


LONGEST_FIRST = (
    "pipeline/test_tiny_run.py",
    "production/",
    "training/test_ray_train.py",
    "bench/test_bench_service.py",
    "browser/test_page_recovery.py",
    "service/test_client.py",
    "service/test_process.py",
    "hrd/test_dataset.py",
    "browser/",
)
"""So that two workers end together: a file that takes minutes, begun last, would keep one of them waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((n for n, start in enumerate(LONGEST_FIRST) if name.startswith(start)), len(LONGEST_FIRST))

    items.sort(key=rank)  # stable: within a file nothing moves
