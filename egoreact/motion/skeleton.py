"""The 22-joint SMPL skeleton: names, parents, chains, rest directions and bone lengths.

The order is that of SMPL, SMPL-H and SMPL-X. Lengths and directions are HumanML3D's, so that retargeting needs no
licence-gated file. At rest the body faces +z, y up, its left at +x.
"""

import numpy as np

FPS = 20
"""Motion frames a second, wall clock."""

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
NUM_JOINTS = len(JOINTS)
PELVIS, LEFT_HIP, RIGHT_HIP, HEAD = 0, 1, 2, 15
LEFT_SHOULDER, RIGHT_SHOULDER = 16, 17
FEET = (7, 10, 8, 11)
"""Left ankle, left foot, right ankle, right foot: the order of the contact features."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
CHAINS = (
    (0, 2, 5, 8, 11),
    (0, 1, 4, 7, 10),
    (0, 3, 6, 9, 12, 15),
    (9, 14, 17, 19, 21),
    (9, 13, 16, 18, 20),
)

_X, _Y, _Z = np.eye(3)
REST_DIRECTIONS = np.stack([
    np.zeros(3), _X, -_X, _Y, -_Y, -_Y, _Y, -_Y, -_Y, _Y, _Z, _Z, _Y, _X, -_X, _Z, -_Y, -_Y, -_Y, -_Y, -_Y, -_Y,
])  # fmt: skip
"""(22, 3) unit vectors from parent to joint at HumanML3D's rest pose."""

BONE_LENGTHS_M = np.array([
    0.0, .1031, .1099, .1316, .3936, .3902, .1432, .4324, .4256, .0574, .1434, .1494, .2194, .1375, .1434, .1030,
    .1316, .1230, .2568, .2631, .2660, .2699,
])  # fmt: skip
"""(22,) metres from parent to joint of the reference body."""

REST_OFFSETS_M = REST_DIRECTIONS * BONE_LENGTHS_M[:, None]

_T_POSE = (
    (0, 0, 0), (.62, -.78, -.07), (-.62, -.78, -.07), (0, .97, -.22), (.09, -.99, -.01), (-.09, -.99, -.01), (0, 1, .01),
    (-.03, -.99, -.11), (.03, -.99, -.11), (0, .90, .43), (.19, -.42, .89), (-.19, -.42, .89), (0, .98, -.20),
    (.54, .81, -.23), (-.54, .81, -.23), (0, .78, .62), (.94, .31, -.09), (-.94, .31, -.09), (1, -.05, -.10),
    (-1, -.05, -.10), (1, .04, 0), (-1, .04, 0),
)  # fmt: skip
T_POSE_OFFSETS_M = BONE_LENGTHS_M[:, None] * (
    _T_POSE / np.maximum(np.linalg.norm(_T_POSE, axis=-1, keepdims=True), 1e-9)
)
"""(22, 3) from parent to joint where all SMPL-X rotations are zero: a person in a T pose, with the reference lengths."""
