"""The pipelines: wiring, resources, caching, retries, submission."""
