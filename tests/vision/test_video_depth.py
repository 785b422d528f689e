"""The port of metric Video Depth Anything gives what the official code gives, of whole videos and frame by frame."""

import json

import cv2
import numpy as np
import pytest
import torch
from eyes import TINY_DEPTH, close, filled, refusal, video
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from egoreact.files import sha256_json
from egoreact.vision.video_depth import DepthState, VideoDepth, VideoDepthConfig
from egoreact.vision.video_depth.images import image_size, to_images
from egoreact.vision.video_depth.state import SLOTS, Reading
from egoreact.vision.video_depth.temporal import TemporalAttention
from egoreact.weights import parameter_count

LAYOUT = "931232935a7b66f5"  # of the published checkpoint: its keys, in their order, and their shapes
HEIGHT, WIDTH = 30, 44


@pytest.fixture(scope="module")
def tiny() -> VideoDepth:
    return filled(VideoDepth(TINY_DEPTH))


@pytest.fixture(scope="module")
def small() -> VideoDepth:
    """Of the published size."""
    return filled(VideoDepth(VideoDepthConfig(short_side_px=56)))


def stream(network: VideoDepth, rgb: Tensor) -> Tensor:
    """(frames, height, width) of one stream, fed frame by frame."""
    state = network.initial_state(1, *rgb.shape[1:3])
    return torch.cat([network.step(frame[None], state)[0] for frame in rgb])


# --- the checkpoint -------------------------------------------------------------------------------------------------


def test_the_state_dict_is_the_published_one(small):
    layout = [[key, list(value.shape)] for key, value in small.state_dict().items()]
    assert len(layout) == 351
    assert parameter_count(small) == 29_035_137
    assert sha256_json(layout)[:16] == LAYOUT


def test_the_state_dict_is_the_listed_one(small, shared_data):
    listed = shared_data.parent / "facts" / "vda_small_state_dict.json"
    if not listed.is_file():
        pytest.skip(f"no list of the published keys at {listed}")
    shapes = json.loads(listed.read_text())["state_dict_shapes"]
    assert {key: list(value.shape) for key, value in small.state_dict().items()} == shapes
    assert list(small.state_dict()) == list(shapes)


# --- against the official code --------------------------------------------------------------------------------------


def test_a_stream_and_a_window_give_the_official_depths(small, shared_data):
    path = shared_data / "vda_small_golden.npz"
    if not path.is_file():
        pytest.skip(f"no golden depths at {path}")
    golden = {name: torch.from_numpy(values) for name, values in np.load(path).items()}
    images = torch.randn(44, 3, 56, 84, generator=torch.Generator().manual_seed(100_000))
    state = small.initial_state(1, 56, 84)
    depth_m = torch.cat([small.step_images(image[None], state) for image in images])
    close(depth_m[golden["frames_kept"]], golden["stream"], 1e-4)
    close(small.window(small.pyramid(images[:32]))[[0, 15, 31]], golden["window"], 1e-4)


class Lists:
    """The official streaming, literally: a list of the attention's inputs, all projected anew each time."""

    def __init__(self):
        self.cache: dict[TemporalAttention, list[Tensor]] = {}

    def attend(self, attention: TemporalAttention, x: Tensor) -> Tensor:
        past = self.cache.get(attention)
        seen = [x] if past is None else [*past[:2], *past[-29:], x]
        attended = attention.over_window(torch.stack(seen, dim=1))[:, -1]
        if past is None:
            self.cache[attention] = [x] * 32
        else:
            past.append(x)
            if len(past) > 42:  # t + 32 > 42, with t + 32 entries until then
                del past[1]
        return attended


def test_a_stream_is_the_official_lists_without_the_lists(tiny, monkeypatch):
    rgb = video(90)
    depth_m = stream(tiny, rgb)
    lists = Lists()
    monkeypatch.setattr(TemporalAttention, "over_memory", lambda attention, x, *_: lists.attend(attention, x))
    close(depth_m, stream(tiny, rgb))
    assert len(lists.cache) == 8
    assert float(depth_m.std(dim=0).mean()) > 0.01 * float(depth_m.mean())


def test_each_position_sees_the_official_frame():
    ages = torch.arange(10_000)
    reading = Reading.at(ages)
    ids, slots = [0] * 32, [0] * SLOTS
    for age, write, seen in zip(ages.tolist(), reading.write.tolist(), reading.slots.tolist(), strict=True):
        slots[write] = age
        if age > 0:
            assert [slots[slot] for slot in seen] == [*ids[:2], *ids[-29:], age]
            ids.append(age)
            if age + 32 > 42:
                del ids[1]
    assert reading.hidden.sum(dim=1).tolist() == [31] + [0] * 9_999


