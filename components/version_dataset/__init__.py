"""Gives the data set a revision: DVC hashes `data/`, writes `data.dvc`, and pushes what the remote lacks."""
