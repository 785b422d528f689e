import contextlib
import dataclasses

import pytest
from running import make_bundle, make_video
from starlette.testclient import TestClient

from serving.access import Access
from serving.admission import Limits
from serving.app import create_app
from serving.recording import Recorder
from serving.runtime import Runtime, Served


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases") / "bundle"
    make_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def video() -> bytes:
    return make_video()


@pytest.fixture(scope="session")
def loaded(bundle_folder):
    """The runtime with default limits; the bundle is read once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_BUNDLE", str(bundle_folder))
        runtime = Runtime.load(Served.find(), Limits())
    yield runtime
    runtime.close()


@pytest.fixture
def connect(loaded):
    """Makes a client of the application in process, with limits, access and recorder of the test's choice."""
    runtimes = []
    with contextlib.ExitStack() as clients:

        def connect(dist=None, access=None, recorder=None, **limits: int) -> TestClient:
            runtime = Runtime(
                loaded.bundle, loaded.served, dataclasses.replace(Limits(), **limits), access or Access(),
                recorder or Recorder(),
            )  # fmt: skip
            runtimes.append(runtime)
            app = create_app() if dist is None else create_app(dist)
            app.state.runtime = runtime
            # Entered, so that all connections of the client share one event loop, as they do in the service.
            return clients.enter_context(TestClient(app, raise_server_exceptions=False))

        yield connect
    for runtime in runtimes:
        runtime.close()
