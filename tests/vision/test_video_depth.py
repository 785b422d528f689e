"""The port of metric Video Depth Anything gives what the official code gives, of whole videos and frame by frame."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, Dinov2Model

from egoreact.errors import EgoReactError
from egoreact.files import sha256_json
from egoreact.vision.video_depth import (
    DepthModelConfig,
    DepthState,
    SingleFrameDepth,
    VideoDepth,
    VideoDepthConfig,
    load_depth,
    load_single_frame_depth,
    load_video_depth,
)
from egoreact.vision.video_depth.images import image_size, to_images
from egoreact.vision.video_depth.state import SLOTS, Reading
from egoreact.vision.video_depth.temporal import TemporalAttention, attend_over_memory
from egoreact.weights import parameter_count

TINY = VideoDepthConfig(
    width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8, temporal_heads=2,
    groups=4, short_side_px=28,
)  # fmt: skip
LAYOUT = "931232935a7b66f5"  # of the published checkpoint: its keys, in their order, and their shapes
HEIGHT, WIDTH = 30, 44


def filled(network: VideoDepth) -> VideoDepth:
    """Weights that depend on each key's place alone: the rule that the golden depths were made by."""
    for place, (key, value) in enumerate(network.state_dict().items()):
        if key.endswith(".pe"):
            continue
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(place))
        if value.ndim >= 2:
            value.copy_(noise / (2500 if "pos_embed" in key or "token" in key else value[0].numel()) ** 0.5)
        else:
            value.copy_(0.1 * noise + (1 if key.endswith(("weight", "gamma")) else 0))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tiny() -> VideoDepth:
    return filled(VideoDepth(TINY))


@pytest.fixture(scope="module")
def small() -> VideoDepth:
    """Of the published size."""
    return filled(VideoDepth(VideoDepthConfig(short_side_px=56)))


