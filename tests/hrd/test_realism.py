"""The comparison with captured motion: its figures, its rule, and what the simulator's motion comes to."""

import json
from pathlib import Path

import numpy as np
import pytest

from egoreact.cli import main
from egoreact.errors import EgoReactError
from egoreact.hrd.realism import (
    FREQUENCIES_HZ,
    GROUPS,
    MEASURES,
    WINDOW_FRAMES,
    Realism,
    Windows,
    captured_windows,
    compare,
    save,
    simulated_windows,
    windows_of,
)
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.acting.choreography import Choreography, perform
from egoreact.hrd.simulate.acting.curves import smooth
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.export import write_bvh
from egoreact.motion.skeleton import FPS

NAMES = [measure.name for measure in MEASURES]
KINDS = ("passer_by", "ball_left", "low_obstacle", "car")


def still(frames: int = 81) -> np.ndarray:
    """A body that does not move at all."""
    return np.tile(perform(Choreography(), Person(), np.zeros(1)).joints_m, (frames, 1, 1))


def figure(windows: Windows, name: str) -> float:
    return float(np.median(windows.figures[:, NAMES.index(name)]))


def test_windows_are_spread_over_a_motion_and_refused_where_there_are_none() -> None:
    assert len(windows_of(still(81), 3).figures) == 3
    assert len(windows_of(still(WINDOW_FRAMES + 1), 24).figures) == 2  # no window twice
    with pytest.raises(EgoReactError, match="40 frames"):
        windows_of(still(WINDOW_FRAMES - 1), 3)


def test_a_body_at_rest_moves_not() -> None:
    windows = windows_of(still(), 2)
    assert np.abs(windows.figures[:, : NAMES.index("pelvis above 3 Hz")]).max() < 1e-6


def test_a_body_that_shakes_has_the_speed_acceleration_and_frequency_it_has() -> None:
    hz, amplitude = 2.0, 0.05
    moving = still()
    moving[..., 0] += amplitude * np.sin(2 * np.pi * hz * np.arange(81) / FPS)[:, None]
    windows = windows_of(moving, 3)
    omega = 2 * FPS * np.sin(np.pi * hz / FPS)  # of finite differences
    assert figure(windows, "pelvis speed rms") == pytest.approx(amplitude * omega / np.sqrt(2), rel=0.05)
    assert figure(windows, "head acceleration rms") == pytest.approx(amplitude * omega**2 / np.sqrt(2), rel=0.05)
    assert figure(windows, "hands jerk rms") == pytest.approx(amplitude * omega**3 / np.sqrt(2), rel=0.05)
    assert figure(windows, "hands centroid") == pytest.approx(hz, abs=0.1)
    assert figure(windows, "feet above 3 Hz") < 0.05
    for group in range(len(GROUPS)):
        assert FREQUENCIES_HZ[windows.spectra[0, group].argmax()] == pytest.approx(hz, abs=0.3)
    np.testing.assert_allclose(windows.spectra.sum(axis=-1), 1.0)
    quick = still()
    quick[..., 0] += 0.05 * np.sin(2 * np.pi * 4.0 * np.arange(81) / FPS)[:, None]
    assert figure(windows_of(quick, 3), "pelvis above 3 Hz") > 0.9
    noise = still()
    noise[..., 0] += 0.05 * np.sin(2 * np.pi * 9.0 * np.arange(81) / FPS)[:, None]
    assert figure(windows_of(noise, 3), "pelvis acceleration rms") < 0.1 * figure(
        windows_of(quick, 3), "pelvis acceleration rms"
    )


def test_feet_that_slide_or_sink_are_seen() -> None:
    sliding = still()
    sliding[..., 2] += 0.3 * np.arange(81)[:, None] / FPS
    assert figure(windows_of(sliding, 3), "foot skate") == pytest.approx(0.3, rel=0.02)
    lifted = sliding.copy()
    lifted[:, (7, 8, 10, 11), 1] += 0.15  # the floor is then found there
    lifted[:, 11, 1] += 0.15
    assert figure(windows_of(lifted, 3), "foot skate") < 0.2
    sinking = still()
    sinking[40:43, :, 1] -= 0.04
    deep = windows_of(np.concatenate([still(300), sinking]), 8)
    assert deep.figures[:, NAMES.index("feet below floor")].max() > 1.0
    assert figure(windows_of(still(), 2), "feet below floor") == 0.0


