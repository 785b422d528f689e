"""Pictures of triangles: which one each pixel sees, what falls in whose shadow, how light becomes colour. Compiled by numba.

Camera axes are OpenCV's. A pixel's ray is K⁻¹·(column, row, 1), so that a point's depth is the ray's length; pixel (0, 0) is a
centre. Nothing here draws at random, and nothing depends on the number of threads or processes.
"""
