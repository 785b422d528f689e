"""The service runs for real; the page is opened in Debian's Chromium, which pip cannot bring."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from running import ROOT, make_bundle, make_video, running

DIST = ROOT / "serving" / "web" / "dist"


@pytest.fixture(scope="module")  # playwright keeps an event loop running in this thread: no longer than needed
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here; install it with: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = [
            "--no-sandbox",
            "--enable-unsafe-swiftshader",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
        ]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_built():
    if not (DIST / "index.html").is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("the page is not built and there is no npm; build it with: make web")
        for command in (["ci"], ["run", "build"]):
            subprocess.run([npm, *command], cwd=DIST.parent, check=True, capture_output=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory, page_built):
    releases = tmp_path_factory.mktemp("releases")
    make_bundle(releases / "bundle")
    (releases / "samples").mkdir()
    (releases / "samples" / "thrown_ball.mp4").write_bytes(make_video(61, 96))
    with running(releases / "home", EGOREACT_BUNDLE=releases / "bundle", EGOREACT_MAX_SESSIONS=1) as service:
        yield service
