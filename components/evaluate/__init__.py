"""Closed-loop figures of a bundle on the held-out clips."""
