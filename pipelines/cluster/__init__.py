"""The pipelines on Kubeflow Pipelines: packaged, checked before anything is created, submitted, watched, scheduled."""
