"""The container images that steps run in. On one machine none is used: steps are processes of this Python.

A cluster's cache knows an image by its name alone: name it by digest (`…@sha256:…`), never by a tag that moves.
"""

import os

STEP_IMAGE = os.environ.get("EGOREACT_STEP_IMAGE", "egoreact/step:latest")
"""Holds the project, kfp, and every tool a step uses. Chosen when a pipeline is compiled."""
