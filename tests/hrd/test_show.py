"""Looking at a clip: a sheet that shows what is in it, and a Rerun recording that gives it back."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd import encounter_sheet
from egoreact.hrd.clip import Clip
from egoreact.hrd.plots import CLASS_COLOURS
from egoreact.hrd.rerun_recording import write_recording
from egoreact.hrd.shards import write_manifest, write_shard
from egoreact.hrd.show import BAD, GOOD, MOMENTS, contact_sheet, eventful_moments, find_clip, write_sheet
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.hrd_commands import hrd_show
from egoreact.motion.camera import project
from egoreact.motion.skeleton import HEAD


@pytest.fixture(scope="module")
def clip() -> Clip:
    return simulate_clip(SimulatorConfig(frames=41, image_size_px=48), "ball_left", 3, "sim-train-00003", "train")


@pytest.fixture
def folder(clip, tmp_path) -> Path:
    folder = tmp_path / "data" / "hrd"
    write_manifest(folder, write_shard(folder / "train-00000.tar", [clip]))
    return folder


def share_of(sheet: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((sheet == colour).all(-1).mean())


def test_a_sheet_says_whether_the_clip_passes(clip):
    sheet = contact_sheet(clip)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 1598
    assert share_of(sheet, GOOD) > 0.001 and share_of(sheet, BAD) == 0
    late = replace(clip, T_world_camera=np.roll(clip.T_world_camera, 5, axis=0))
    assert share_of(contact_sheet(late), BAD) > 0.001


def test_a_sheet_without_depth_and_classes_is_shorter(clip):
    bare = replace(clip, depth_mkv=None, segmentation_mkv=None)
    assert 350 < contact_sheet(clip).shape[0] - contact_sheet(bare).shape[0] < 380


def test_classes_of_the_clip_are_in_the_legend(clip):
    sheet = contact_sheet(clip)
    assert share_of(sheet, CLASS_COLOURS["ball"]) > 0 and share_of(sheet, CLASS_COLOURS["vehicle"]) == 0


def test_moments_follow_the_events(clip):
    moments = eventful_moments(clip)
    assert len(moments) == MOMENTS and moments[0] == 0 and moments[-1] == clip.num_frames - 1
    assert (np.diff(moments) > 0).all()
    speed = np.linalg.norm(np.diff(clip.joints_m[:, HEAD], axis=0), axis=1)
    busy = int(speed.argmax())
    assert np.abs(moments - busy).min() <= np.diff(moments).min() + 1


def test_the_command_finds_a_clip_by_id_or_in_a_shard(folder, tmp_path, capsys):
    hrd_show("sim-train-00003", folder=folder, out=tmp_path / "sheet.png")
    hrd_show("sim-train-00003", shard=folder / "train-00000.tar", out=tmp_path / "again.png")
    assert (tmp_path / "sheet.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 1598
    assert str(tmp_path / "sheet.png") in capsys.readouterr().out


@pytest.mark.parametrize("place", ["", "train-00000.tar"])
def test_an_unknown_id_names_its_neighbours(folder, place):
    with pytest.raises(EgoReactError, match="holds no clip 'sim-train-0003'; try one of sim-train-00003") as caught:
        find_clip(folder / place, "sim-train-0003")
    assert "\n" not in str(caught.value)


def test_other_names_are_refused(clip, tmp_path):
    with pytest.raises(EgoReactError, match=r"let it end in \.png or \.jpg"):
        write_sheet(clip, tmp_path / "sheet.txt")
    with pytest.raises(EgoReactError, match=r"let it end in \.rrd"):
        write_recording(clip, tmp_path / "clip.rec")
    assert not any(tmp_path.iterdir())


def test_a_recording_gives_the_clip_back(clip, tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is an extra")
    from rerun.chunk import RrdReader

    path = write_recording(clip, tmp_path / "clip.rrd")
    assert [file.name for file in tmp_path.iterdir()] == ["clip.rrd"]
    reader = RrdReader(path)
    assert len(reader.blueprints()) == 1 and [entry.recording_id for entry in reader.recordings()] == [clip.id]
    columns = {}
    for chunk in reader.store().stream().to_chunks():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            columns.setdefault((chunk.entity_path, name), []).extend(batch.column(name).to_pylist())
    joints = np.array(columns["/world/body/joints", "Points3D:positions"])
    np.testing.assert_allclose(joints, clip.joints_m, atol=1e-6)
    assert [seconds.total_seconds() for seconds in columns["/world/body/joints", "time"]] == pytest.approx(
        [frame / 20 for frame in range(41)]
    )
    translations = np.array(columns["/world/camera", "Transform3D:translation"])[:, 0]
    np.testing.assert_allclose(translations, clip.T_world_camera[:, :3, 3], atol=1e-6)
    # Column by column, as Rerun keeps matrices.
    rotations = np.array(columns["/world/camera", "Transform3D:mat3x3"])[:, 0].reshape(-1, 3, 3).swapaxes(1, 2)
    np.testing.assert_allclose(rotations, clip.T_world_camera[:, :3, :3], atol=1e-6)
    pinhole = np.array(columns["/world/camera", "Pinhole:image_from_camera"][0]).reshape(3, 3).T
    np.testing.assert_allclose(pinhole, clip.K, atol=1e-4)
    assert np.array(columns["/world/body/bones", "LineStrips3D:strips"]).shape == (41, 21, 2, 3)
    assert np.array(columns["/world/head_path", "LineStrips3D:strips"]).shape == (1, 1, 41, 3)
    depths = columns["/world/camera/depth", "EncodedDepthImage:blob"]
    assert len(depths) == len(columns["/world/camera/image", "EncodedImage:blob"]) == 41
    png = np.asarray(depths[20][0], np.uint8)
    np.testing.assert_allclose(cv2.imdecode(png, cv2.IMREAD_UNCHANGED) / 1000, clip.depth_m[20], atol=6e-4)
    assert columns["/world/camera/depth", "EncodedDepthImage:meter"][0] == [1000.0]
    # The points of what is seen fall back on the pixels they came from.
    points_m = np.array(columns["/world/seen", "Points3D:positions"][20])
    pixels, depth_m = project(points_m, clip.T_world_camera[20], clip.K)
    u, v = np.round(pixels).astype(int).T
    np.testing.assert_allclose(pixels, np.stack([u, v], 1), atol=1e-3)
    np.testing.assert_allclose(depth_m, clip.depth_m[20][v, u], atol=1e-3)
    assert len(points_m) == ((clip.depth_m[20] > 0) & (clip.depth_m[20] < 6)).sum()


def test_without_rerun_one_line_says_what_to_install(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(EgoReactError, match=r'install it with: pip install "egoreact\[look\]"'):
        write_recording(clip, tmp_path / "clip.rrd")


def test_the_sheet_of_encounters_shows_every_kind(tmp_path, monkeypatch):
    few = {name: ENCOUNTERS[name] for name in ("ball_left", "car", "hug")}
    monkeypatch.setattr(encounter_sheet, "ENCOUNTERS", few)
    path = tmp_path / "sheet.png"
    encounter_sheet.write_encounter_sheet(path, image_size_px=32)
    sheet = cv2.imread(str(path))
    shown = [sheet[8:40, 8 + 40 * k : 40 + 40 * k] for k in range(4)]
    assert [picture.std() > 5 for picture in shown] == [True, True, True, False]
    with pytest.raises(EgoReactError, match="no name of a picture"):
        encounter_sheet.write_encounter_sheet(tmp_path / "sheet.txt")
