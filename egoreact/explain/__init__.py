"""The model explained from itself: shapes at each seam as a step really has them, and what a single frame changes."""
