"""Which triangle each pixel's centre sees, and how far away it is: a scan converter in homogeneous coordinates.

The triangle A, B, C covers the ray d where d·(B×C), d·(C×A) and d·(A×B) all have the sign of det(A, B, C); their sum over the
determinant is 1/depth, and their shares in it are the barycentric coordinates: exact, in perspective, without clipping.
Neighbours compute their common edge from the same numbers with the opposite sign: no ray falls between them.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numba import njit

NEAR_M = 0.03
NOTHING = -1
FORM = 10
"""Numbers kept of a triangle: three edges' coefficients of (x, y, 1), and the determinant's size."""


@njit(cache=True, nogil=True, error_model="numpy")
def place_vertices(
    vertices: Float32[np.ndarray, "vertices 3"],
    ranges: Int32[np.ndarray, "solids 2"],
    wanted: np.ndarray,
    T: Float64[np.ndarray, "solids 4 4"],
    points: Float64[np.ndarray, "vertices 5"],
) -> None:
    """Carries the vertices of wanted solids into camera axes: x, y, z, and where they are seen, x / z and y / z."""
    for solid in range(len(ranges)):
        if not wanted[solid]:
            continue
        R = T[solid]
        for k in range(ranges[solid, 0], ranges[solid, 1]):
            x, y, z = vertices[k, 0], vertices[k, 1], vertices[k, 2]
            for i in range(3):
                points[k, i] = R[i, 0] * x + R[i, 1] * y + R[i, 2] * z + R[i, 3]
            inverse = 1.0 / points[k, 2]
            points[k, 3], points[k, 4] = points[k, 0] * inverse, points[k, 1] * inverse


@njit(cache=True, nogil=True, error_model="numpy")
def set_up(
    points: Float64[np.ndarray, "vertices 5"],
    faces: Int32[np.ndarray, "faces 3"],
    ranges: Int32[np.ndarray, "solids 2"],
    wanted: np.ndarray,
    one_sided: np.ndarray,
    window: tuple[float, float, float, float],
    forms: Float64[np.ndarray, "faces 10"],
    boxes: Float64[np.ndarray, "faces 4"],
    kept: Int32[np.ndarray, " faces"],
) -> int:
    """Writes forms and boxes of the triangles of wanted solids that may show in the window (x, y from, x, y to; rays).

    Those of one-sided solids only where they face the camera, corners anticlockwise. Returns how many; `kept` says which. A triangle that reaches nearer than NEAR_M has a negative determinant noted.
    """
    count = 0
    low_x, low_y, high_x, high_y = window
    for solid in range(len(ranges)):
        if not wanted[solid]:
            continue
        for f in range(ranges[solid, 0], ranges[solid, 1]):
            a, b, c = faces[f]
            ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
            bx, by, bz = points[b, 0], points[b, 1], points[b, 2]
            cx, cy, cz = points[c, 0], points[c, 1], points[c, 2]
            nearest = min(az, bz, cz)
            if nearest >= NEAR_M:
                x0 = min(points[a, 3], points[b, 3], points[c, 3])
                x1 = max(points[a, 3], points[b, 3], points[c, 3])
                y0 = min(points[a, 4], points[b, 4], points[c, 4])
                y1 = max(points[a, 4], points[b, 4], points[c, 4])
            elif max(az, bz, cz) < NEAR_M:
                continue
            else:
                x0, y0, x1, y1 = _box_beyond(points, faces[f])
            if x1 < low_x or x0 > high_x or y1 < low_y or y0 > high_y:
                continue
            px, py, pz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
            qx, qy, qz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
            rx, ry, rz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            determinant = ax * px + ay * py + az * pz
            if abs(determinant) < 1e-15 or (determinant > 0 and one_sided[solid]):
                continue
            sign = 1.0 if determinant > 0 else -1.0
            form = forms[f]
            form[0], form[1], form[2] = sign * px, sign * py, sign * pz
            form[3], form[4], form[5] = sign * qx, sign * qy, sign * qz
            form[6], form[7], form[8] = sign * rx, sign * ry, sign * rz
            form[9] = abs(determinant) if nearest >= NEAR_M else -abs(determinant)
            boxes[f, 0], boxes[f, 1], boxes[f, 2], boxes[f, 3] = x0, y0, x1, y1
            kept[count] = f
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _box_beyond(points, face):
    """x and y from, x and y to, of where a triangle's part beyond NEAR_M is seen."""
    x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
    for i in range(3):
        v, w = face[i], face[(i + 1) % 3]
        z = points[v, 2]
        if z >= NEAR_M:
            x, y = points[v, 3], points[v, 4]
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        if (z >= NEAR_M) != (points[w, 2] >= NEAR_M):
            s = (NEAR_M - z) / (points[w, 2] - z)
            x = (points[v, 0] + s * (points[w, 0] - points[v, 0])) / NEAR_M
            y = (points[v, 1] + s * (points[w, 1] - points[v, 1])) / NEAR_M
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    return x0, y0, x1, y1


