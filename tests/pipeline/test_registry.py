"""The registry on a real SQLite store: versions, aliases, the way back, and what a failure midway leaves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.promote.registry import CHAMPION, NAME, RegisteredBundle, Registry
from egoreact.errors import EgoReactError
from egoreact.models.bundle import verify
from egoreact.workspace import Workspace

MakeBundle = Callable[[int], Path]


@pytest.fixture
def registry(home: Workspace) -> Registry:
    return Registry(home)


def add(registry: Registry, bundle: Path, *, run: str = "unknown") -> RegisteredBundle:
    digest = verify(bundle)[1]
    return registry.register(bundle, digest, data_revision="aa.dir", mlflow_run=run, tags={"decision": "promote"})


def test_an_empty_registry_has_no_champion(registry: Registry) -> None:
    assert registry.champion() is None
    assert registry.previous() is None
    assert registry.versions() == []


def test_promote_twice_and_go_back(registry: Registry, make_bundle: MakeBundle) -> None:
    first, second = add(registry, make_bundle(1)), add(registry, make_bundle(2))
    registry.crown(first.version)
    assert registry.champion() == first
    assert registry.previous() is None
    registry.crown(second.version)
    assert (registry.champion(), registry.previous()) == (second, first)
    assert registry.rollback() == first
    assert (registry.champion(), registry.previous()) == (first, second)
    assert registry.rollback() == second


def test_crowning_the_champion_again_keeps_the_way_back(registry: Registry, make_bundle: MakeBundle) -> None:
    first, second = add(registry, make_bundle(1)), add(registry, make_bundle(2))
    registry.crown(first.version)
    registry.crown(second.version)
    registry.crown(second.version)
    assert registry.previous() == first


def test_a_bundle_has_one_version(registry: Registry, make_bundle: MakeBundle) -> None:
    assert add(registry, make_bundle(1)) == add(registry, make_bundle(1))
    assert len(registry.versions()) == 1


def test_a_version_gives_its_bundle_back(registry: Registry, make_bundle: MakeBundle, tmp_path: Path) -> None:
    registered = add(registry, make_bundle(1))
    registry.download(registered.version, tmp_path / "a" / "bundle")
    assert verify(tmp_path / "a" / "bundle")[1] == registered.digest == verify(make_bundle(1))[1]


def test_the_version_belongs_to_the_run_that_trained_it(
    registry: Registry, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    experiment = registry.client.create_experiment("elsewhere", (tmp_path / "artifacts").as_uri())
    run = registry.client.create_run(experiment).info.run_id
    registered = add(registry, make_bundle(1), run=run)
    assert registered.mlflow_run == run
    (tmp_path / "decision.json").write_text("{}")
    registry.note(run, {"fid": 3.0}, {"decision": "refuse", "reasons": "é" * 9000}, tmp_path / "decision.json")
    noted = registry.client.get_run(run).data
    assert noted.metrics["test/fid"] == 3.0
    assert noted.tags["decision"] == "refuse"


def test_nothing_to_go_back_to(registry: Registry, make_bundle: MakeBundle) -> None:
    with pytest.raises(EgoReactError, match="no champion yet"):
        registry.rollback()
    registry.crown(add(registry, make_bundle(1)).version)
    with pytest.raises(EgoReactError, match="version 1 has no predecessor"):
        registry.rollback()
    with pytest.raises(EgoReactError, match="no version 7"):
        registry.rollback("7")


def test_a_failure_between_the_two_aliases_leaves_the_champion(
    registry: Registry, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(registry, make_bundle(1)), add(registry, make_bundle(2))
    registry.crown(first.version)
    whole = registry.client.set_registered_model_alias

    def power_cut(name: str, alias: str, version: str) -> None:
        if alias == CHAMPION:
            raise KeyboardInterrupt
        whole(name, alias, version)

    monkeypatch.setattr(registry.client, "set_registered_model_alias", power_cut)
    with pytest.raises(KeyboardInterrupt):
        registry.crown(second.version)
    monkeypatch.undo()
    assert registry.champion() == first
    registry.crown(second.version)
    assert (registry.champion(), registry.previous()) == (second, first)


def test_a_server_that_is_away_is_one_line(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(EgoReactError, match=r"http://127.0.0.1:9: the model registry cannot be used") as caught:
        Registry(home).champion()
    assert "\n" not in str(caught.value)


def test_the_model_has_one_name(registry: Registry, make_bundle: MakeBundle) -> None:
    add(registry, make_bundle(1))
    assert [model.name for model in registry.client.search_registered_models()] == [NAME]
