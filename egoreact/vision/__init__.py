"""Pixels in: video files, the DINOv2-form encoder, metric depth, and the two fused into one feature a frame."""
