# What Ray's head and workers run in: the project, Ray and MLflow's client, no kfp.
#   docker build -f infra/docker/train.Dockerfile -t REGISTRY/egoreact-train .
FROM python:3.11-slim

# PyTorch comes with CUDA by default. For CPU nodes: --build-arg PIP_OPTIONS="--extra-index-url <PyTorch's index of CPU wheels>"
ARG PIP_OPTIONS=""
ARG COMMIT=unknown
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY egoreact egoreact
COPY components components
RUN pip install --no-cache-dir -c constraints.txt $PIP_OPTIONS -e '.[training]'
ENV EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE HOME=/tmp
USER 10001:10001
