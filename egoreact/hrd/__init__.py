"""HRD: clips of egocentric video and human reaction, aligned in space and time."""
