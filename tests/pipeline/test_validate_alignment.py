"""The gate's step: who is quarantined and why, when it fails, and a report that needs nothing but itself."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.validate_alignment.expectations import examine
from components.validate_alignment.report import render_report, sheet_of
from components.validate_alignment.step import read_quarantine, run
from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import THRESHOLDS, Threshold, failures, measure
from egoreact.hrd.alignment.faults import video_shifted
from egoreact.hrd.clip import Clip
from egoreact.hrd.shards import read_manifest, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.vision.video import encode_depth

CONFIG = SimulatorConfig(frames=41, image_size_px=32)
CATEGORIES = ("ball_left", "low_obstacle", "passer_by", "dog", "car", "head_bar")


def faulty(clip: Clip) -> Clip:
    return dataclasses.replace(
        clip, T_world_camera=np.roll(clip.T_world_camera, 3, axis=0), depth_mkv=encode_depth(0.8 * clip.depth_m)
    )


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory):
    """A workspace of the module's own: figures of shards are kept there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def hrd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips in two shards; the fourth has depth in other units and a camera that comes late."""
    folder = tmp_path_factory.mktemp("hrd")
    clips = [
        simulate_clip(CONFIG, name, 5 + k, f"clip-{k}", "val" if k > 3 else "train")
        for k, name in enumerate(CATEGORIES)
    ]
    clips[3] = faulty(clips[3])
    rows = write_shard(folder / "train-00000.tar", clips[:4]) + write_shard(folder / "val-00000.tar", clips[4:])
    write_manifest(folder, rows)
    return folder


@pytest.fixture(scope="module")
def result(hrd_folder, tmp_path_factory):
    return run(hrd_folder, tmp_path_factory.mktemp("report"), max_failing_fraction=0.2, data_revision="abc123.dir")


def test_the_faulty_clip_is_quarantined_with_figure_and_bound(result):
    assert (result.clips, result.failing, result.quarantined) == (6, 1, ("clip-3",))
    quarantine = json.loads(result.quarantine_json.read_text())
    reasons = {reason["measure"]: reason for reason in quarantine["reasons"]["clip-3"]}
    assert {"lag_frames", "depth_scale_ratio"} <= set(reasons)
    assert reasons["depth_scale_ratio"]["value"] == pytest.approx(0.8, abs=0.05)
    assert (reasons["depth_scale_ratio"]["lower"], reasons["depth_scale_ratio"]["upper"]) == (0.9, 1.1)
    assert read_quarantine(result.quarantine_json) == {"clip-3"}


def test_verdict_table_and_expectations_say_the_same(result):
    verdict = json.loads(result.verdict_json.read_text())
    assert verdict["passed"] and verdict["failing"] == 1 and verdict["data_revision"] == "abc123.dir"
    assert verdict["worst_measure"] in verdict["failing_by_measure"]
    table = pd.read_parquet(result.table).set_index("clip_id")
    assert len(table) == 6
    assert table.loc["clip-3", "depth_scale_ratio"] == pytest.approx(0.8, abs=0.05)
    expectations = json.loads(result.expectations_json.read_text())
    assert expectations["success"] is False
    failed = {
        found["expectation_config"]["kwargs"]["column"] for found in expectations["results"] if not found["success"]
    }
    assert failed == set(verdict["failing_by_measure"])
    assert result.metrics["failing_fraction"] == pytest.approx(1 / 6)


