# What Ray's head and workers run in: the project, Ray and MLflow's client, no kfp.
#   docker build -f infra/docker/train.Dockerfile -t REGISTRY/egoreact-train .
FROM python:3.11-slim

# CUDA wheels by default. For CPU nodes: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=https://pypi.org/simple
ARG COMMIT=unknown
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY egoreact egoreact
COPY components components
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url "$TORCH_INDEX" -e '.[training]'
ENV EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE HOME=/tmp
USER 10001:10001
