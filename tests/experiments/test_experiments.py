"""Each experiment from its command to its report, at a size of seconds: what is told is what the rows say."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from egoreact import cli
from egoreact.evaluation import metrics
from egoreact.experiments import codebook, conduct
from egoreact.experiments.lab import Lab
from egoreact.experiments.recordings import read_headset
from egoreact.experiments.report import figure_table, publish, said
from egoreact.motion.camera import camera_from_head
from egoreact.workspace import Workspace


def parts(page: str) -> tuple[list[str], list[str]]:
    """The sentences of finding, and the plots that the page shows."""
    finding = page.split("## Finding\n\n")[1].split("\n\n")[0]
    return re.split(r"(?<=\.) (?=[A-Z])", finding), re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)


def check(folder: Path, name: str) -> tuple[str, dict]:
    """A whole report: three sentences, every plot there and drawn upon, the origin named. Returns page and figures."""
    page = (folder / f"{name}.md").read_text()
    sentences, shown = parts(page)
    assert len(sentences) == 3, sentences
    assert set(shown) == {path.name for path in folder.glob("*.png")} != set()
    for plot in shown:
        assert cv2.imread(str(folder / plot)).std() > 5
    for words in ("egoreact experiment", "manifest `", "trained on data revision", "commit", "evaluator"):
        assert words in page
    assert "nan" not in page.lower().replace("finance", "")
    return page, json.loads((folder / "figures.json").read_text())


@pytest.fixture(scope="module")
def causality(place: Path) -> Path:
    bundle = str(place / "bundle")
    assert cli.main(["experiment", "causality", "--preset", "tiny", "--repeats", "2", "--bundle", bundle]) == 0
    return Workspace.from_environment().root / "experiments" / "causality"


def test_causality_measures_strictness_and_order(causality: Path) -> None:
    page, figures = check(causality, "causality")
    assert "`egoreact experiment causality --preset tiny --repeats 2`" in page
    assert "stays bit for bit" in page
    assert "| semantic vectors up to frame 4t, later frames noise | 0 |" in page
    assert "| tokens up to t that differ | 0 |" in page
    changed = re.search(r"tokens after t differ \| (\d+)%", page)
    assert changed and int(changed[1]) > 10  # or nothing was shown that could have been noticed
    assert set(figures) == {"forward", "backward", "speed × 0.5", "speed × 2"}
    rows = pd.read_parquet(causality / "clips.parquet")
    lengths = rows.groupby("condition")["head_error_cm"].apply(lambda column: {len(errors) for errors in column})
    assert lengths["forward"] == {40} and lengths["speed × 0.5"] == {80} and lengths["speed × 2"] == {20}
    forward, slow = (rows[rows["condition"] == f"truth, {name}"]["true_onset_s"] for name in ("forward", "speed × 0.5"))
    np.testing.assert_allclose(slow, 2 * forward.to_numpy(), atol=0.1)


def test_figures_are_functions_of_the_rows(causality: Path) -> None:
    figures = json.loads((causality / "figures.json").read_text())["backward"]
    rows = pd.read_parquet(causality / "clips.parquet")
    truth = rows[rows["condition"] == "truth, backward"]
    runs = [run for _, run in rows[rows["condition"] == "backward"].groupby("repeat")]
    fids = [metrics.fid(np.stack(truth["embedding"].tolist()), np.stack(run["embedding"].tolist())) for run in runs]
    assert figures["fid"][0] == pytest.approx(np.mean(fids))
    assert figures["fid"][1] == pytest.approx(1.96 * np.std(fids, ddof=1) / np.sqrt(2))
    errors = [run["head_trajectory_error_cm"].mean() for run in runs]
    assert figures["head_trajectory_error_cm"][0] == pytest.approx(np.mean(errors))
    by_frame = np.mean([np.mean(errors) for run in runs for errors in run["head_error_cm"]])
    assert by_frame == pytest.approx(np.mean(errors), rel=1e-5)


def test_a_model_that_peeks_is_found_out(lab: Lab) -> None:
    from egoreact.experiments.causality import FORWARD, look, strictness

    class Peeking:
        """Sees each frame with a little of the clip's last."""

        def __init__(self, eyes: object):
            self.eyes, self.config = eyes, eyes.config  # type: ignore[attr-defined]

        def encode(self, rgb):
            from dataclasses import replace

            seen = self.eyes.encode(rgb)  # type: ignore[attr-defined]
            return replace(seen, semantic=seen.semantic + 1e-6 * seen.semantic[-1])

        def __getattr__(self, name: str):
            return getattr(self.eyes, name)

    honest = lab.bundle.encoder
    assert lab.test.motion  # read with honest eyes
    try:
        lab.bundle.encoder = Peeking(honest)  # type: ignore[assignment]
        shown, changed, streams = look(lab)
    finally:
        lab.bundle.encoder = honest
    assert strictness(lab, shown[FORWARD], changed, streams)["semantic"] > 0


