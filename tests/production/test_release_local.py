"""A release on this machine: the service that runs takes it, or refuses it and serves on with the one before."""

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest
from running import ROOT, environment, free_port, get, make_frames, running, serve_command

from components.promote.registry import Registry
from components.release.local import LocalServices
from components.release.step import run
from egoreact.client.live import LiveSession
from egoreact.client.retry import Backoff
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle, verify
from egoreact.models.local_services import local_services
from egoreact.models.release import DIGEST_VARIABLE, VERSION_VARIABLE, read_release
from egoreact.presets import tiny
from egoreact.workspace import Workspace
from serving.runtime import Served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A workspace with three versions, the first of them released."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("components.release.step.ensure_bento", lambda workspace, release: False)
        workspace = Workspace(tmp_path_factory.mktemp("home"))
        registry = Registry(workspace)
        for seed in range(3):
            folder = tmp_path_factory.mktemp("made") / "bundle"
            Bundle.untrained(tiny().reaction, seed=seed).save(folder)
            registry.register(folder, verify(folder)[1], data_revision="aa.dir", mlflow_run="unknown", tags={})
        release(workspace, "1")
        yield workspace


def release(workspace: Workspace, version: str, place: LocalServices | None = None):
    registry = Registry(workspace)
    registry.crown(version)
    return run(workspace, version, registry.get(version).digest, place=place or LocalServices(workspace))


class Damaging(LocalServices):
    """The disk loses a block after the release was verified."""

    def serve(self, release) -> None:
        weights = self.workspace.releases / release.bundle / "gpt.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        super().serve(release)


def test_a_running_service_takes_what_is_released_and_serves_on_where_it_cannot(home):
    with running(home.root, EGOREACT_DRAIN_SECONDS=1) as service:
        assert [each.digest for each in local_services(home)] == [read_release(home).digest]
        stop, versions = threading.Event(), []

        def watch() -> None:
            """Somebody's live session throughout."""
            with LiveSession(service.url, retry=Backoff(give_up_s=60), on_event=lambda event: None) as session:
                for tick in range(0, 100_000, 4):
                    if stop.is_set():
                        return
                    chunk = session.exchange(tick, make_frames(1)[0])
                    if chunk is not None:
                        versions.append(chunk.version)
                    time.sleep(0.05)

        watching = threading.Thread(target=watch)
        watching.start()
        release(home, "2")
        assert json.loads(get(f"{service.url}/v1/model"))["version"] == "2"
        with pytest.raises(
            EgoReactError, match=r"gpt.safetensors.*version 2 is the release again; the champion is version 2"
        ):
            release(home, "3", Damaging(home))
        assert json.loads(get(f"{service.url}/v1/model"))["version"] == "2"
        assert read_release(home).version == Registry(home).champion().version == "2"
        assert Registry(home).previous().version == "1"
        seen = len(versions)
        while len(versions) < seen + 3:
            time.sleep(0.05)
        stop.set()
        watching.join()
        assert set(versions) <= {"1", "2"} and {versions[0], versions[-1]} == {"1", "2"}
        assert "version 3 cannot be served" in service.log.read_text()
    assert local_services(home) == []


def test_a_service_that_is_tied_to_a_digest_serves_it_or_does_not_start(home, monkeypatch):
    first = Registry(home).get("1")
    with running(home.root, **{DIGEST_VARIABLE: first.digest, VERSION_VARIABLE: "1"}) as service:
        assert json.loads(get(f"{service.url}/v1/model"))["version"] == "1"  # though version 2 is current
        assert local_services(home) == []
    current = home.releases / read_release(home).bundle
    for settings, told in (
        ({DIGEST_VARIABLE: "0" * 64}, "is not released here"),
        ({DIGEST_VARIABLE: "v2"}, "no digest"),
        ({DIGEST_VARIABLE: first.digest, VERSION_VARIABLE: "2"}, "that digest is of version 1"),
        ({DIGEST_VARIABLE: first.digest, "EGOREACT_BUNDLE": current}, "is asked for"),
    ):
        with monkeypatch.context() as patch, pytest.raises(EgoReactError, match=told):
            for name, value in settings.items():
                patch.setenv(name, str(value))
            Served.find(home)
    command, settings = serve_command(free_port()), environment(home.root, **{DIGEST_VARIABLE: "0" * 64})
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "is not released here" in done.stderr


def test_the_note_of_a_service_that_was_killed_says_nothing(tmp_path: Path):
    workspace = Workspace(tmp_path)
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "127.0.0.1-3000.json").write_text('{"url": "http://127.0.0.1:3000"}')
    (folder / "127.0.0.1-3000.lock").touch()
    assert local_services(workspace) == []
