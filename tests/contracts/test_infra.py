"""The cluster's files pass every check that needs no cluster: each overlay, the pipelines, the images, the workflows."""

import pytest

from infra.check.checks import OF_CLUSTERS, OF_FILES
from infra.check.compiled import check_compiled
from infra.check.manifests import OVERLAYS, Rendered, overlays, render

NAMES = [folder.name for folder in overlays()]


@pytest.fixture(scope="module")
def clusters() -> dict[str, Rendered]:
    return {name: render(OVERLAYS / name) for name in NAMES}


def test_there_are_a_machine_and_gpu_nodes() -> None:
    assert NAMES == ["gpu", "kind"]


@pytest.mark.parametrize("overlay", NAMES)
@pytest.mark.parametrize("check", OF_CLUSTERS)
def test_what_an_overlay_renders_is_sound(check: str, overlay: str, clusters: dict[str, Rendered]) -> None:
    assert list(map(str, OF_CLUSTERS[check](clusters[overlay]))) == []


@pytest.mark.parametrize("overlay", NAMES)
def test_the_compiled_pipelines_find_what_they_need(overlay: str, clusters: dict[str, Rendered]) -> None:
    assert list(map(str, check_compiled(cluster=clusters[overlay]))) == []


@pytest.mark.parametrize("check", OF_FILES)
def test_images_and_workflows_are_sound(check: str) -> None:
    assert list(map(str, OF_FILES[check]())) == []
