"""`egoreact react`: a video file in, motion files and a video out; bad input leaves nothing behind."""

import numpy as np
import pytest

from egoreact.cli import main
from egoreact.vision.video import encode_video, read_video


@pytest.fixture(scope="module")
def bundle_folder(untrained_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    untrained_bundle.save(folder)
    return folder


def test_writes_motion_and_a_video(bundle_folder, tmp_path, capsys):
    video = tmp_path / "a walk.mp4"
    video.write_bytes(encode_video(np.random.default_rng(0).integers(0, 255, (31, 48, 64, 3), dtype=np.uint8), fps=30))
    out = tmp_path / "out"
    assert main(["react", str(video), "--out", str(out), "--bundle", str(bundle_folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / f"a walk.{ending}") for ending in ("npz", "bvh", "mp4")]
    with np.load(out / "a walk.npz") as motion:
        assert motion["joints"].shape == (21, 22, 3)
        assert np.isfinite(motion["joints"]).all()
        assert str(motion["bundle_digest"])
    assert (out / "a walk.bvh").read_text().startswith("HIERARCHY")
    assert len(read_video(out / "a walk.mp4")) == 21


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.mp4", None, "no such file"),
        ("text.mp4", b"hello", "cannot be read as video"),
        ("empty.mp4", b"", "cannot be read as video"),
    ],
)
def test_bad_video_is_one_line_and_leaves_nothing(bundle_folder, tmp_path, capsys, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    assert main(["react", str(tmp_path / name), "--out", str(out), "--bundle", str(bundle_folder)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "Traceback" not in error
    assert not out.exists()


def test_no_seconds_hold_no_frame(bundle_folder, tmp_path, capsys):
    assert main(["react", "x.mp4", "--bundle", str(bundle_folder), "--max-seconds", "0"]) == 2
    assert "hold no frame" in capsys.readouterr().err
