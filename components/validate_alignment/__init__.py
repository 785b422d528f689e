"""The gate before training: every clip's video, camera, motion and depth must belong together."""
