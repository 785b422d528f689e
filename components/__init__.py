"""The pipeline's steps: each a thin KFP component over a plain function."""
