"""Depth Anything V2 for metric depth: used as the video model is, frame by frame, without a memory."""

import pytest
import torch
from eyes import TINY_DEPTH, close, refusal, save_single_frame, video
from transformers import DepthAnythingForDepthEstimation

from egoreact.vision.video_depth import DepthModelConfig, DepthState, SingleFrameDepth, load_depth
from egoreact.vision.video_depth.images import to_images

CONFIG = DepthModelConfig(kind="depth_anything_v2", network=TINY_DEPTH)


@pytest.fixture
def published(tmp_path, monkeypatch) -> DepthAnythingForDepthEstimation:
    monkeypatch.setenv("EGOREACT_DEPTH_ANYTHING", str(tmp_path / "published"))
    return save_single_frame(tmp_path / "published")


def test_it_has_the_same_interface_and_no_memory(published):
    network = load_depth(CONFIG)
    assert isinstance(network, SingleFrameDepth)
    rgb = video(6)
    with torch.no_grad():
        expected_m = published(pixel_values=to_images(rgb, 28)).predicted_depth
    resized = torch.nn.functional.interpolate(expected_m[:, None], (30, 44), mode="bilinear", align_corners=True)
    state = network.initial_state(2, 30, 44)
    depth_m, state = network.step(rgb[[3, 5]], state)
    close(depth_m, resized[[3, 5], 0])
    close(network.step(rgb[[5, 3]], state)[0], resized[[5, 3], 0])
    assert state.ages.tolist() == [2, 2]
    state.reset([1])
    assert DepthState.join(state.split()).ages.tolist() == [2, 0]
    close(network.offline(rgb), resized[:, 0])
    assert 0 < float(depth_m.min()) < float(depth_m.max()) < 20


def test_frames_may_change_their_size(published):
    network = load_depth(CONFIG)
    state = network.initial_state(1, 30, 44)
    assert network.step(video(1, height=60, width=50), state)[0].shape == (1, 60, 50)


def test_another_model_is_refused(published, tmp_path, monkeypatch):
    monkeypatch.setenv("EGOREACT_DEPTH_ANYTHING", str(tmp_path / "relative"))
    save_single_frame(tmp_path / "relative", "relative")
    assert "relative depth" in refusal(load_depth, CONFIG)
    monkeypatch.setenv("EGOREACT_DEPTH_ANYTHING", str(tmp_path / "published"))
    assert "at most 20 m, not 80" in refusal(
        load_depth, DepthModelConfig(kind="depth_anything_v2", network=TINY_DEPTH, max_depth_m=80)
    )
