"""The count of faults: that it injects every kind, says what it found, and is the same in any process."""

import json

import pytest

from egoreact.bench.commands import COMMANDS
from egoreact.bench.gate import FIRST_SEED, KINDS, examine, measure_gate
from egoreact.hrd.simulate import SimulatorConfig

CONFIG = SimulatorConfig(frames=61, categories=("passer_by", "ball_left"))


def test_figures_are_shares_of_the_clips_and_json():
    kinds = ("not_a_number", "depth_scaled", "motion_swapped_other")
    figures = measure_gate(CONFIG, clips=2, kinds=kinds, workers=1)
    assert figures["caught"] == dict.fromkeys(kinds, 1.0)
    assert figures["clips"] == 2
    assert (figures["false_alarms"], figures["false_alarms_handled"]) == (0.0, 0.0)
    assert (figures["refused"], figures["missed"]) == ([], {})
    assert figures["caught_by"]["not_a_number"]["non_finite_values"] == 1.0
    assert figures["caught_by"]["depth_scaled"]["depth_scale_ratio"] == 1.0
    assert figures["gate_ms_per_clip"] > 0
    json.dumps(figures, allow_nan=False)


def test_a_gate_that_refuses_whatever_was_encoded_again_is_seen_through(monkeypatch: pytest.MonkeyPatch):
    """It would catch every fault that is re-encoded; the control says why that is worth nothing."""
    monkeypatch.setattr("egoreact.bench.gate.failures", lambda row: [Refused()] if row["motion_frames"] != 61 else [])
    figures = measure_gate(CONFIG, clips=1, kinds=("video_shifted",), workers=1)
    assert figures["caught"] == {"video_shifted": 1.0}
    assert (figures["false_alarms"], figures["false_alarms_handled"]) == (0.0, 1.0)


class Refused:
    measure = "length"


def test_a_gate_that_lets_everything_through_catches_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("egoreact.bench.gate.failures", lambda row: [])
    figures = measure_gate(CONFIG, clips=1, kinds=("mirrored",), workers=1)
    assert figures["caught"] == {"mirrored": 0.0}
    assert figures["missed"] == {"mirrored": ["passer_by-0"]}


def test_every_kind_is_counted_and_the_same_clip_gives_the_same_faults():
    assert len(KINDS) == 12
    first, again = (examine(CONFIG, ("frames_lost",), 1) for _ in range(2))
    assert first.failed == again.failed
    assert first.clip_id == "ball_left-1"


def test_the_sample_is_held_out_and_the_command_is_there():
    assert FIRST_SEED > 500_000
    assert "bench gate" in COMMANDS
