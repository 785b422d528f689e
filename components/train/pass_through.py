"""Which of a training task's settings KFP hands on to its Ray workers (`dsl.TaskConfig`), and which it keeps itself too.

Environment and volumes are for both. Resources, selectors, tolerations and affinity are for the workers alone where the
pipeline is compiled with `EGOREACT_RAY_IMAGE` set; else for both, since the step may train in its own pod.
"""

import os

from kfp.dsl import TaskConfigField, TaskConfigPassthrough

_FOR_BOTH = (TaskConfigField.ENV, TaskConfigField.KUBERNETES_VOLUMES)

TO_WORKERS = [
    TaskConfigPassthrough(field, apply_to_task=field in _FOR_BOTH or not os.environ.get("EGOREACT_RAY_IMAGE"))
    for field in TaskConfigField
]
