"""What these tests need of others' tests: the cluster's servers, and the service as a process."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ("cluster", "service")]
