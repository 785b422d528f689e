"""The release step: bundle, Bento and record, from a real registry, by BentoML's own build."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.promote.registry import RegisteredBundle, Registry
from components.release.step import release_champion, run
from egoreact.errors import EgoReactError
from egoreact.models.bundle import verify
from egoreact.models.release import read_release, released_bundle
from egoreact.workspace import Workspace
from pipelines.commands import rollback

MakeBundle = Callable[[int], Path]


def crown(home: Workspace, bundle: Path) -> RegisteredBundle:
    registry = Registry(home)
    digest = verify(bundle)[1]
    registered = registry.register(bundle, digest, data_revision="aa.dir", mlflow_run="unknown", tags={})
    registry.crown(registered.version)
    return registered


@pytest.fixture
def without_bento(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of everything else: a build takes seconds, and two tests do it."""
    monkeypatch.setattr("components.release.step.ensure_bento", lambda workspace, release: False)


def test_a_release_is_complete_and_the_second_is_quick(home: Workspace, make_bundle: MakeBundle) -> None:
    registered = crown(home, make_bundle(1))
    release = release_champion(home)
    assert read_release(home) == release
    assert verify(released_bundle(home))[1] == registered.digest == release.digest
    name, version = release.bento.split(":")
    bento = home.root / "bentoml" / "bentos" / name / version
    described = yaml.safe_load((bento / "bento.yaml").read_text())
    assert described["labels"]["model_version"] == "1"
    assert "torch==" in described["image"]["python_requirements"]
    # The workspace inside is what a service finds when it is started from the Bento's files.
    inside = Workspace(bento / "src" / ".egoreact")
    assert verify(released_bundle(inside))[1] == registered.digest
    assert not list(bento.rglob("node_modules"))
    made = (bento / "bento.yaml").stat().st_mtime_ns
    assert release_champion(home) == release
    assert (bento / "bento.yaml").stat().st_mtime_ns == made


@pytest.mark.usefixtures("without_bento")
def test_rollback_releases_the_champion_before(
    home: Workspace, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    first = crown(home, make_bundle(1))
    release_champion(home)
    second = crown(home, make_bundle(2))
    release_champion(home)
    assert read_release(home).digest == second.digest
    rollback()
    assert read_release(home).digest == first.digest
    assert "version 1" in capsys.readouterr().out
    rollback(to=second.version)
    assert read_release(home).version == second.version


@pytest.mark.usefixtures("without_bento")
def test_a_damaged_release_is_fetched_again(home: Workspace, make_bundle: MakeBundle) -> None:
    registered = crown(home, make_bundle(1))
    release_champion(home)
    (released_bundle(home) / "gpt.safetensors").write_bytes(b"")
    release_champion(home)
    assert verify(released_bundle(home))[1] == registered.digest


@pytest.mark.usefixtures("without_bento")
def test_a_damaged_version_is_never_released(home: Workspace, make_bundle: MakeBundle) -> None:
    crown(home, make_bundle(1))
    before = release_champion(home)
    damaged = crown(home, make_bundle(2))
    stored = Registry(home).client.get_model_version("egoreact", damaged.version).source
    shutil.copy(make_bundle(1) / "gpt.safetensors", Path(stored.removeprefix("file://")))
    with pytest.raises(EgoReactError, match="differs from the SHA-256"):
        release_champion(home)
    assert read_release(home) == before
    assert not (home.releases / damaged.digest / "bundle").exists()


def test_mistakes_are_named(home: Workspace, make_bundle: MakeBundle) -> None:
    with pytest.raises(EgoReactError, match="no champion yet"):
        release_champion(home)
    with pytest.raises(EgoReactError, match="no version 3"):
        run(home, "3", "0" * 64)
    crown(home, make_bundle(1))
    with pytest.raises(EgoReactError, match="not 000000000000"):
        run(home, "1", "0" * 64)
