# What every pipeline step runs in: the project, kfp, DVC, Great Expectations, MLflow, Ray, BentoML's builder.
#   docker build -f infra/docker/step.Dockerfile -t REGISTRY/egoreact-step .
# Name it by digest when compiling: egoreact pipeline compile --image REGISTRY/egoreact-step@sha256:…
FROM python:3.11-slim

# PyTorch comes with CUDA by default. For CPU nodes: --build-arg PIP_OPTIONS="--extra-index-url <PyTorch's index of CPU wheels>"
ARG PIP_OPTIONS=""
ARG COMMIT=unknown
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY egoreact egoreact
COPY components components
COPY pipelines pipelines
COPY serving serving
RUN pip install --no-cache-dir -c constraints.txt $PIP_OPTIONS -e '.[training,pipelines,serving]'
COPY .dvc/config .dvc/config
ENV EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE HOME=/tmp
# runAsNonRoot wants a number.
USER 10001:10001