@njit(cache=True, nogil=True, error_model="numpy")
def fill(
    forms: Float64[np.ndarray, "faces 10"],
    boxes: Float64[np.ndarray, "faces 4"],
    kept: Int32[np.ndarray, " faces"],
    count: int,
    K: tuple[float, float, float, float],
    nearness: Float32[np.ndarray, "height width"],
    face_at: Int32[np.ndarray, "height width"],
    slope: Float64[np.ndarray, "2 4"],
    offset: Float64[np.ndarray, "2 4"],
) -> None:
    """For each pixel the nearest triangle at its centre, or NOTHING, and 1 / its depth, or 0.

    Of two at the same depth the first wins. K: focal lengths and centre, x and y each.
    """
    height, width = nearness.shape
    fx, fy, cx, cy = K
    nearness[:] = 0.0
    face_at[:] = NOTHING
    # Edges that bound a row's pixels from the left, and from the right: column = slope · row + offset.
    for i in range(count):
        f = kept[i]
        form = forms[f]
        size = abs(form[9])
        first = max(0, int(np.ceil(max(boxes[f, 1] * fy + cy - 1e-6, -1.0))))
        last = min(height - 1, int(np.floor(min(boxes[f, 3] * fy + cy + 1e-6, float(height)))))
        left = max(0.0, np.ceil(boxes[f, 0] * fx + cx - 1e-6))
        right = min(float(width - 1), np.floor(boxes[f, 2] * fx + cx + 1e-6))
        if first > last or left > right:
            continue
        # 1 / depth by column and row.
        near_column = (form[0] + form[3] + form[6]) / size / fx
        near_row = (form[1] + form[4] + form[7]) / size / fy
        near_origin = (form[2] + form[5] + form[8]) / size - near_column * cx - near_row * cy
        lefts, rights = 0, 0
        for edge in range(3 if form[9] > 0 else 4):
            if edge < 3:
                a, b = form[3 * edge] / fx, form[3 * edge + 1] / fy
                c = form[3 * edge + 2] - a * cx - b * cy
            else:
                a, b, c = -near_column, -near_row, 1.0 / NEAR_M - near_origin
            if a > 0:
                slope[0, lefts], offset[0, lefts] = -b / a, -c / a
                lefts += 1
            elif a < 0:
                slope[1, rights], offset[1, rights] = -b / a, -c / a
                rights += 1
            elif b > 0:
                first = max(first, int(np.ceil(-c / b)))
            elif b < 0:
                last = min(last, int(np.floor(-c / b)))
        step = np.float32(near_column)
        for row in range(first, last + 1):
            start, end = left, right
            for k in range(lefts):
                start = max(start, np.ceil(slope[0, k] * row + offset[0, k]))
            for k in range(rights):
                end = min(end, np.floor(slope[1, k] * row + offset[1, k]))
            base = np.float32(near_row * row + near_origin)
            for column in range(int(start), int(end) + 1):
                value = base + step * np.float32(column)
                nearer = value > nearness[row, column]
                nearness[row, column] = value if nearer else nearness[row, column]
                face_at[row, column] = f if nearer else face_at[row, column]