def fake(values: np.ndarray) -> Windows:
    """Windows whose every figure runs over the same values."""
    spectra = np.full((len(values), len(GROUPS), len(FREQUENCIES_HZ)), 1 / len(FREQUENCIES_HZ))
    return Windows(np.repeat(values[:, None], len(MEASURES), axis=1), spectra)


def test_movement_counts_both_ways_and_defects_one_way() -> None:
    captured = fake(np.linspace(1.0, 2.0, 21))
    low, inside, high = (fake(np.full(5, value)) for value in (0.5, 1.5, 2.5))
    realism = Realism(captured, {"low": low, "inside": inside, "high": high})
    np.testing.assert_allclose(realism.range[:, 0], [1.05, 1.5, 1.95])
    assert all(realism.inside(realism.medians))
    defect = [measure.defect for measure in MEASURES]
    assert sum(defect) == 2
    assert realism.inside(np.full(len(MEASURES), 0.5)) == defect
    assert not any(realism.inside(np.full(len(MEASURES), 2.5)))
    for is_defect, kinds in zip(defect, realism.kinds_outside, strict=True):
        assert set(kinds) == ({"high"} if is_defect else {"low", "high"})


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion capture of this project's own making: BVH files of longer simulated clips of other seeds."""
    folder = tmp_path_factory.mktemp("takes")
    config = SimulatorConfig(frames=149, own_body=False)
    for seed, kind in enumerate(KINDS):
        write_bvh(folder / f"{kind}.bvh", stage(config, kind, 100 + seed).performance.joints_m)
    return folder


def test_motion_is_realistic_against_its_own_kind_and_not_when_smoothed_or_shaken(takes: Path) -> None:
    captured = captured_windows([takes])
    clips = {
        kind: [stage(SimulatorConfig(own_body=False), kind, seed).performance.joints_m for seed in range(3)]
        for kind in KINDS
    }

    def outside(change) -> set[str]:
        windows = {
            f"{kind} {seed}": windows_of(change(clip), 3)
            for kind, some in clips.items()
            for seed, clip in enumerate(some)
        }
        realism = Realism(captured, windows)
        return {name for name, good in zip(NAMES, realism.inside(realism.medians), strict=True) if not good}

    assert outside(lambda clip: clip) == set()
    smoothed = outside(lambda clip: smooth(clip, 5.0))
    assert {"hands jerk rms", "feet above 3 Hz", "feet centroid"} <= smoothed
    rng = np.random.default_rng(0)
    shaken = outside(lambda clip: clip + rng.normal(0.0, 0.02, (*clip.shape[:1], 1, 3)))
    assert {"head jerk rms", "pelvis acceleration p95"} <= shaken


def test_simulated_motion_lies_inside_captured_motion(shared_data: Path) -> None:
    folder = shared_data / "mocap"
    if not any(folder.glob("*.bvh")):
        pytest.skip(f"no takes in {folder}")
    realism = compare([folder], clips=2)
    outside = {
        name: median
        for name, median, good in zip(NAMES, realism.medians, realism.inside(realism.medians), strict=True)
        if not good
    }
    assert outside == {}


def test_the_command_writes_what_it_says(takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hrd", "realism", "--mocap", str(takes), "--clips", "1", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "foot skate" in printed and "inside" in printed
    record = json.loads((tmp_path / "out" / "realism.json").read_text())
    assert set(record["measures"]) == set(NAMES)
    assert record["windows"]["frames"] == WINDOW_FRAMES and record["windows"]["captured"] == 96
    assert record["measures"]["foot skate"]["rule"] == "not above p95"
    assert (tmp_path / "out" / "realism.png").read_bytes()[:4] == b"\x89PNG"


def test_mistakes_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EgoReactError, match=r"no .*takes"):
        captured_windows([tmp_path])
    with pytest.raises(EgoReactError, match="clips is 0"):
        compare([tmp_path], clips=0)


def test_nothing_is_left_where_writing_fails(takes: Path, tmp_path: Path) -> None:
    realism = Realism(captured_windows([takes]), simulated_windows(1, ("dog",), 81))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        save(realism, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
