import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from egoreact.errors import EgoReactError
from egoreact.motion import representation as rep
from egoreact.motion.skeleton import BONE_LENGTHS_M, CHAINS, PARENTS, REST_DIRECTIONS, REST_OFFSETS_M
from tests.motion.conftest import random_motion, rest_pose

seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None)


def yawed(joints_m: torch.Tensor, angle: float, shift_m=(0.0, 0.0, 0.0)) -> torch.Tensor:
    turn = torch.from_numpy(Rotation.from_rotvec([0, angle, 0]).as_matrix()).to(joints_m)
    return joints_m @ turn.T + torch.tensor(shift_m).to(joints_m)


# ---- against the released data


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encoding_is_humanml3d(humanml3d, dtype):
    joints_m, features = humanml3d
    ours = rep.encode(joints_m.to(dtype))
    assert ours.shape == (len(joints_m) - 1, 263) and ours.dtype == dtype
    # The last rows see past the end of the joints through the smoothed heading: the released clip was a frame longer.
    difference = (ours - features[:-1]).abs()[:-85]
    assert difference.max() < 1e-5


def test_decoding_is_humanml3d(humanml3d):
    joints_m, features = humanml3d
    assert (rep.decode(features) - joints_m).abs().max() < 1e-6


def test_retargeting_the_reference_body_changes_only_what_rounding_did(humanml3d):
    joints_m, _ = humanml3d
    assert (rep.retarget(joints_m) - joints_m).abs().max() < 5e-4  # reference lengths are known to 0.1 mm


# ---- against the definition, written down a second time with scipy


def by_definition(joints_m: np.ndarray) -> np.ndarray:
    """Features of a canonical motion, straight from the definition, frame by frame."""

    def norm(v):
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    across = norm((joints_m[:, 1] - joints_m[:, 2]) + (joints_m[:, 17] - joints_m[:, 16]))
    forward = norm(gaussian_filter1d(np.cross([0, 1, 0], across), 20, axis=0, mode="nearest"))

    def between(u, v):
        return Rotation.from_quat([*np.cross(u, v), 1 + u @ v])

    turn = [Rotation.identity()] + [between(f, np.array([0, 0, 1.0])) for f in forward[1:]]
    rows = []
    for t in range(len(joints_m) - 1):
        now, after = joints_m[t], joints_m[t + 1]
        yaw = (turn[t + 1] * turn[t].inv()).as_rotvec()[1] / 2
        root_velocity = turn[t + 1].apply(after[0] - now[0])
        local = turn[t].apply(now - now[0] * [1, 0, 1])
        six = np.zeros((22, 6))
        for chain in CHAINS:
            R = turn[t]
            for parent, joint in pairwise(chain):
                step = R.inv() * between(REST_DIRECTIONS[joint], norm(now[joint] - now[parent]))
                six[joint] = np.concatenate([step.as_matrix()[:, 0], step.as_matrix()[:, 1]])
                R = R * step
        velocity = turn[t].apply(after - now)
        contact = (((after - now) ** 2).sum(-1) < 0.002)[[7, 10, 8, 11]]
        row = [[yaw], root_velocity[[0, 2]], [now[0, 1]], local[1:].ravel(), six[1:].ravel(), velocity.ravel(), contact]
        rows.append(np.concatenate(row))
    return np.array(rows)


@few
@given(seeds)
def test_encoding_is_its_definition(seed):
    joints_m = rep.canonicalise(random_motion(seed))
    np.testing.assert_allclose(
        rep.encode(joints_m, canonical=False).numpy(), by_definition(joints_m.numpy()), atol=1e-7
    )


def test_layout_on_a_motion_one_can_think_through():
    joints_m = rest_pose(9)
    joints_m[:, :, 2] += torch.arange(9, dtype=torch.float64)[:, None] * 0.05  # 1 m/s ahead
    features = rep.encode(joints_m)
    # Shoulders outweigh hips: with the hips' sign wrong the body still faces the right way.
    assert features[:, rep.YAW_VELOCITY].abs().max() < 1e-12
    np.testing.assert_allclose(features[:, rep.ROOT_VELOCITY], [[0.0, 0.05]] * 8, atol=1e-12)
    np.testing.assert_allclose(features[:, rep.ROOT_HEIGHT].squeeze(), joints_m[:8, 0, 1])
    np.testing.assert_allclose(features[0, rep.POSITIONS].reshape(21, 3), joints_m[0, 1:], atol=1e-12)
    np.testing.assert_allclose(features[0, rep.ROTATIONS].reshape(21, 6), [[1, 0, 0, 0, 1, 0]] * 21, atol=1e-12)
    np.testing.assert_allclose(
        features[:, rep.VELOCITIES].reshape(8, 22, 3), np.full((8, 22, 3), [0, 0, 0.05]), atol=1e-12
    )
    assert bool((features[:, rep.CONTACTS] == 0).all())  # 0.05² m² is more than 0.002
    assert bool((rep.encode(rest_pose(9))[:, rep.CONTACTS] == 1).all())


