"""Folders of many recordings and bad input: what is good comes in, what is bad is named, nothing is half-written."""

from pathlib import Path

import numpy as np
import pytest

from egoreact.cli import main
from egoreact.errors import EgoReactError
from egoreact.hrd.importers import ImportConfig, find_recordings, import_into, many
from egoreact.hrd.shards import read_manifest, verify_shards
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.export import write_bvh, write_npz

CONFIG = ImportConfig(image_size_px=16, explain=False)


@pytest.fixture(scope="module")
def joints() -> np.ndarray:
    return stage(SimulatorConfig(frames=25, own_body=False), "dog", 1).performance.joints_m.astype(np.float32)


@pytest.fixture
def folder(tmp_path, joints) -> Path:
    """Three good recordings in three formats, four bad ones, and files that are none."""
    folder = tmp_path / "my takes"
    (folder / "sub ☂").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    write_bvh(folder / "a.bvh", joints)
    write_npz(folder / "sub ☂" / "b c.npz", joints)
    np.save(folder / "sub ☂" / "d.npy", joints)
    (folder / "bad 1.bvh").write_text("")
    (folder / "bad 2.npz").write_bytes(b"")
    np.save(folder / "bad 3.npy", np.full((30, 22, 3), np.nan))
    np.save(folder / "short.npy", joints[:10])
    np.save(folder / "Mean.npy", np.zeros(263))
    np.save(folder / ".hidden" / "e.npy", joints)
    (folder / "notes.txt").write_text("nothing")
    return folder


def command(*arguments: object) -> int:
    return main(
        ["hrd", "import", *map(str, arguments), "--licence", "CC0-1.0", "--image-size-px", "16", "--no-explain"]
    )


def test_the_good_come_in_and_the_bad_are_named(folder, tmp_path, capsys):
    assert command(folder, "--folder", tmp_path / "hrd") == 0
    out, err = capsys.readouterr()
    manifest = read_manifest(tmp_path / "hrd")
    verify_shards(tmp_path / "hrd", manifest)
    assert sorted(manifest["source"]) == ["a.bvh", "sub ☂/b c.npz", "sub ☂/d.npy"]
    assert list(manifest["shard"].unique()) == ["train-00000.tar"]
    assert "imported 3 (unknown 3): " in out
    left_out = next(line for line in err.splitlines() if "left out 4, first: " in line)
    assert "bad 1.bvh" in left_out and "Traceback" not in err


def test_strict_stops_and_writes_nothing(folder, tmp_path, capsys):
    assert command(folder, "--folder", tmp_path / "hrd", "--strict") == 2
    assert "bad 1.bvh, line 1: has no HIERARCHY" in capsys.readouterr().err
    assert not (tmp_path / "hrd").exists()


def test_where_nothing_can_be_imported_it_fails(folder, tmp_path, capsys):
    for path in (folder / "a.bvh", folder / "sub ☂" / "b c.npz", folder / "sub ☂" / "d.npy"):
        path.unlink()
    assert command(folder, "--folder", tmp_path / "hrd") == 2
    assert "(and 3 more)" in capsys.readouterr().err
    assert not (tmp_path / "hrd").exists()


def test_a_second_import_adds_nothing(folder, tmp_path, capsys):
    assert command(folder / "a.bvh", "--folder", tmp_path / "hrd") == 0
    state = {path.name: path.read_bytes() for path in (tmp_path / "hrd").iterdir()}
    assert command(folder / "a.bvh", "--folder", tmp_path / "hrd") == 2
    assert "clip id a-000 is there already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "hrd").iterdir()} == state
    assert command(folder, "--folder", tmp_path / "hrd") == 0  # the others
    assert len(read_manifest(tmp_path / "hrd")) == 3


def test_names_that_would_share_an_id_are_kept_apart(tmp_path, joints):
    folder = tmp_path / "takes"
    folder.mkdir()
    for name in ("a b.npy", "a-b.npy", "a_b.npy"):
        np.save(folder / name, joints)
    import_into(tmp_path / "hrd", find_recordings(folder), split="train", licence="x", config=CONFIG)
    ids = sorted(read_manifest(tmp_path / "hrd")["clip_id"])
    assert len(set(ids)) == 3 and "a_b-000" in ids


def test_many_clips_become_shards_as_they_come(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "BATCH_BYTES", 1)
    imported = import_into(tmp_path / "hrd", find_recordings(folder), split="val", licence="x", config=CONFIG)
    assert [path.name for path in imported.shards] == ["val-00000.tar", "val-00001.tar", "val-00002.tar"]
    verify_shards(tmp_path / "hrd", read_manifest(tmp_path / "hrd"))


def test_a_kind_leaves_the_others_out(folder):
    assert [r.name for r in find_recordings(folder, "amass").recordings] == ["bad 2.npz", "sub ☂/b c.npz"]
    with pytest.raises(EgoReactError, match="holds no recording"):
        find_recordings(folder / ".hidden", "bvh")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--category", "ball_lef"), "category: no encounter is called 'ball_lef'; use unknown or one of ball_left"),
        (("--category", "explosion"), "cannot be made up around a motion"),
        (("--frames", 80), "use 4N + 1"),
        (("--fov-degrees", 0), "use 20 to 150 degrees"),
        (("--source-fps", 0), "use 1 to 1000"),
        (("--image-size-px", 15), "use an even side"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(folder, tmp_path, capsys, options, message):
    arguments = [
        "hrd",
        "import",
        str(folder / "a.bvh"),
        "--licence",
        "x",
        "--folder",
        str(tmp_path / "hrd"),
        *map(str, options),
    ]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "hrd").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.bvh", b"", "has no HIERARCHY"),
        ("empty.npy", b"", "is empty"),
        ("empty.npz", b"", "is empty"),
        ("odd ☂ name/x.npz", b"PK", "is not a readable npz"),
        ("video.mp4", b"", "holds no recording this can import"),
        (
            "pickled.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" + b" " * 60 + b"\n",
            "npy",
        ),
    ],
)
def test_files_that_are_nothing_are_one_line_and_exit_code_2(tmp_path, capsys, name, content, message):
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert command(path, "--folder", tmp_path / "hrd") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "hrd").exists()