def video(frames: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.randint(
        0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def stream(network: VideoDepth, rgb: Tensor) -> Tensor:
    """(frames, height, width) of one stream, fed frame by frame."""
    state = network.initial_state(1, *rgb.shape[1:3])
    return torch.cat([network.step(frame[None], state)[0] for frame in rgb])


def close(actual: Tensor, expected: Tensor, relative: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=relative, atol=relative * float(expected.abs().max()))


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


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_checkpoint_loads_strictly_in_both_formats(tmp_path, small, suffix, monkeypatch):
    path = tmp_path / f"metric_video_depth_anything_vits{suffix}"
    torch.save(small.state_dict(), path) if suffix == ".pth" else save_file(small.state_dict(), path)
    monkeypatch.setenv("EGOREACT_VIDEO_DEPTH", str(path))
    loaded = load_video_depth()
    assert not loaded.training
    for key, value in small.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert loaded.pretrained.pos_embed.device.type == "cpu"


def test_half_precision_weights_run_in_single(tmp_path, tiny):
    torch.save({key: value.half() for key, value in tiny.state_dict().items()}, tmp_path / "half.pth")
    loaded = load_video_depth(tmp_path / "half.pth", TINY)
    close(stream(loaded, video(2)), stream(tiny, video(2)), 2e-2)


def refusal(function, *arguments, **options) -> str:
    with pytest.raises(EgoReactError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_says_which_from_where_and_under_what_licence(tmp_path, monkeypatch):
    monkeypatch.delenv("EGOREACT_VIDEO_DEPTH", raising=False)
    for said in (
        refusal(load_video_depth),
        refusal(load_video_depth, tmp_path / "none.pth"),
        refusal(load_video_depth, tmp_path),
    ):
        assert "metric_video_depth_anything_vits.pth" in said
        assert "depth-anything/Metric-Video-Depth-Anything-Small" in said
        assert "Apache-2.0" in said
        assert "EGOREACT_VIDEO_DEPTH" in said


def test_what_does_not_fit_is_named(tmp_path, tiny):
    def said(change, name: str = "weights.pth") -> str:
        state = dict(tiny.state_dict())
        change(state)
        torch.save(state, tmp_path / name)
        return refusal(load_video_depth, tmp_path / name, TINY)

    missing = said(lambda state: [state.pop(key) for key in list(state) if "refinenet2" in key])
    assert "lacks head.scratch.refinenet2.out_conv.weight (10 of 239 keys)" in missing
    assert "holds more, which" in said(lambda state: state.update(more=torch.zeros(1)))
    wide = said(lambda state: state.update({"pretrained.norm.bias": torch.zeros(17)}))
    assert "pretrained.norm.bias is (17,), not (16,)" in wide
    assert "relative depth" in said(lambda state: None, "video_depth_anything_vits.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 a broken archive", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_broken_file_is_one_line(tmp_path, content, suffix):
    (tmp_path / f"broken{suffix}").write_bytes(content)
    assert "metric_video_depth_anything_vits.pth" in refusal(load_video_depth, tmp_path / f"broken{suffix}", TINY)


class Code:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(tmp_path, tiny):
    torch.save(dict(tiny.state_dict()) | {"code": Code(tmp_path / "was-run")}, tmp_path / "evil.pth")
    assert "cannot be read as plain weights" in refusal(load_video_depth, tmp_path / "evil.pth", TINY)
    assert not (tmp_path / "was-run").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    assert "something else than named weights" in refusal(load_video_depth, tmp_path / "list.pth", TINY)


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
    rgb = video(100)
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
            expected = theirs(pixel_values=images).last_hidden_state[:, 1:]
        assert torch.allclose(tiny.pretrained(images)[-1].flatten(2).mT, expected, atol=1e-4) == same


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
    """Through all that remembers: a temporal module and its state. Two streams show the same until frame 9,950."""
    whole = tiny.initial_state(2, 28, 28)
    state = DepthState((28, 28), whole.ages, whole.keys[:2], whole.values[:2])
    held, lies = state.byte_count, [memory.data_ptr() for memory in (*state.keys, *state.values)]
    frames = torch.randn(64, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    module, apart = tiny.head.motion_modules[0], []
    with torch.inference_mode():
        for age in range(10_000):
            shown = frames[[age * 7 % 64, (age * 7 + (age >= 9_950)) % 64]]
            seen = module(shown, attend_over_memory(state))
            state.ages.add_(1)
            apart.append((seen[0] - seen[1]).abs().max())
    assert state.byte_count == held
    assert [memory.data_ptr() for memory in (*state.keys, *state.values)] == lies
    assert state.ages.tolist() == [10_000, 10_000]
    apart = torch.stack(apart)
    assert bool(apart.isfinite().all())
    assert float(apart[:9_950].max()) < 1e-5
    assert float(apart[9_950:].min()) > 1e-2


def test_depth_of_a_long_stream_stays_finite_and_its_state_as_large(tiny):
    state = tiny.initial_state(1, HEIGHT, WIDTH)
    held = state.byte_count
    for frame in video(50).repeat(3, 1, 1, 1):
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
    videos = [video(60, seed) for seed in range(3)]
    alone = [stream(tiny, rgb) for rgb in videos]
    ages = (0, 5, 45)
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
    state = tiny.initial_state(1, HEIGHT, WIDTH, dtype=torch.float16)
    assert state.byte_count < 0.51 * tiny.initial_state(1, HEIGHT, WIDTH).byte_count
    close(torch.cat([tiny.step(frame[None], state)[0] for frame in rgb]), stream(tiny, rgb), 1e-2)


def test_frames_that_do_not_fit_the_state_are_refused(tiny):
    state = tiny.initial_state(1, HEIGHT, WIDTH)
    assert "44 x 31 px in a stream of 44 x 30" in refusal(tiny.step, video(1, height=31), state)
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


# --- frame by frame, Depth Anything V2 ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder as transformers saves it, of the published architecture, tiny."""
    return save_single_frame(tmp_path_factory.mktemp("depth-anything") / "metric", "metric")


def save_single_frame(folder: Path, kind: str) -> Path:
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type=kind, max_depth=20,
    )  # fmt: skip
    torch.manual_seed(0)
    network = DepthAnythingForDepthEstimation(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    return folder


def test_depth_anything_v2_has_the_same_interface_and_no_memory(published):
    network = load_depth(DepthModelConfig(kind="depth_anything_v2", source=str(published), short_side_px=28))
    assert isinstance(network, SingleFrameDepth)
    rgb = video(6)
    expected = DepthAnythingForDepthEstimation.from_pretrained(published).eval()
    with torch.no_grad():
        expected_m = expected(pixel_values=to_images(rgb, 28)).predicted_depth
    resized = torch.nn.functional.interpolate(expected_m[:, None], (HEIGHT, WIDTH), mode="bilinear", align_corners=True)
    state = network.initial_state(2, HEIGHT, WIDTH)
    depth_m, state = network.step(rgb[[3, 5]], state)
    close(depth_m, resized[[3, 5], 0])
    close(network.step(rgb[[5, 3]], state)[0], resized[[5, 3], 0])
    assert state.ages.tolist() == [2, 2]
    state.reset([1])
    assert DepthState.join(state.split()).ages.tolist() == [2, 0]
    close(network.offline(rgb), resized[:, 0])
    assert 0 < float(depth_m.min()) < float(depth_m.max()) < 20


def test_depth_anything_v2_is_refused_by_name(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wanted = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"
    assert wanted in refusal(load_single_frame_depth, str(tmp_path / "none"))
    assert wanted in refusal(load_single_frame_depth, str(tmp_path), "0" * 40)
    assert "relative depth" in refusal(load_single_frame_depth, str(save_single_frame(tmp_path / "r", "relative")))
    lacking = save_single_frame(tmp_path / "lacking", "metric")
    state = load_file(lacking / "model.safetensors")
    del state["head.conv3.bias"]
    save_file(state, lacking / "model.safetensors", metadata={"format": "pt"})
    assert "lacks head.conv3.bias (1 of " in refusal(load_single_frame_depth, str(lacking))
    (lacking / "model.safetensors").unlink()
    torch.save(state, lacking / "pytorch_model.bin")
    assert "no weights of metric depth" in refusal(load_single_frame_depth, str(lacking))


def test_video_depth_anything_is_the_default(tmp_path, tiny, monkeypatch):
    monkeypatch.delenv("EGOREACT_VIDEO_DEPTH", raising=False)
    assert "metric_video_depth_anything_vits.pth" in refusal(load_depth, DepthModelConfig())
    torch.save(tiny.state_dict(), tmp_path / "tiny.pth")
    said = refusal(load_depth, DepthModelConfig(source=str(tmp_path / "tiny.pth")))
    assert "lacks pretrained.blocks.4.norm1.weight" in said
