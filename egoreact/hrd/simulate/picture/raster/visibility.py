"""What a picture may show something of, told by balls around things: all that surely shows nothing need not be drawn."""

import numpy as np
from jaxtyping import Bool, Float64

from egoreact.hrd.simulate.picture.raster.scan import NEAR_M
from egoreact.hrd.simulate.scenery.place import Light


def in_view(
    balls_m: Float64[np.ndarray, "frames balls 4"],
    T_camera_world: Float64[np.ndarray, "frames 4 4"],
    window: tuple[float, float, float, float],
) -> Bool[np.ndarray, "frames balls"]:
    """Which balls reach into the window's cone (x and y from, x and y to, in rays)."""
    radius = balls_m[..., 3]
    centre = np.where(np.isfinite(radius)[..., None], balls_m[..., :3], 0.0)
    centre = np.einsum("tij,tbj->tbi", T_camera_world[:, :3, :3], centre) + T_camera_world[:, None, :3, 3]
    seen = centre[..., 2] + radius > NEAR_M
    for axis in (0, 1):
        for sign, limit in ((1.0, window[2 + axis]), (-1.0, -window[axis])):
            seen &= (sign * centre[..., axis] - limit * centre[..., 2]) / np.hypot(1.0, limit) < radius
    return seen


def way_to_floor(balls_m: Float64[np.ndarray, "frames balls 4"], light: Light) -> Float64[np.ndarray, "frames more 4"]:
    """Balls around the shadows that balls throw through the air: three on each one's way to the floor."""
    centre, radius = balls_m[..., :3], balls_m[..., 3:]
    towards = light.towards - centre if light.is_lamp else np.broadcast_to(light.towards, centre.shape)
    down = -towards / np.maximum(towards[..., 1:2], 0.05) * np.maximum(centre[..., 1:2], 0.0)
    half_gap = 0.25 * np.linalg.norm(down, axis=-1, keepdims=True)
    # A lamp's shadow grows on its way.
    balls = [
        np.concatenate([centre + s * down, (1 + s * light.is_lamp) * radius + half_gap], axis=-1)
        for s in (0.0, 0.5, 1.0)
    ]
    return np.concatenate(balls, axis=1)
