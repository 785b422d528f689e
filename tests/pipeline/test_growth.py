"""Fifty more clips cost the work of fifty clips: every step says how many shards it left alone."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.build_dataset.step import run as build
from components.extract_features.step import run as extract
from components.validate_alignment import measures
from components.validate_alignment.step import run_on_revision
from components.version_dataset.step import run as version
from egoreact.errors import EgoReactError
from egoreact.hrd.building import building
from egoreact.hrd.dataset import data_folder
from egoreact.hrd.shards import read_manifest
from egoreact.presets import RunConfig, tiny
from egoreact.training import features
from egoreact.vision.frame_encoder import FrameEncoder
from egoreact.weights import save_network
from egoreact.workspace import Workspace


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = tiny().encoder.model
    folder = tmp_path / "encoder"
    save_network(folder, FrameEncoder(config), config)
    return folder


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps' own functions, without the seconds that each process takes to start."""

    def mapped(function: Callable, items: list, *, workers: int | None = None) -> object:
        yield from map(function, items)

    monkeypatch.setattr("egoreact.hrd.dataset.map_in_processes", mapped)
    monkeypatch.setattr(features, "map_in_processes", mapped)
    monkeypatch.setattr(measures, "map_in_processes", mapped)


def config_of(clips: int) -> RunConfig:
    preset = tiny()
    simulator = replace(preset.dataset.simulator, frames=21, image_size_px=32)
    return replace(preset, dataset=replace(
        preset.dataset, simulator=simulator, train_clips=clips, val_clips=1, test_clips=1, clips_per_shard=4
    ))  # fmt: skip


@pytest.mark.usefixtures("in_this_process", "workspace")
def test_every_step_works_on_new_shards_alone(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def through(clips: int) -> list[str]:
        """Each step's line of counts, and the revision it led to."""
        lines = []
        digest = build(config_of(clips).to_json())
        lines.append(capsys.readouterr().out.strip())
        revision = version(data_folder(), digest)
        lines.append(capsys.readouterr().out.strip())
        report, quarantine = tmp_path / "report.html", tmp_path / "quarantine.json"
        run_on_revision(revision, max_failing_fraction=1.0, report_html=report, quarantine_json=quarantine)
        lines.append(capsys.readouterr().out.strip())
        extract(revision, encoder)
        lines.append(capsys.readouterr().out.strip())
        return [line.removesuffix(f"; data revision {revision}") for line in lines]

    # Four files beside the shards: manifest, recipe and DVC's list of files; the last is sent with every revision.
    assert (
        through(6)
        == ["4 shards: 0 unchanged, 4 new", "4 shards: 0 unchanged, 4 new; 7 files sent"]
        + ["4 shards: 0 unchanged, 4 new"] * 2
    )
    monkeypatch.setattr(measures, "measure", refuse_unless("sim-train-00006", "sim-train-00007"))
    counts = "5 shards: 4 unchanged, 1 new"
    assert through(8) == [counts, f"{counts}; 4 files sent", counts, counts]
    monkeypatch.setattr(measures, "measure", refuse_unless())
    unchanged = "5 shards: 5 unchanged, 0 new"
    assert through(8) == [unchanged, f"{unchanged}; 0 files sent", unchanged, unchanged]
    # Somebody's half-built data set gets no revision.
    with building(data_folder() / "hrd"), pytest.raises(EgoReactError, match="stopped half-way"):
        version(data_folder(), build_digest())


def build_digest() -> str:
    from egoreact.hrd.dataset import manifest_digest

    return manifest_digest(data_folder() / "hrd")


def refuse_unless(*expected: str) -> Callable:
    from egoreact.hrd.alignment import measure

    def checked(clip):
        assert clip.id in expected
        return measure(clip)

    return checked


@pytest.mark.usefixtures("in_this_process", "workspace")
def test_figures_are_kept_by_the_bytes_and_the_code_they_came_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(config_of(4).to_json())
    folder = data_folder() / "hrd"
    manifest = read_manifest(folder)
    cache = tmp_path / "cache"
    first, counts = measures.measure_clips(folder, manifest, manifest, cache, 1)
    assert (counts.unchanged, counts.new) == (0, 3) and len(list(cache.iterdir())) == 3
    again, counts = measures.measure_clips(folder, manifest, manifest, cache, 1)
    assert counts.new == 0
    assert first.equals(again)
    # A part of a shard is taken from the whole one's table, and leaves no table of its own.
    part = manifest[manifest["clip_id"] == "sim-train-00002"]
    only, counts = measures.measure_clips(folder, manifest, part, cache, 1)
    assert only["clip_id"].tolist() == ["sim-train-00002"] and counts.new == 0
    _, counts = measures.measure_clips(folder, manifest, part, tmp_path / "other", 1)
    assert counts.new == 1 and not (tmp_path / "other").exists()
    # A damaged table is made again; other code measures everything again.
    table = next(cache.iterdir())
    table.write_bytes(b"text")
    assert measures.measure_clips(folder, manifest, manifest, cache, 1)[1].new == 1
    monkeypatch.setattr(measures, "code_digest", lambda *_: "f" * 64)
    assert measures.measure_clips(folder, manifest, manifest, cache, 1)[1].new == 3


@pytest.mark.usefixtures("in_this_process", "workspace")
def test_nothing_is_kept_of_bytes_that_are_not_the_manifests(encoder: Path, tmp_path: Path) -> None:
    build(config_of(4).to_json())
    folder = data_folder() / "hrd"
    shard = folder / "train-00000.tar"
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content)
    manifest = read_manifest(folder)
    for attempt in (
        lambda: measures.measure_clips(folder, manifest, manifest, tmp_path / "cache", 1),
        lambda: features.extract_features(folder, manifest, encoder, Workspace.from_environment().features),
    ):
        with pytest.raises(EgoReactError, match=r"train-00000\.tar: its bytes differ from the manifest's SHA-256"):
            attempt()
    assert not (tmp_path / "cache").exists()


def test_all_code_that_decides_a_figure_is_named() -> None:
    import subprocess
    import sys

    program = "import sys, egoreact.hrd.alignment; print(*sorted(m for m in sys.modules if m.startswith('egoreact.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    imported = {name.replace(".", "/") + ".py" for name in done.stdout.split()}
    unnamed = imported - set(measures.measuring_sources())
    reports = {"egoreact/errors.py", "egoreact/files.py", f"egoreact/hrd/alignment/{measures.BOUNDS}"}
    packages = {
        f"{name}.py" for name in ("egoreact/hrd", "egoreact/hrd/alignment", "egoreact/motion", "egoreact/vision")
    }
    assert unnamed <= reports | packages
