"""Frames in, motion out, with the state carried: nothing here ever looks at a later frame."""
