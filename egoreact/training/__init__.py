"""Teaching the models: one loop, its learners, Ray around it, MLflow beside it."""
