"""The encoder's lesson: what the simulator knows of a picture, and that a mirrored picture stays true."""

import numpy as np
import pytest
import torch

from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.presets import tiny
from egoreact.training.checkpoint import FolderStore
from egoreact.training.data import Pictures, gaze_of, object_truth
from egoreact.training.encoder import EncoderLearner
from egoreact.training.loop import LoopConfig, fit
from egoreact.training.world import Draws
from egoreact.vision import frame_encoder
from egoreact.vision.frame_encoder import FrameEncoder
from egoreact.weights import seeded

SIDE = tiny().encoder.model.depth_side


def make_pictures(count: int) -> Pictures:
    """A grey wall at 4 m and a red ball (class 1), nearer where it is bigger, somewhere in the picture."""
    rng = np.random.default_rng(0)
    rgb = np.full((count, 56, 56, 3), 120, np.uint8)
    depth_m, segmentation = torch.full((count, 56, 56), 4.0), torch.zeros(count, 56, 56, dtype=torch.uint8)
    ys, xs = np.mgrid[:56, :56]
    for i in range(count):
        x, y, radius = rng.uniform(10, 46), rng.uniform(10, 46), rng.uniform(5, 14)
        ball = (xs - x) ** 2 + (ys - y) ** 2 < radius**2
        rgb[i][ball] = (220, 30, 30)
        depth_m[i][torch.from_numpy(ball)], segmentation[i][torch.from_numpy(ball)] = 14 / radius, 1
    cells = ((torch.arange(SIDE) + 0.5) * 56 / SIDE).long()
    small = (slice(None), cells[:, None], cells)
    objects = object_truth(depth_m, segmentation)
    gaze = objects[:, 0, 1:3] * -0.4  # as if the eyes had not turned after the ball yet
    return Pictures(torch.from_numpy(rgb), depth_m[small], segmentation[small], objects, gaze)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return make_pictures(96)


def test_truth_of_a_ball_on_the_left():
    depth_m, segmentation = torch.full((1, 8, 8), 4.0), torch.zeros(1, 8, 8, dtype=torch.long)
    segmentation[0, 2:4, :2], depth_m[0, 2:4, :2] = 1, 1.5
    there, x, y, nearness = object_truth(depth_m, segmentation)[0, 0].tolist()
    assert there == 1
    assert x == pytest.approx(-0.857, abs=0.01) and y == pytest.approx(-0.286, abs=0.01)
    assert nearness == pytest.approx(0.5)
    assert object_truth(depth_m, segmentation)[0, 1:].abs().sum() == 0


def test_a_far_ball_between_the_cells_of_the_map_is_there():
    depth_m, segmentation = torch.full((1, 112, 112), 4.0), torch.zeros(1, 112, 112, dtype=torch.long)
    segmentation[0, 75:78, 96:99] = 1
    assert not (segmentation[:, 3::7, 3::7] == 1).any()
    there, x, y, _ = object_truth(depth_m, segmentation)[0, 0].tolist()
    assert (there, x, y) == (1, pytest.approx(2 * 97 / 111 - 1), pytest.approx(2 * 76 / 111 - 1))


def test_gaze_is_left_and_up():
    ahead, left, up = torch.eye(4).repeat(3, 1, 1).unbind()
    left[:3, 2] = torch.tensor([0.6, 0.0, 0.8])
    up[:3, 2] = torch.tensor([0.0, 0.6, 0.8])
    angle = float(torch.asin(torch.tensor(0.6)))
    expected = torch.tensor([[0.0, 0.0], [angle, 0.0], [0.0, angle]])
    torch.testing.assert_close(gaze_of(torch.stack([ahead, left, up])), expected)


def test_a_mirrored_picture_is_mirrored_in_all_that_is_known_of_it(pictures):
    learner = EncoderLearner(FrameEncoder(tiny().encoder.model), pictures, None, tiny().encoder)
    draws = Draws(seed=0, step=0, batch_size=96)
    batch = learner.batch(torch.arange(96), draws)
    mirrored = draws.uniform("mirrored") < 0.5
    assert 20 < int(mirrored.sum()) < 76
    before, after = pictures.objects[:, 0, 1], batch["objects"][:, 0, 1]
    torch.testing.assert_close(after, torch.where(mirrored, -before, before))
    torch.testing.assert_close(batch["gaze"][:, 0], torch.where(mirrored, -1.0, 1.0) * pictures.gaze[:, 0])
    assert torch.equal(batch["gaze"][:, 1], pictures.gaze[:, 1])
    on_the_map = object_truth(batch["depth_m"], batch["segmentation"])[:, 0, 1]
    torch.testing.assert_close(on_the_map, after, atol=0.2, rtol=0)
    # The red ball is where the segmentation says it is.
    redness = (batch["images"][:, 0] - batch["images"][:, 1]).clamp(min=0)
    columns = torch.linspace(-1, 1, 56)
    centre = (redness * columns).sum((-2, -1)) / redness.sum((-2, -1))
    assert float((centre - after).abs().max()) < 0.2


def test_it_learns_to_see(pictures, tmp_path):
    learner = EncoderLearner(seeded(0, lambda: FrameEncoder(tiny().encoder.model)), pictures, pictures, tiny().encoder)
    torch.manual_seed(0)
    with torch.no_grad():
        before = learner.module.eval() and learner.validate()
    fit(learner, LoopConfig(steps=150, batch_size=32, learning_rate=3e-3), store=FolderStore(tmp_path, "x"))
    with torch.no_grad():
        after = learner.module.eval() and learner.validate()
        perceived = learner.module.encode(pictures.rgb)
    assert after["depth_relative_error"] < before["depth_relative_error"] / 2 < 0.5
    assert after["gaze_error_degrees"] < 0.95 * float(pictures.gaze.abs().mean().rad2deg())  # of straight ahead
    near = pictures.segmentation == 1
    assert perceived.depth_m[near].median() < perceived.depth_m[~near].median() - 1


def test_the_encoder_knows_the_data_sets_classes() -> None:
    assert len(SEGMENTATION_CLASSES) == frame_encoder.SEGMENTATION_CLASSES
    assert len(set(SEGMENTATION_CLASSES) - {"static", "own_body"}) == frame_encoder.OBJECT_CLASSES
    assert SEGMENTATION_CLASSES[0] == "static" and SEGMENTATION_CLASSES[-1] == "own_body"
