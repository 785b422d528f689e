"""From frames to motion in one piece: what sessions give, wherever the bundle lies, and ready for a CUDA graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.streaming.live_batch import LiveBatch
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.streaming.session import ReactionEngine
from egoreact.streaming.slots import ReactionSlots, draw
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.video_depth import DepthModelConfig, VideoDepthConfig

HEIGHT, WIDTH, TOKENS = 30, 44, 20
PUBLISHED_IN_MINIATURE = BackbonesConfig(
    vit=ViTConfig(width=32, layers=1, heads=2, image_size_px=28),
    depth=DepthModelConfig(
        network=VideoDepthConfig(
            width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
            temporal_heads=2, groups=4, short_side_px=28,
        )
    ),
    depth_side=20,
)  # fmt: skip
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def new_bundle(**options: object) -> Bundle:
    """Untrained, but for depth that is not all zero and depends on the frames before."""
    config = tiny().reaction
    bundle = Bundle.untrained(
        replace(config, encoder=PUBLISHED_IN_MINIATURE, gpt=replace(config.gpt, **options)), seed=1
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in bundle.encoder.depth.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    bundle.encoder.depth.head.scratch.output_conv2[2].bias.fill_(2)
    return bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return new_bundle(guidance=3.0)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """(tokens, streams, height, width, 3): the frames 4t of two streams."""
    return np.random.default_rng(0).integers(0, 256, (TOKENS, 2, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.parametrize("eyes", ["backbones", "embedded"])
def test_each_stream_of_a_batch_is_a_session(bundle, untrained_bundle, frames, eyes):
    bundle = bundle if eyes == "backbones" else untrained_bundle
    live = LiveBatch(bundle, [3, 4], height=HEIGHT, width=WIDTH)
    sessions = [ReactionEngine(bundle).open(seed=seed) for seed in (3, 4)]
    for both in frames:
        step = live.step(both)
        for row, session in enumerate(sessions):
            chunk = session.push(both[row])
            for _ in range(3):
                session.push(both[row])
            assert chunk is not None and chunk.token == int(step.tokens[row])
            np.testing.assert_allclose(step.joints_m[row].numpy(), chunk.joints_m, atol=1e-5)


def test_beginning_anew_forgets_everything(bundle, frames):
    live = LiveBatch(bundle, [3, 4], height=HEIGHT, width=WIDTH)
    motions = []
    for _ in range(2):
        live.begin([5, 6])
        motions.append([live.step(both).joints_m for both in frames[:6]])
    assert all(torch.equal(first, again) for first, again in zip(*motions, strict=True))


def test_a_step_neither_asks_nor_is_told_anything_by_the_host(monkeypatch):
    """What a CUDA graph demands: every tensor of every operation lies on the device, and none is read or made elsewhere.

    The meta device refuses to be read at all.
    """
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # autocast does not know the meta device
    live = LiveBatch(new_bundle(guidance=3.0).to("meta"), [0, 1], height=HEIGHT, width=WIDTH)
    rgb = torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8, device="meta")
    draws = torch.zeros(2, dtype=torch.float64, device="meta")
    live.advance(rgb, draws)  # constants are brought to the device once
    held, elsewhere = [tensor.data_ptr() for tensor in live.rows.ring.tensors], []

    class Watch(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            Watch.operations += 1
            tensors = (value for value in tree_iter((args, kwargs, result)) if isinstance(value, torch.Tensor))
            elsewhere.extend(f"{function} {tuple(x.shape)}" for x in tensors if x.device.type != "meta")
            return result

    with Watch():
        live.advance(rgb, draws)
    assert Watch.operations > 500
    assert elsewhere == []
    assert [tensor.data_ptr() for tensor in live.rows.ring.tensors] == held


def test_a_bundle_moves_whole(frames):
    moved = new_bundle().to("meta")
    rows = ReactionStream(moved, [0]).rows
    tensors = [*rows.ring.tensors, rows.tokens, rows.head_velocity_m, rows.decoder, rows.mean, rows.std]
    networks = [*moved.encoder.parameters(), *moved.tokenizer.parameters(), *moved.gpt.parameters()]
    assert {tensor.device.type for tensor in (*tensors, rows.heading.half_yaw, *networks)} == {"meta"}


def test_in_half_precision_motion_stays_in_single(bundle, frames):
    half = new_bundle(guidance=3.0).to("cpu", torch.bfloat16)
    live, exact = (LiveBatch(each, [3, 4], height=HEIGHT, width=WIDTH) for each in (half, bundle))
    assert {tensor.dtype for tensor in (*live.eyes.keys, *live.rows.ring.keys)} == {torch.bfloat16}
    rgb = torch.from_numpy(frames[0])
    seen, truth = live.see(rgb), exact.see(rgb)
    for one, other in ((seen.semantic, truth.semantic), (seen.depth_m, truth.depth_m)):
        assert 0 < float((one.float() - other).abs().max()) < 0.05 * float(other.abs().max())
    for both in frames[1:5]:
        step = live.step(both)
        assert step.joints_m.dtype == step.features.dtype == torch.float32
        assert bool(torch.isfinite(step.joints_m).all())


def test_draws_are_each_streams_own():
    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in (7, 8)]

    both, one = generators(), generators()[1]
    for _ in range(3):
        assert draw(both)[1] == draw([one])[0]


@needs_gpu
def test_on_a_gpu_a_graph_gives_what_the_cpu_gives(bundle, frames):
    torch.backends.cudnn.allow_tf32 = False
    here = LiveBatch(bundle, [3, 4], height=HEIGHT, width=WIDTH, temperature=0)
    there = LiveBatch(new_bundle(guidance=3.0).to("cuda"), [3, 4], height=HEIGHT, width=WIDTH, temperature=0)
    for both in frames:
        step, expected = there.step(both), here.step(both)
        assert torch.equal(step.tokens, expected.tokens)
        torch.testing.assert_close(step.joints_m, expected.joints_m, atol=1e-3, rtol=0)


@needs_gpu
def test_on_a_gpu_slots_give_what_the_cpu_gives():
    config = new_bundle().config.encoder
    slots = [ReactionSlots(new_bundle().to(device), 4) for device in ("cpu", "cuda")]
    taken = [[each.join(seed) for seed in range(3)] for each in slots]
    assert taken[0] == taken[1]
    generator = torch.Generator().manual_seed(0)
    for _ in range(TOKENS):
        seen = {
            slot: FrameFeatures(
                torch.randn(1, config.semantic_dim, generator=generator),
                torch.rand(1, config.depth_side, config.depth_side, generator=generator) * 5,
            )
            for slot in taken[0]
        }
        here, there = (each.step(seen) for each in slots)
        for slot in seen:
            assert torch.equal(here[slot].tokens, there[slot].tokens)
            torch.testing.assert_close(here[slot].joints_m, there[slot].joints_m, atol=1e-3, rtol=0)