def literal_offline(network: VideoDepth, rgb: Tensor) -> Tensor:
    """The official way over a whole video, literally: pictures copied from window to window, scale 1."""
    images = to_images(rgb, network.config.short_side_px)
    count = len(rgb)
    padded = torch.cat([images, images[-1:].repeat((22 - count % 22) % 22 + 10, 1, 1, 1)])
    before, depths = None, []
    for first in range(0, count, 22):
        window = padded[first : first + 32].clone()
        if before is not None:
            window[:10] = before[[0, 12, 24, 25, 26, 27, 28, 29, 30, 31]]
        depth_m = network.window(network.pyramid(window))[:, None]
        depth_m = torch.nn.functional.interpolate(depth_m, rgb.shape[1:3], mode="bilinear", align_corners=True)[:, 0]
        if before is not None:
            for index in range(8):
                depths[index - 8] = depths[index - 8] * (1 - index / 7) + depth_m[2 + index] * (index / 7)
            depth_m = depth_m[10:]
        depths += list(depth_m)
        before = window
    return torch.stack(depths[:count])


@pytest.mark.parametrize("frames", [1, 22, 23, 32, 33, 70])
def test_a_whole_video_is_the_official_windows(tiny, frames):
    rgb = video(frames, seed=1)
    depth_m = tiny.offline(rgb)
    assert depth_m.shape == (frames, HEIGHT, WIDTH)
    close(depth_m, literal_offline(tiny, rgb))


def test_a_whole_video_encodes_each_frame_once(tiny):
    encoded = []
    hook = tiny.pretrained.register_forward_hook(lambda module, inputs, _: encoded.append(len(inputs[0])))
    tiny.offline(video(70))
    hook.remove()
    assert sum(encoded) == 70