def test_bone_opposite_to_its_rest_direction_has_a_rotation():
    joints_m = rest_pose(3)
    joints_m[:, 20, 1] += 2 * BONE_LENGTHS_M[20]  # the left hand straight up; at rest it hangs
    six = rep.encode(joints_m)[0, rep.ROTATIONS].reshape(21, 6)[19].double()
    first, second = six[:3], six[3:]
    assert first @ second == pytest.approx(0, abs=1e-9) and first.norm() == pytest.approx(1)
    np.testing.assert_allclose(second, [0, -1, 0], atol=1e-9)  # R·(−ŷ) = +ŷ


# ---- both ways


@few
@given(seeds, st.floats(-3.1, 3.1), st.floats(-50, 50), st.floats(-2, 2))
def test_where_and_which_way_a_motion_begins_does_not_matter(seed, angle, x, y):
    joints_m = random_motion(seed)
    torch.testing.assert_close(rep.encode(yawed(joints_m, angle, (x, y, -x))), rep.encode(joints_m), atol=1e-9, rtol=0)


@few
@given(seeds, st.sampled_from([0.1, 0.4, 1.5]))
def test_decoding_gives_back_what_was_encoded(seed, turn):
    joints_m = rep.canonicalise(random_motion(seed, 120, turn=turn))
    torch.testing.assert_close(rep.decode(rep.encode(joints_m)), joints_m[:-1], atol=1e-9, rtol=0)


def test_heading_comes_back_after_whole_turns():
    """Three pirouettes: where the heading passes 180 degrees, a naive difference of half angles changes sign."""
    still = rest_pose(240)
    angles = torch.linspace(0, 6 * torch.pi, 240)
    joints_m = torch.stack([yawed(pose, float(a)) for pose, a in zip(still, angles, strict=True)])
    features = rep.encode(joints_m)
    torch.testing.assert_close(rep.decode(features), rep.canonicalise(joints_m)[:-1], atol=1e-9, rtol=0)
    assert features[100:140, 0].std() < 1e-3  # steady where the smoothing sees no end


@few
@given(seeds)
def test_single_precision_follows_double(seed):
    joints_m = random_motion(seed)
    single = rep.encode(joints_m.float())
    double = rep.encode(joints_m.float().double())
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double()[:, :259], double[:, :259], atol=5e-4, rtol=0
    )  # bones nearly opposite to rest
    torch.testing.assert_close(rep.decode(single).double(), rep.decode(double), atol=1e-5, rtol=0)


def test_batches_of_any_shape_equal_single_clips():
    clips = [random_motion(seed, 25) for seed in range(6)]
    batch = torch.stack(clips).reshape(2, 3, 25, 22, 3)
    features = rep.encode(batch)
    assert features.shape == (2, 3, 24, 263)
    torch.testing.assert_close(
        features.reshape(6, 24, 263), torch.stack([rep.encode(c) for c in clips]), atol=1e-12, rtol=0
    )
    joints_m = rep.decode(features)
    torch.testing.assert_close(joints_m[1, 2], rep.decode(features[1, 2]), atol=1e-12, rtol=0)
    torch.testing.assert_close(rep.retarget(batch)[1, 0], rep.retarget(clips[3]), atol=1e-12, rtol=0)


def test_two_frames_suffice():
    assert rep.encode(random_motion(0, 2)).shape == (1, 263)


# ---- streaming


