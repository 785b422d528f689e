"""EgoReAct: a live egocentric video in, the 3D reaction of the body behind the camera out (arXiv 2512.22808).

Conventions, the same everywhere: metres, seconds, 20 motion frames a second, y up; a body starts at the origin facing
+z. `T_a_b` takes coordinates in frame b to frame a. Cameras use OpenCV axes (x right, y down, z forward).
"""

__version__ = "0.1.0"
