"""The service runs for real; the page is opened in Debian's Chromium, which pip cannot bring."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from page_driver import DESK, OPTIONS, watch
from relay import Relay
from running import ROOT, make_bundle, make_video, running

WEB = ROOT / "serving" / "web"


@pytest.fixture(scope="module")  # playwright keeps an event loop running in this thread: no longer than needed
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here; install it with: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_built():
    """The page as its sources are now."""
    index = WEB / "dist" / "index.html"
    sources = [*(WEB / "src").iterdir(), WEB / "build.mjs", WEB / "package-lock.json"]
    if index.is_file() and index.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the page is not built and there is no npm; build it with: make web")
    for command in ([] if (WEB / "node_modules").is_dir() else [["ci"]]) + [["run", "build"]]:
        subprocess.run([npm, *command], cwd=WEB, check=True, capture_output=True)


@pytest.fixture(scope="session")
def releases(tmp_path_factory):
    """A folder with a bundle and a sample beside it."""
    folder = tmp_path_factory.mktemp("releases")
    make_bundle(folder / "bundle")
    (folder / "samples").mkdir()
    (folder / "samples" / "thrown_ball.mp4").write_bytes(make_video(61, 96))
    return folder


@pytest.fixture(scope="module")
def serve(releases, page_built):
    """Makes a context of a service that runs, with settings of the test's choice."""

    def serve(**settings: object):
        return running(releases / "home", EGOREACT_BUNDLE=releases / "bundle", EGOREACT_DRAIN_SECONDS=2, **settings)

    return serve


@pytest.fixture(scope="module")
def service(serve):
    with serve() as service:
        yield service


@pytest.fixture
def relay():
    with Relay() as relay:
        yield relay


@pytest.fixture
def visit(chromium):
    """Opens an address as a person would: a window's size, light or dark, moving or not. No page may make a mistake."""
    contexts = []

    def visit(url: str, viewport=DESK, *, ready: bool = True, **taste: object):
        context = chromium.new_context(viewport=viewport, **taste)
        contexts.append(context)
        page = context.new_page()
        watch(page, url)
        page.goto(url)
        if ready:
            page.locator("#start:enabled").wait_for()
        return page

    yield visit
    for context in contexts:
        mistakes = [mistake for page in context.pages for mistake in page.mistakes]
        context.close()
        assert mistakes == []
