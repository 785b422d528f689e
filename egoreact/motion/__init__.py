"""Bodies in motion: skeleton, the 263-d representation, SMPL-X bodies, the head's camera, export."""