def test_ablation_tries_every_variant_with_the_same_budget(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "docs"
    ran = conduct.run_ablation(
        lab, out, command="egoreact experiment ablation", seeds=1, repeats=2, long_clips_per_kind=1
    )
    assert ran == out
    assert not list(out.glob("*.parquet"))
    folder = lab.folder / "ablation"
    page, figures = check(folder, "ablation")
    assert (out / "ablation.md").read_text() == page
    variants = ["full", "− depth", "− head velocity", "− semantics", "− depth − semantics", "true head velocity"]
    assert list(figures) == [*variants, "stand still", "truth"]
    assert figures["truth"]["head_trajectory_error_cm"][0] == 0 and figures["truth"]["size"][0] == 1
    assert figures["stand still"]["size"][0] == 0
    rows = pd.read_parquet(folder / "clips.parquet")
    counts = rows[rows["part"] == "test"].groupby("condition").size()
    assert all(counts[name] == 2 * 6 for name in variants)
    long = rows[rows["part"] == "long"]
    assert {len(errors) for errors in long["head_error_cm"]} == {120}
    assert "R² on test clips" in page and "nearness of what comes, from the depth map" in page


def test_codebook_tells_usage_and_errors(lab: Lab) -> None:
    folder = conduct.run_codebook(lab, None, command="egoreact experiment codebook", seeds=1, sizes=(8, 16))
    _, figures = check(folder, "codebook")
    assert list(figures) == ["8", "16"]
    rows = pd.read_parquet(folder / "clips.parquet")
    told = rows[rows["condition"] == "16"]
    tokens = np.concatenate(told["tokens"].tolist())
    assert figures["16"]["usage_in_test"][0] == len(set(tokens.tolist())) / 16
    assert figures["16"]["usage"][0] >= figures["16"]["usage_in_test"][0] - 0.25
    assert figures["16"]["mpjpe_cm"][0] == pytest.approx(told["mpjpe_cm"].mean())


@pytest.mark.parametrize(
    ("usage", "errors", "words"),
    [
        ((1.0, 0.9, 0.3), (4.0, 3.0, 2.0), ("From 256 codes on the codebook collapses", "does not saturate up to 256")),
        ((1.0, 1.0, 0.9), (4.0, 3.0, 2.95), ("No codebook collapses", "it saturates at 128 codes")),
    ],
)
def test_the_codebook_s_sentences_follow_the_figures(usage, errors, words: tuple[str, str]) -> None:
    figures = {
        size: {"usage": metrics.Estimate(share, None), "mpjpe_cm": metrics.Estimate(error, 0.1)}
        | {"perplexity": metrics.Estimate(10.0, None)}
        for size, share, error in zip(("64", "128", "256"), usage, errors, strict=True)
    }
    assert words[0] in codebook.usage_sentence(figures)
    assert words[1] in codebook.error_sentence(figures)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A headset that walks 1.2 m towards its world's −x, turned to look there, for 2.6 s at 10 frames a second."""
    folder = tmp_path / "ego" / "hololens"
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    rng = np.random.default_rng(0)
    frames = 27
    for index in range(frames):
        cv2.imwrite(str(folder / "rgb" / f"{index:05d}.jpg"), rng.integers(256, size=(48, 64, 3), dtype=np.uint8))
        cv2.imwrite(str(folder / "depth" / f"{index:05d}.png"), np.full((48, 64), 2000, np.uint16))
    left = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # faces −x
    position = np.stack([np.linspace(0, -1.2, frames), np.full(frames, 1.5), np.zeros(frames)], axis=1)
    T = camera_from_head(position, np.tile(left, (frames, 1, 1)))
    np.savetxt(folder / "camera_to_world.txt", T.reshape(frames, 16))
    np.savetxt(folder / "K.txt", [[24, 0, 32], [0, 24, 24], [0, 0, 1]])
    return tmp_path / "ego"


def test_a_headset_s_path_begins_along_z(recordings: Path) -> None:
    take = read_headset(recordings / "hololens")
    assert len(take.rgb) == len(take.head_m) == len(take.depth_m) == 53
    np.testing.assert_allclose((take.head_m[-1] - take.head_m[0]), [0, 0, 1.2], atol=1e-9)
    assert take.fov_degrees == pytest.approx(90)
    assert (take.rgb[0] == take.rgb[1]).all() and not (take.rgb[1] == take.rgb[2]).all()


def test_real_holds_the_model_against_the_true_head(lab: Lab, recordings: Path) -> None:
    folder = conduct.run_real(lab, None, command="egoreact experiment real", seeds=1, repeats=1, recordings=recordings)
    page, figures = check(folder, "real")
    assert str(recordings) not in page
    still = figures["headset: stand still"]
    assert still["error_cm"][0] == pytest.approx(100 * 1.2 / 52 * 39 / 2, rel=1e-3)  # it walks, evenly
    assert still["of_still"][0] == pytest.approx(1)
    assert {"headset: full", "headset: − depth", "headset: full, the headset's depth"} <= set(figures)
    rows = pd.read_parquet(folder / "depth.parquet")
    assert (rows["abs_rel"] >= 0).all() and set(rows["source"]) == {"headset", "simulated test clips"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: next((folder / "rgb").iterdir()).unlink(), "26 pictures, 27 depth maps and 27 poses"),
        (lambda folder: (folder / "K.txt").unlink(), "its poses cannot be read"),
        (lambda folder: next((folder / "depth").iterdir()).write_bytes(b"?"), "is no picture"),
    ],
)
def test_a_broken_recording_is_one_line(
    place: Path, recordings: Path, capsys: pytest.CaptureFixture, change: Callable[[Path], None], message: str
) -> None:
    change(recordings / "hololens")
    arguments = ["experiment", "real", "--preset", "tiny", "--bundle", str(place / "bundle")]
    assert cli.main([*arguments, "--recordings", str(recordings)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error


def test_no_recordings_is_one_line(place: Path, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    arguments = ["experiment", "real", "--preset", "tiny", "--bundle", str(place / "bundle")]
    assert cli.main([*arguments, "--recordings", str(tmp_path)]) == 2
    assert "holds neither hololens/ nor ares/" in capsys.readouterr().err


def test_a_report_is_whole_or_absent(lab: Lab, monkeypatch: pytest.MonkeyPatch, causality: Path) -> None:
    before = {path.name: path.read_bytes() for path in causality.iterdir()}
    from egoreact.experiments import causality_report

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(causality_report, "draw", fail)
    with pytest.raises(OSError, match="no space left"):
        conduct.run_causality(lab, None, command="x", repeats=1)
    assert {path.name: path.read_bytes() for path in causality.iterdir()} == before


def test_every_trial_is_a_run_below_the_experiment_s(lab: Lab, causality: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(Workspace.from_environment().tracking_uri)
    experiment = client.get_experiment_by_name("egoreact")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.info.run_name == "experiment causality" and run.info.status == "FINISHED"]
    (parent,) = parents
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.info.run_name for run in children} == {
        f"causality: {name}" for name in ("forward", "backward", "speed × 0.5", "speed × 2")
    }
    assert all("reaction_accuracy" in run.data.metrics for run in children)
    assert "causality.md" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert "speed x 2/head_trajectory_error_cm" in parent.data.metrics


def test_numbers_are_said_with_their_intervals(tmp_path: Path) -> None:
    assert said(metrics.Estimate(39.12, 3.94), 1) == "39.1 ± 3.9"
    assert said(metrics.Estimate(2.0, None), 2) == "2.00"
    assert said(None, 1) == "–"
    shown = figure_table({"full": {"fid": metrics.Estimate(1.0, 0.5)}}, {"fid": ("FID ↓", 1)}, "variant")
    assert shown.splitlines() == ["| variant | FID ↓ |", "| --- | ---: |", "| full | 1.0 ± 0.5 |"]
    (tmp_path / "a").mkdir()
    for name in ("a.md", "a.png", "clips.parquet", "figures.json"):
        (tmp_path / "a" / name).write_text(name)
    assert {path.name for path in publish(tmp_path / "a", tmp_path / "b").iterdir()} == {"a.md", "a.png"}
