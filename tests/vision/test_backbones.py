"""The published eyes: a stream sees what the whole clip shows, each network runs once a frame, memory stays as it is."""

from dataclasses import replace

import pytest
import torch
from eyes import TINY_DEPTH, TINY_EYES, close, refusal, save_dinov2, save_single_frame, tiny_eyes, video
from torch import nn

from egoreact.vision.backbones import Backbones, BackbonesConfig, load_backbones
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.frames import in_pieces
from egoreact.vision.video_depth import DepthModelConfig, DepthState
from egoreact.weights import load_network, save_network

SINGLE = DepthModelConfig(kind="depth_anything_v2", network=TINY_DEPTH)
CONFIGS = {
    "paper": TINY_EYES,
    "one encoder": replace(TINY_EYES, semantics="depth_encoder"),
    "single frame": replace(TINY_EYES, depth=SINGLE),
    "single frame, one encoder": replace(TINY_EYES, depth=SINGLE, semantics="depth_encoder"),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@pytest.fixture(scope="module")
def eyes() -> Backbones:
    return tiny_eyes()


def stream(eyes: Backbones, rgb: torch.Tensor) -> FrameFeatures:
    state = eyes.initial_state(1, *rgb.shape[1:3])
    return FrameFeatures.join([eyes.perceive(frame[None], state)[0] for frame in rgb])


def agree(one: FrameFeatures, other: FrameFeatures, relative: float = 1e-4) -> None:
    close(one.semantic, other.semantic, relative)
    close(one.depth_m, other.depth_m, relative)


@each_config
def test_a_stream_sees_what_the_whole_clip_shows(config):
    eyes, rgb = tiny_eyes(config), video(70, height=40, width=60)
    assert len(list(in_pieces(rgb))) == 3
    seen = eyes.encode(rgb)
    assert seen.semantic.shape == (70, config.semantic_dim)
    assert seen.depth_m.shape == (70, config.depth_side, config.depth_side)
    agree(stream(eyes, rgb), seen)
    assert float(seen.semantic.std(0).mean()) > 0 and float(seen.depth_m.std()) > 0


def test_what_was_seen_before_changes_the_depth_seen_now(eyes):
    rgb, other = video(8), video(8)
    other[0] = 255 - other[0]
    one, two = eyes.encode(rgb), eyes.encode(other)
    assert float((one.depth_m - two.depth_m)[1:].abs().amin(0).max()) > 0
    assert torch.equal(one.semantic[1:], two.semantic[1:])


def test_no_later_frame_changes_what_was_seen(eyes):
    rgb = video(12)
    other = rgb.clone()
    other[7:] = 255 - other[7:]
    one, two = eyes.encode(rgb), eyes.encode(other)
    agree(FrameFeatures(one.semantic[:7], one.depth_m[:7]), FrameFeatures(two.semantic[:7], two.depth_m[:7]), 1e-6)


def runs(network: nn.Module, counted: list[str], name: str) -> None:
    network.register_forward_pre_hook(lambda *_: counted.append(name))


@pytest.mark.parametrize(("semantics", "expected"), [("dinov2", ["depth's", "dinov2"]), ("depth_encoder", ["depth's"])])
@pytest.mark.parametrize("depth", [TINY_EYES.depth, SINGLE], ids=["video", "single frame"])
def test_each_transformer_runs_once_a_frame(semantics, expected, depth):
    eyes = tiny_eyes(replace(TINY_EYES, semantics=semantics, depth=depth))
    counted: list[str] = []
    # The first block of each, however it is called.
    runs(eyes.depth.pretrained.blocks[0] if depth.kind == "video_depth_anything"
         else eyes.depth.network.backbone.encoder.layer[0], counted, "depth's")  # fmt: skip
    assert (eyes.vit is None) == (semantics == "depth_encoder")
    if eyes.vit is not None:
        runs(eyes.vit.encoder.layer[0], counted, "dinov2")
    state = eyes.initial_state(3, 40, 60)
    eyes.perceive(video(3, height=40, width=60), state)
    assert counted == expected


def test_semantics_of_the_depth_encoder_are_its_class_token():
    eyes, rgb = tiny_eyes(CONFIGS["one encoder"]), video(2, height=40, width=40)
    with torch.no_grad():
        expected = eyes.depth.pretrained(eyes.depth._images(rgb))[1]
    close(eyes.encode(rgb).semantic, expected)


def test_depth_is_the_centre_square_at_the_pixel_nearest_each_cell(eyes):
    rgb = video(1, height=28, width=42)
    state = eyes.depth.initial_state(1, 28, 28)
    depth_m, _ = eyes.depth.step(rgb[:, :, 7:35], state)  # the square at the image's own size, 28
    nearest = ((torch.arange(20) + 0.5) * 28 / 20).long()
    close(eyes.encode(rgb).depth_m, depth_m[:, nearest][:, :, nearest])


def test_streams_of_different_ages_see_together_what_they_see_apart(eyes):
    ages = (0, 3, 45)
    videos = [video(age + 4, seed) for seed, age in enumerate(ages)]
    alone = [eyes.encode(rgb) for rgb in videos]
    states = [eyes.initial_state(1, 30, 44) for _ in ages]
    for state, rgb, age in zip(states, videos, ages, strict=True):
        for frame in rgb[:age]:
            eyes.perceive(frame[None], state)
    state = DepthState.join(states)
    for later in range(3):
        seen, state = eyes.perceive(
            torch.stack([rgb[age + later] for rgb, age in zip(videos, ages, strict=True)]), state
        )
        for row, (expected, age) in enumerate(zip(alone, ages, strict=True)):
            close(seen.semantic[row], expected.semantic[age + later], 1e-4)
            close(seen.depth_m[row], expected.depth_m[age + later], 1e-4)
    state.reset([2])
    seen, _ = eyes.perceive(torch.stack([videos[0][3], videos[1][6], videos[2][0]]), state)
    close(seen.depth_m[1], alone[1].depth_m[6], 1e-4)
    close(seen.depth_m[2], alone[2].depth_m[0], 1e-4)


def test_the_state_stays_as_large_as_it_was(eyes):
    state = eyes.initial_state(1, 30, 44)
    held, lies = state.byte_count, [memory.data_ptr() for memory in (*state.keys, *state.values)]
    for frame in video(60).repeat(2, 1, 1, 1):
        _, state = eyes.perceive(frame[None], state)
    assert state.byte_count == held
    assert [memory.data_ptr() for memory in (*state.keys, *state.values)] == lies


def test_a_remembering_stream_refuses_another_size_and_goes_on(eyes):
    rgb = video(6)
    expected, state = eyes.encode(rgb), eyes.initial_state(1, 30, 44)
    for frame in rgb[:4]:
        eyes.perceive(frame[None], state)
    said = refusal(eyes.perceive, video(1, height=60, width=80), state)
    assert "from 44 x 30 to 80 x 60 px" in said and "open a new session" in said
    close(eyes.perceive(rgb[4:5], state)[0].depth_m, expected.depth_m[4:5], 1e-4)


def test_without_memory_the_size_may_change():
    eyes = tiny_eyes(CONFIGS["single frame"])
    state = eyes.initial_state(1, 30, 44)
    for height, width in ((30, 44), (60, 80), (16, 16)):
        rgb = video(1, height=height, width=width)
        agree(eyes.perceive(rgb, state)[0], eyes.encode(rgb))


# --- published weights and back -------------------------------------------------------------------------------------


@each_config
def test_published_weights_come_in_whole_and_lie_in_the_folder(config, tmp_path, monkeypatch):
    made = tiny_eyes(config)
    if made.vit is not None:
        made.vit = save_dinov2(tmp_path / "dinov2")
    if config.depth.kind == "video_depth_anything":
        torch.save(made.depth.state_dict(), tmp_path / "depth.pth")
    else:
        made.depth.network = save_single_frame(tmp_path / "depth")
    monkeypatch.setenv("EGOREACT_DINOV2", str(tmp_path / "dinov2"))
    monkeypatch.setenv("EGOREACT_VIDEO_DEPTH", str(tmp_path / "depth.pth"))
    monkeypatch.setenv("EGOREACT_DEPTH_ANYTHING", str(tmp_path / "depth"))
    loaded = load_backbones(config)
    rgb = video(3)
    agree(loaded.encode(rgb), made.encode(rgb), 1e-6)
    save_network(tmp_path / "encoder", loaded, config)
    agree(load_network(tmp_path / "encoder", BackbonesConfig, Backbones).encode(rgb), made.encode(rgb), 1e-6)


def test_what_is_missing_is_told_once_and_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("EGOREACT_DINOV2", str(tmp_path / "none"))
    assert "facebook/dinov2-small" in refusal(load_backbones, TINY_EYES)
