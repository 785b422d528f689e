"""What the walk back refuses, in one line each, and how far it goes where links are missing."""

import json
from pathlib import Path

import pytest

from components.promote.registry import Registry
from components.release.answers import read_answer
from components.release.lineage import lineage
from components.release.lineage_tree import tree
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle, verify
from egoreact.presets import tiny
from egoreact.workspace import Workspace

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = Workspace(tmp_path_factory.mktemp("home"))
        Registry(workspace).champion()
        yield workspace


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no answer of the service"),
        (b"HIERARCHY\nROOT pelvis\n", "no answer of the service"),
        (b'{"joints_m": []}', "does not say which bundle"),
        (b'{"digest": "../../etc"}', "does not say which bundle"),
        (b"[1, 2]", "no answer of the service"),
        (b"\xff\xfe\x00", "no answer of the service"),
        (b"PK\x03\x04 torn", "no answer of the service"),
        (b"glTF\x02\x00\x00\x00" + b"\xff" * 12, "first chunk is not JSON"),
    ],
)
def test_a_file_that_names_no_bundle_is_one_line(tmp_path, content, told):
    path = tmp_path / "answer"
    path.write_bytes(content)
    with pytest.raises(EgoReactError, match=told) as refused:
        read_answer(path)
    assert "\n" not in str(refused.value)


def test_an_answer_that_was_formatted_by_hand_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"version": "3", "digest": DIGEST, "frames": 8}, indent=2))
    answer = read_answer(tmp_path / "a.json")
    assert (answer.digest, answer.version, answer.kind) == (DIGEST, "3", "JSON")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nothing.json", "no file, version or digest"),
        ("7", "no version 7"),
        ("champion", "no champion yet"),
        ("abcdef", "no bundle has a digest that begins so"),
        (DIGEST, "no bundle abababababab here"),
    ],
)
def test_what_leads_nowhere_is_one_line(home, tmp_path, what, told):
    with pytest.raises(EgoReactError, match=told):
        lineage(what, home, tmp_path / "data")


def test_missing_links_are_said_in_their_place(home, tmp_path):
    """A bundle that was registered by hand: no run, no commit, no data revision."""
    Bundle.untrained(tiny().reaction).save(tmp_path / "bundle")
    digest = verify(tmp_path / "bundle")[1]
    Registry(home).register(tmp_path / "bundle", digest, data_revision="none", mlflow_run="none", tags={})
    walk = lineage("1", home, tmp_path / "data")
    assert [name for name, link in walk.items() if "missing" in link] == ["release", "commit", "data", "shards"]
    assert walk["run"]["name"] == f"bundle {digest[:12]}"
    json.dumps(walk)
    assert "names no commit" in str([str(branch.label) for branch in _branches(tree(walk))])


def _branches(branch):
    return [branch, *(each for child in branch.children for each in _branches(child))]


def test_the_path_of_a_bundle_is_its_digest(tmp_path: Path):
    Bundle.untrained(tiny().reaction).save(tmp_path / "bundle")
    assert read_answer(tmp_path / "bundle").digest == read_answer(tmp_path / "bundle" / "bundle.json").digest
    with pytest.raises(EgoReactError, match="is no bundle"):
        read_answer(tmp_path)