class Links(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")]


def test_the_report_loads_nothing_and_shows_who_failed(result):
    page = result.report_html.read_text()
    links = Links()
    links.feed(page)
    assert links.loaded and all(value.startswith("data:image/jpeg;base64,") for value in links.loaded)
    assert not re.search(r"https?://|@import|url\(", page)
    assert not {"script", "link", "iframe"} & set(links.tags)
    assert "clip-3" in page and "must be 0.9 to 1.1" in page and "abc123.dir" in page
    assert all(threshold.measure in page for threshold in THRESHOLDS)
    assert "prefers-color-scheme:dark" in page


def test_a_clip_s_sheet_holds_the_pixels_motion_against_the_head_s():
    """A video four frames late: its two curves are drawn, and the lag is named with figure and bound."""
    clip = video_shifted(simulate_clip(SimulatorConfig(frames=61), "ball_left", 8, "late", "train"), 4)
    row = measure(clip)
    table = pd.DataFrame([{"clip_id": "late", **{bound.measure: row.get(bound.measure) for bound in THRESHOLDS}}])
    found = failures(row)
    summary = {
        "passed": False, "clips": 1, "failing": 1, "failing_fraction": 1.0, "max_failing_fraction": 0.1,
        "worst_measure": "pixel_lag_frames", "failing_by_measure": {f.measure: 1 for f in found}, "data_revision": None,
    }  # fmt: skip
    sheet = sheet_of(clip, found)
    page = render_report(
        table.astype({"pixel_rate": float}), THRESHOLDS, summary, {"late": [str(f) for f in found]}, [sheet]
    )
    assert "<b>4 frames</b> <code>pixel_lag_frames</code>, must be -1 to 1 frames" in page
    for name in ("pixel_turn_deg_s", "head_turn_deg_s", "pixel_pace_m_s", "head_pace_m_s", "pixel_error_deg"):
        drawn = re.search(rf"points='([^']*)'><title>{name}</title>", page)
        assert drawn is not None and len(drawn[1].split()) > 40, name
    assert len(sheet.thumbnails_jpg) == 8
    assert page.count("<tr class=section>") == 5
    assert page.count("class=cause>") == len(found)


def test_too_many_failing_clips_are_an_error_after_the_report_is_written(hrd_folder, tmp_path):
    with pytest.raises(EgoReactError, match=r"1 of 6 clips fail, more than 10%; worst is \w+, which 1 fail") as raised:
        run(hrd_folder, tmp_path / "report")
    assert str(tmp_path / "report" / "report.html") in str(raised.value)
    assert "Failed" in (tmp_path / "report" / "report.html").read_text()
    assert read_quarantine(tmp_path / "report" / "quarantine.json") == {"clip-3"}


def test_only_the_clips_asked_for_are_measured(hrd_folder, tmp_path):
    result = run(hrd_folder, tmp_path, max_failing_fraction=0, clip_ids=["clip-0", "clip-5"])
    assert (result.clips, result.failing) == (2, 0)
    assert json.loads(result.verdict_json.read_text())["worst_measure"] is None


def test_processes_give_the_same_table(hrd_folder, tmp_path, result, monkeypatch):
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))  # nothing is known there
    parallel = run(hrd_folder, tmp_path, max_failing_fraction=1, workers=2)
    pd.testing.assert_frame_equal(pd.read_parquet(parallel.table), pd.read_parquet(result.table))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_ids": ["clip-9"]}, "holds no clip clip-9"),
        ({"clip_ids": []}, "names no clips"),
        ({"max_failing_fraction": 1.5}, "give a share from 0 to 1"),
    ],
)
def test_mistakes_are_named(hrd_folder, tmp_path, arguments, message):
    with pytest.raises(EgoReactError, match=message):
        run(hrd_folder, tmp_path / "report", **arguments)
    assert not (tmp_path / "report").exists()


def test_a_file_that_is_no_quarantine_is_refused(tmp_path):
    (tmp_path / "q.json").write_text("[]")
    with pytest.raises(EgoReactError, match="no quarantine file"):
        read_quarantine(tmp_path / "q.json")


def test_names_in_clips_cannot_write_html(hrd_folder, tmp_path):
    folder = tmp_path / "hrd"
    clip = simulate_clip(CONFIG, "passer_by", 1, "clip", "train")
    clip = faulty(dataclasses.replace(clip, record=dataclasses.replace(clip.record, category="<script>x</script>")))
    write_manifest(folder, write_shard(folder / "train-00000.tar", [clip]))
    page = run(folder, tmp_path / "report", max_failing_fraction=1).report_html.read_text()
    assert "<script" not in page and "&lt;script&gt;" in page


def test_expectations_ignore_what_a_clip_cannot_give():
    table = pd.DataFrame({"clip_id": ["a", "b", "c"], "x": [1.0, 20.0, np.nan], "y": [np.nan] * 3})
    bounds = (Threshold("x", None, 10.0, "cm", ""), Threshold("y", 0.0, 1.0, "", ""))
    assert examine(table, bounds).failing == {"x": ("b",)}


def test_the_component_is_thin_and_says_what_it_gives():
    from components.validate_alignment.component import validate_alignment

    spec = validate_alignment.component_spec
    assert set(spec.inputs) == {"data_revision", "code_digest", "max_failing_fraction"}
    assert set(spec.outputs) == {"report", "quarantine", "measures", "Output"}


def test_a_revision_is_fetched_and_the_artifacts_are_written_even_where_it_fails(hrd_folder, workspace, tmp_path):
    import shutil

    from components.validate_alignment.component import validate_alignment
    from components.version_dataset.dvc_data import record_revision
    from egoreact.hrd.dataset import data_folder

    shutil.copytree(hrd_folder, data_folder() / "hrd")
    assert len(read_manifest(data_folder() / "hrd")) == 6
    revision = record_revision(data_folder()).id
    shutil.rmtree(data_folder())

    class Artifact:
        def __init__(self, name: str):
            self.path, self.logged = str(tmp_path / "artifacts" / name), {}

        def log_metric(self, name: str, value: float) -> None:
            self.logged[name] = value

    report, quarantine, measures = Artifact("report"), Artifact("quarantine"), Artifact("measures")
    assert validate_alignment.python_func(revision, "code", 0.2, report, quarantine, measures) == 1
    assert "Passed" in Path(report.path).read_text() and revision in Path(report.path).read_text()
    assert read_quarantine(Path(quarantine.path)) == {"clip-3"}
    assert measures.logged["failing"] == 1
    for artifact in (report, quarantine):
        Path(artifact.path).unlink()
    with pytest.raises(EgoReactError, match=rf"see {report.path}"):
        validate_alignment.python_func(revision, "code", 0.1, report, quarantine, measures)
    assert "Failed" in Path(report.path).read_text()