def test_the_encoder_is_dinov2(tiny):
    """And when the two encoders could share their work: equal weights, equal images, the table's own size."""
    config = Dinov2Config(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14)
    theirs = Dinov2Model(config).eval()
    ours = tiny.pretrained.state_dict()
    state = {
        "embeddings.cls_token": ours["cls_token"],
        "embeddings.mask_token": ours["mask_token"],
        "embeddings.position_embeddings": ours["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": ours["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": ours["patch_embed.proj.bias"],
        "layernorm.weight": ours["norm.weight"],
        "layernorm.bias": ours["norm.bias"],
    }
    names = {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    names["attn.proj"] = "attention.o_proj"
    for block in range(4):
        for kind in ("weight", "bias"):
            parts = ours[f"blocks.{block}.attn.qkv.{kind}"].chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                state[f"encoder.layer.{block}.attention.{name}_proj.{kind}"] = part
            for name, their_name in names.items():
                state[f"encoder.layer.{block}.{their_name}.{kind}"] = ours[f"blocks.{block}.{name}.{kind}"]
        for scale in (1, 2):
            state[f"encoder.layer.{block}.layer_scale{scale}.lambda1"] = ours[f"blocks.{block}.ls{scale}.gamma"]
    theirs.load_state_dict(state)
    for side, same in ((56, True), (84, False)):
        images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = theirs(pixel_values=images).last_hidden_state
        maps, class_token = tiny.pretrained(images)
        seen = torch.cat([class_token[:, None], maps[-1].flatten(2).mT], dim=1)
        assert torch.allclose(seen, expected, atol=1e-4) == same


# --- a stream -------------------------------------------------------------------------------------------------------


def test_no_key_or_value_is_computed_twice(tiny):
    state = tiny.initial_state(1, HEIGHT, WIDTH)
    projected: list[int] = []
    hooks = [
        projection.register_forward_hook(
            lambda module, inputs, _: projected.append(inputs[0].numel() // inputs[0].shape[-1])
        )
        for attention in tiny.head.attentions
        for projection in (attention.to_k, attention.to_v)
    ]
    counts = []
    for frame in video(50):
        projected.clear()
        tiny.step(frame[None], state)
        counts.append(sum(projected))
    for hook in hooks:
        hook.remove()
    places = sum(memory.shape[2] for memory in (*state.keys, *state.values))
    assert counts == [places + 16 * 32] * 50  # this frame's, and the 32 positions of sixteen projections


def test_ten_thousand_frames_take_no_more_memory_than_one(tiny):
    """Of what remembers, an attention with its keys and values. Two streams show the same until frame 9,950."""
    attention = tiny.head.attentions[0]
    ages = torch.zeros(2, dtype=torch.long)
    keys, values = (torch.zeros(SLOTS, 2, 4, attention.to_k.out_features) for _ in "kv")
    lies = keys.data_ptr(), values.data_ptr()
    frames = torch.randn(64, 4, attention.to_k.in_features, generator=torch.Generator().manual_seed(0))
    apart = []
    with torch.inference_mode():
        for age in range(10_000):
            shown = frames[[age * 7 % 64, (age * 7 + (age >= 9_950)) % 64]]
            seen = attention.over_memory(shown, keys, values, Reading.at(ages))
            ages.add_(1)
            apart.append((seen[0] - seen[1]).abs().max())
    assert (keys.data_ptr(), values.data_ptr()) == lies
    apart = torch.stack(apart)
    assert bool(apart.isfinite().all())
    assert float(apart[:9_950].max()) < 1e-5
    assert float(apart[9_950:].min()) > 1e-2


def test_depth_of_a_long_stream_stays_finite_and_its_state_as_large(tiny):
    state = tiny.initial_state(1, HEIGHT, WIDTH)
    held = state.byte_count
    for frame in video(30).repeat(3, 1, 1, 1):
        depth_m, after = tiny.step(frame[None], state)
        assert after is state
        assert bool(depth_m.isfinite().all())
    assert state.byte_count == held


def test_a_later_frame_changes_no_earlier_depth_but_its_own_and_later_ones(tiny):
    rgb = video(60)
    other = rgb.clone()
    other[40] = 255 - other[40]
    one, two = stream(tiny, rgb), stream(tiny, other)
    assert torch.equal(one[:40], two[:40])
    changed = (one - two).abs().amax((1, 2))
    assert bool((changed[40:] > 0).all())


def test_streams_of_different_ages_step_together_as_they_do_apart(tiny):
    ages = (0, 5, 45)
    videos = [video(age + 9, seed) for seed, age in enumerate(ages)]
    alone = [stream(tiny, rgb) for rgb in videos]
    states = [tiny.initial_state(1, HEIGHT, WIDTH) for _ in ages]
    for state, rgb, age in zip(states, videos, ages, strict=True):
        for frame in rgb[:age]:
            tiny.step(frame[None], state)
    state = DepthState.join(states)
    assert state.ages.tolist() == [0, 5, 45]
    for later in range(8):
        shown = torch.stack([rgb[age + later] for rgb, age in zip(videos, ages, strict=True)])
        depth_m, state = tiny.step(shown, state)
        close(depth_m, torch.stack([expected[age + later] for expected, age in zip(alone, ages, strict=True)]))
    for part, rgb, age, expected in zip(state.split(), videos, ages, alone, strict=True):
        close(tiny.step(rgb[None, age + 8], part)[0][0], expected[age + 8])


def test_reset_starts_a_stream_anew_and_leaves_the_others(tiny):
    rgb, other = video(20), video(20, seed=1)
    state = tiny.initial_state(2, HEIGHT, WIDTH)
    for frame in range(12):
        tiny.step(torch.stack([other[frame], rgb[frame]]), state)
    for memory in (*state.keys, *state.values):
        memory[:, 0] = torch.nan  # what a stream may leave behind
    state.reset([0])
    expected = stream(tiny, rgb)
    for frame in range(5):
        depth_m, _ = tiny.step(torch.stack([rgb[frame], rgb[12 + frame]]), state)
        close(depth_m, torch.stack([expected[frame], expected[12 + frame]]))
    state.reset()
    close(tiny.step(rgb[[0, 0]], state)[0], expected[[0, 0]])


def test_half_precision_memory_takes_half_and_gives_nearly_the_same(tiny):
    rgb = video(50)
    state = tiny.initial_state(1, HEIGHT, WIDTH).to(torch.float16)
    assert state.byte_count < 0.51 * tiny.initial_state(1, HEIGHT, WIDTH).byte_count
    close(torch.cat([tiny.step(frame[None], state)[0] for frame in rgb]), stream(tiny, rgb), 1e-2)


def test_frames_that_do_not_fit_the_state_are_refused(tiny):
    state = tiny.initial_state(1, HEIGHT, WIDTH)
    assert "size changes from 44 x 30 to 44 x 31 px" in refusal(tiny.step, video(1, height=31), state)
    assert "2 frames for 1 streams" in refusal(tiny.step, video(2), state)
    other = tiny.initial_state(1, 31, WIDTH)
    assert "44 x 30 and 44 x 31 px cannot step together" in refusal(DepthState.join, [state, other])


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "image"),
    [
        ((480, 640), (518, 686)),
        ((1080, 1920), (518, 924)),  # 16:9 is not yet too wide
        ((518, 518), (518, 518)),
        ((640, 480), (686, 518)),
        ((400, 1000), (364, 910)),  # 2.5: short side 518 · 1.777 / 2.5 = 368 → 364
        ((16, 8192), (14, 7168)),
    ],
)
def test_an_image_keeps_the_aspect_in_multiples_of_the_patch(frame, image):
    assert image_size(*frame, 518) == image


@pytest.mark.parametrize(("height", "width"), [(30, 44), (200, 150), (56, 56)])
def test_an_image_is_what_opencv_makes_of_the_frame(height, width):
    rgb = video(2, height=height, width=width)
    images = to_images(rgb, 56)
    for frame, image in zip(rgb.numpy(), images, strict=True):
        size = image_size(height, width, 56)
        expected = cv2.resize(frame.astype(np.float32) / 255, size[::-1], interpolation=cv2.INTER_CUBIC)
        expected = (expected - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), expected, atol=2e-4)
