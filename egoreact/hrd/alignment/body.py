"""Is the body one body on one floor: bones that keep their length, feet that stand, nothing that flies?

Contact: a foot joint (ankle or ball of the foot) within 5 cm of its own lowest height in the clip, in two frames that follow each
other. Foot skate is the horizontal way of the contact joint that moves least, averaged over the frames with any: a walker always
has one joint that stands.
"""

import numpy as np
from jaxtyping import Float

from egoreact.hrd.alignment.numbers import finite_max, step_lengths
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import Clip
from egoreact.motion.skeleton import FEET, PARENTS

CONTACT_HEIGHT_M = 0.05


def standing_slip_m(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "steps"]:
    """Horizontal way of the foot joint in contact that moves least between two frames; NaN where none is in contact."""
    feet = joints_m[:, FEET]
    low = feet[..., 1] < feet[..., 1].min(axis=0) + CONTACT_HEIGHT_M
    contact = low[1:] & low[:-1]
    slip_m = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1)
    return np.where(contact.any(axis=1), np.where(contact, slip_m, np.inf).min(axis=1), np.nan)


def measure_body(clip: Clip) -> Row:
    joints = clip.joints_m[np.isfinite(clip.joints_m).all(axis=(1, 2))].astype(np.float64)
    if len(joints) < 2:
        names = ("bone_length_std_cm_max", "bone_length_std_cm_mean", "foot_skate_cm_per_frame", "foot_height_cm")
        return dict.fromkeys((*names, "floor_penetration_cm", "max_joint_speed_m_s"))
    bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    feet_y = joints[:, FEET, 1]
    slip_m = standing_slip_m(joints)
    return {
        "bone_length_std_cm_max": 100 * float(bones.std(axis=0).max()),
        "bone_length_std_cm_mean": 100 * float(bones.std(axis=0).mean()),
        "foot_skate_cm_per_frame": 100 * float(np.nanmean(slip_m)) if np.isfinite(slip_m).any() else None,
        "foot_height_cm": 100 * float(np.percentile(feet_y.min(axis=1), 10)),
        "floor_penetration_cm": 100 * max(0.0, -float(joints[..., 1].min())),
        "max_joint_speed_m_s": finite_max(step_lengths(joints)),
    }
