"""How good is it: metrics, the closed-loop protocol and its table, baselines, teacher-forced figures, the promotion."""