@few
@given(seeds, st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_streaming_equals_the_whole(seed, sizes):
    features = rep.encode(random_motion(seed, 100)).float().expand(2, -1, -1)
    whole, stream = rep.decode(features), rep.StreamingDecoder()
    start = 0
    for size in sizes:
        piece = stream.step(features[:, start : start + size])
        torch.testing.assert_close(piece, whole[:, start : start + size], atol=1e-6, rtol=0)
        start += size


def test_stream_of_twenty_minutes_does_not_drift():
    features = torch.zeros(24_000, 263)
    features[:, 0], features[:, 2] = 0.01, 0.03
    stream = rep.StreamingDecoder()
    last = [stream.step(piece) for piece in features.split(8)][-1]
    assert (last - rep.decode(features)[-8:]).abs().max() < 1e-6
    assert stream.state is not None and stream.state.half_yaw.abs() <= torch.pi / 2 + 1e-9
    assert (last[-1, 0] - rep.decode(features.double())[-1, 0]).abs().max() < 1e-3


def test_decoding_is_causal():
    features = rep.encode(random_motion(3, 60))
    changed = features.clone()
    changed[30:] += 1.0
    # Row t gives pose t from velocities of rows before it and its own local pose.
    torch.testing.assert_close(rep.decode(changed)[:30], rep.decode(features)[:30], atol=0, rtol=0)
    assert (rep.decode(changed)[30:] - rep.decode(features)[30:]).abs().min(-1).values.max() > 0


def test_head_velocity_is_the_heads_step():
    joints_m = random_motion(1, 10)
    velocity = rep.head_velocity(joints_m)
    assert velocity.shape == (10, 3) and bool((velocity[0] == 0).all())
    torch.testing.assert_close(velocity.cumsum(0), joints_m[:, 15] - joints_m[0, 15])


# ---- retargeting


@few
@given(seeds, st.floats(0.5, 2.0))
def test_retargeting_gives_reference_bones_in_the_same_directions(seed, size):
    source_m = random_motion(seed, 8) * size
    ours = rep.retarget(source_m)
    bones_m, source_bones_m = (j[:, 1:] - j[:, list(PARENTS[1:])] for j in (ours, source_m))
    np.testing.assert_allclose(bones_m.norm(dim=-1), np.tile(BONE_LENGTHS_M[1:], (8, 1)), atol=1e-9)
    cosine = torch.nn.functional.cosine_similarity(bones_m, source_bones_m, dim=-1)
    assert cosine.min() > 1 - 1e-9
    torch.testing.assert_close(rep.retarget(source_m * 1.7), ours)  # the size of the source does not matter
    legs = BONE_LENGTHS_M[5] + BONE_LENGTHS_M[8]
    source_legs = source_bones_m[0, [4, 7]].norm(dim=-1).sum()
    torch.testing.assert_close(ours[:, 0], source_m[:, 0] * legs / source_legs)


# ---- statistics


def test_normaliser_pools_groups_and_inverts():
    clips = [rep.encode(random_motion(seed, 50)).float() for seed in range(4)]
    normaliser = rep.Normaliser.from_features(clips)
    rows = torch.cat(clips)
    torch.testing.assert_close(normaliser.mean, rows.mean(0), atol=1e-5, rtol=1e-4)
    for group in (rep.ROOT_VELOCITY, rep.POSITIONS, rep.ROTATIONS, rep.VELOCITIES):
        assert len(normaliser.std[group].unique()) == 1
        torch.testing.assert_close(normaliser.std[group][0], rows[:, group].std(0, correction=0).mean())
    normal = normaliser.normalise(rows)
    torch.testing.assert_close(normaliser.denormalise(normal), rows, atol=1e-5, rtol=0)
    assert normal.mean(0).abs().max() < 1e-3
    again = rep.Normaliser(**normaliser.tensors())
    assert bool((again.std == normaliser.std).all())


def test_features_that_never_change_stay_finite():
    normaliser = rep.Normaliser.from_features([torch.ones(10, 263)])
    assert normaliser.std.min() >= 0.002
    assert normaliser.normalise(torch.zeros(263)).abs().max() <= 500


def test_normaliser_agrees_with_the_released_statistics(humanml3d):
    """The released Std pools the same groups: equal numbers within each."""
    std = np.load(Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data")) / "humanml3d" / "Std.npy")
    for group in (rep.POSITIONS, rep.ROTATIONS, rep.VELOCITIES, rep.CONTACTS):
        np.testing.assert_allclose(std[group], std[group][0], rtol=1e-4)


# ---- mistakes


@pytest.mark.parametrize(
    "joints_m",
    [
        torch.zeros(1, 22, 3),
        torch.zeros(5, 24, 3),
        torch.zeros(22, 3),
        torch.zeros(5, 22, 3, dtype=torch.int64),
        torch.full((5, 22, 3), float("nan")),
        torch.full((5, 22, 3), float("inf")),
    ],
    ids=["one frame", "24 joints", "no frames", "integers", "nan", "inf"],
)
def test_what_cannot_be_encoded_is_refused(joints_m):
    with pytest.raises(EgoReactError) as caught:
        rep.encode(joints_m)
    assert "\n" not in str(caught.value) and "joints" in str(caught.value)


def test_other_mistakes_are_named():
    joints_m = random_motion(0, 5)
    joints_m[2, 7] = torch.nan
    with pytest.raises(EgoReactError, match="frame 2, joint 7"):
        rep.encode(joints_m)
    with pytest.raises(EgoReactError, match="zero length"):
        rep.retarget(torch.zeros(3, 22, 3))
    with pytest.raises(EgoReactError, match="features"):
        rep.decode(torch.zeros(5, 262))
    with pytest.raises(EgoReactError, match="no rows"):
        rep.Normaliser.from_features([])
    with pytest.raises(EgoReactError, match="std"):
        rep.Normaliser(torch.zeros(263), torch.zeros(263))


def test_reference_offsets_are_consistent():
    np.testing.assert_allclose(np.linalg.norm(REST_OFFSETS_M, axis=1), BONE_LENGTHS_M)
