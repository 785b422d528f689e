"""What a cluster would refuse, found without one: `python -m infra.check` judges the rendered manifests, the RayJob
template, the compiled pipelines, the Dockerfiles and the workflows.

A check is a function that yields findings; `checks.py` lists them all.
"""
