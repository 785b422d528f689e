"""Do a clip's video, camera, motion and depth belong together? One row of figures a clip, and the bounds they must keep.

`measure` asks groups of measures, each a function of one clip that looks at one side of it:

    streams     can all be decoded, are they of one length, are all numbers numbers
    head        the recorded camera against the head of the motion
    floor       the floor in the depth images against the recorded camera: the depth's scale
    plane       the same floor as a plane, against the head: tilt and height
    pixels      the video's own motion against the head's: what, when, how fast, which way round, how turned, how large;
                from tracks (points followed), ego_motion (pairs of frames), against (time) and hand_eye (turn and scale)
    body        bones, feet, speed

The pixels are held against the *head* of the motion, not against the recorded camera: a recorded camera may be right and the
motion wrong, or the video shifted against both. Without head rotation the head's joint moves as the motion says and looks where
the recorded camera looks. A figure that a clip cannot give (no depth, a head too still to tell) is None, and None never fails.

`faults` puts faults into good clips; `egoreact bench gate` counts which of them are caught.
"""

from egoreact.hrd.alignment.groups import GROUPS, measure, residuals
from egoreact.hrd.alignment.thresholds import THRESHOLDS, Failure, Row, Threshold, failures

__all__ = ["GROUPS", "THRESHOLDS", "Failure", "Row", "Threshold", "failures", "measure", "residuals"]
