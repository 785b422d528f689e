"""The promotion step: bundles on disk, a real registry, records in place of an evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.promote.registry import Registry
from components.promote.step import Examine, Result, run
from egoreact.errors import EgoReactError
from egoreact.evaluation.record import MetricRecord
from egoreact.models.bundle import verify
from egoreact.training.tracking import track
from egoreact.vision.frame_encoder import FrameEncoder, FrameEncoderConfig
from egoreact.weights import load_into
from egoreact.workspace import Workspace

MakeBundle = Callable[[int], Path]
Promote = Callable[[Path, float, Examine], tuple[Result, dict]]


class Examiner:
    """Gives each bundle the head trajectory error it was told, and remembers whom it examined."""

    def __init__(self, record_of: Callable[..., MetricRecord], errors_cm: dict[str, float]):
        self.record_of, self.errors_cm = record_of, errors_cm
        self.examined: list[str] = []

    def __call__(self, bundle: Path) -> MetricRecord:
        digest = verify(bundle)[1]
        self.examined.append(digest)
        return self.record_of(digest, self.errors_cm[digest])


@pytest.fixture
def promote(home: Workspace, record_of: Callable[..., MetricRecord]) -> Promote:
    """(bundle, its head trajectory error in cm, examine) → what the step gave, and the decision it wrote."""

    def promote(bundle: Path, error_cm: float, examine: Examine) -> tuple[Result, dict]:
        record, decision = home.root / "record.json", home.root / "decision.json"
        record_of(verify(bundle)[1], error_cm).save(record)
        result = run(home, record, bundle, decision, examine=examine)
        return result, json.loads(decision.read_text())

    return promote


def nobody(bundle: Path) -> MetricRecord:
    raise AssertionError("there is no champion to examine")


def test_the_first_good_bundle_is_promoted(home: Workspace, make_bundle: MakeBundle, promote: Promote) -> None:
    bundle = make_bundle(1)
    result, decision = promote(bundle, 20.0, nobody)
    assert result == Result(True, "1", verify(bundle)[1])
    assert decision["outcome"] == "promote"
    assert Registry(home).champion().digest == verify(bundle)[1]


def test_the_champion_is_examined_by_its_own_files(
    home: Workspace, make_bundle: MakeBundle, promote: Promote, record_of: Callable[..., MetricRecord]
) -> None:
    """Its figures of the day it was made are not used, and neither are the challenger's."""
    first, second = (verify(make_bundle(seed))[1] for seed in (1, 2))
    promote(make_bundle(1), 20.0, nobody)
    # On today's data the champion's error is 40 cm, not the 20 it had: a challenger with 30 wins.
    examine = Examiner(record_of, {first: 40.0, second: 1.0})
    result, decision = promote(make_bundle(2), 30.0, examine)
    assert examine.examined == [first]
    assert result == Result(True, "2", second)
    assert decision["champion"]["figures"]["head_trajectory_error_cm"] == 40.0
    assert Registry(home).previous().digest == first


def test_a_worse_bundle_changes_nothing(
    home: Workspace, make_bundle: MakeBundle, promote: Promote, record_of: Callable[..., MetricRecord]
) -> None:
    first = verify(make_bundle(1))[1]
    promote(make_bundle(1), 20.0, nobody)
    result, decision = promote(make_bundle(2), 30.0, Examiner(record_of, {first: 20.0}))
    assert result == Result(False, "1", first)
    assert decision["outcome"] == "refuse"
    assert any("the champion's 20" in reason for reason in decision["reasons"])
    assert len(Registry(home).versions()) == 1


def test_a_champion_of_another_architecture_gives_way(
    home: Workspace, make_bundle: MakeBundle, promote: Promote
) -> None:
    """No code is left that could run it; the challenger still has to pass the gates."""
    promote(make_bundle(1), 20.0, nobody)

    def examine(bundle: Path) -> MetricRecord:
        load_into(FrameEncoder(FrameEncoderConfig(pixels_per_patch=2)), bundle / "encoder.safetensors")
        raise AssertionError("it fits")

    result, decision = promote(make_bundle(2), 30.0, examine)
    assert result.promoted and decision["champion"] is None
    assert any("version 1, cannot run with this code" in reason for reason in decision["reasons"])


def test_a_bundle_that_fails_the_gates_leaves_no_champion(
    home: Workspace, make_bundle: MakeBundle, promote: Promote
) -> None:
    result, decision = promote(make_bundle(1), 99.0, nobody)
    assert result == Result(False, "", "")
    assert decision["outcome"] == "refuse"


def test_promoting_the_champion_again_says_so(home: Workspace, make_bundle: MakeBundle, promote: Promote) -> None:
    promote(make_bundle(1), 20.0, nobody)
    result, decision = promote(make_bundle(1), 20.0, nobody)
    assert result.promoted
    assert decision["outcome"] == "already_champion"
    assert len(Registry(home).versions()) == 1


def test_the_record_must_be_of_this_bundle(
    home: Workspace, make_bundle: MakeBundle, record_of: Callable[..., MetricRecord]
) -> None:
    record_of("0" * 64, 20.0).save(home.root / "record.json")
    with pytest.raises(EgoReactError, match="is of bundle 000000000000"):
        run(home, home.root / "record.json", make_bundle(1), home.root / "decision.json", examine=nobody)


def test_a_damaged_champion_is_named(home: Workspace, make_bundle: MakeBundle, promote: Promote) -> None:
    promote(make_bundle(1), 20.0, nobody)
    (stored,) = home.tracking_artifacts.rglob("gpt.safetensors")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(EgoReactError, match=r"gpt\.safetensors: differs"):
        promote(make_bundle(2), 10.0, nobody)
    assert Registry(home).champion().version == "1"


def test_the_pipelines_run_in_the_tracker_ends_here(
    home: Workspace, make_bundle: MakeBundle, record_of: Callable[..., MetricRecord]
) -> None:
    with track("training", group="tiny 0123", workspace=home):
        pass
    record_of(verify(make_bundle(1))[1], 20.0).save(home.root / "record.json")
    run(
        home,
        home.root / "record.json",
        make_bundle(1),
        home.root / "decision.json",
        examine=nobody,
        group="tiny 0123",
    )
    client = Registry(home).client
    runs = client.search_runs([client.get_experiment_by_name("egoreact").experiment_id])
    assert {each.info.run_name: each.info.status for each in runs if each.info.run_name != "training"} == {
        "tiny 0123": "FINISHED",
        f"bundle {verify(make_bundle(1))[1][:12]}": "FINISHED",
    }
