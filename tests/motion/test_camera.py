import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from egoreact.errors import EgoReactError
from egoreact.motion.camera import EYES_IN_HEAD_M, camera_from_head, head_from_camera, intrinsics, project

vectors = arrays(np.float64, (3, 3), elements=st.floats(-3, 3))


@given(vectors, vectors)
def test_head_and_camera_are_inverses(position_m, rotation_vectors):
    rotation = Rotation.from_rotvec(rotation_vectors).as_matrix()
    T_world_camera = camera_from_head(position_m, rotation)
    again_m, rotation_again = head_from_camera(T_world_camera)
    np.testing.assert_allclose(again_m, position_m, atol=1e-12)
    np.testing.assert_allclose(rotation_again, rotation, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(T_world_camera), 1.0)


def test_upright_head_looks_along_z_with_left_to_the_left():
    T_world_camera = camera_from_head(np.array([1.0, 1.6, 2.0]), np.eye(3))
    np.testing.assert_allclose(T_world_camera[:3, 3], np.array([1.0, 1.6, 2.0]) + EYES_IN_HEAD_M)
    K = intrinsics(101, 90.0)
    ahead_m = T_world_camera[:3, 3] + np.array([[0, 0, 2], [1, 0, 2], [0, 1, 2], [0, 0, -2]])
    pixels, depth_m = project(ahead_m, T_world_camera, K)
    np.testing.assert_allclose(depth_m, [2, 2, 2, -2])
    np.testing.assert_allclose(pixels[0], [50, 50])
    assert pixels[1, 0] < 50 and pixels[1, 1] == pytest.approx(50)  # the wearer's left, +x, is left in the picture
    assert pixels[2, 1] < 50 and pixels[2, 0] == pytest.approx(50)  # up is up


def test_head_that_turns_left_sees_the_left_in_the_middle():
    turned = Rotation.from_rotvec([0, np.pi / 2, 0]).as_matrix()  # +z to +x
    T_world_camera = camera_from_head(np.zeros(3), turned)
    pixels, depth_m = project(T_world_camera[:3, 3] + np.array([[3.0, 0, 0]]), T_world_camera, intrinsics(64, 60))
    assert depth_m[0] == pytest.approx(3.0)
    np.testing.assert_allclose(pixels[0], 31.5, atol=1e-9)


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(1, 179))
def test_field_of_view_ends_at_the_edges_of_the_image(height, width, fov_degrees):
    K = intrinsics((height, width), fov_degrees)
    edge = np.tan(np.radians(fov_degrees) / 2)
    assert K[0, 0] * edge + K[0, 2] == pytest.approx(width - 0.5)
    assert K[0, 0] * -edge + K[0, 2] == pytest.approx(-0.5, abs=1e-6)
    assert K[0, 0] == K[1, 1] and K[1, 2] == (height - 1) / 2


@pytest.mark.parametrize("size,fov", [(112, 0.0), (112, 180.0), (0, 90.0), ((10, -1), 90.0)])
def test_impossible_cameras_are_refused(size, fov):
    with pytest.raises(EgoReactError):
        intrinsics(size, fov)


def test_single_precision_stays():
    T = camera_from_head(np.zeros((2, 3), np.float32), np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)))
    assert T.dtype == np.float32 and head_from_camera(T)[0].dtype == np.float32
