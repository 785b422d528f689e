# What every pipeline step runs in: the project, kfp, DVC, Great Expectations, MLflow, Ray, BentoML's builder, git.
#   docker build -f infra/docker/step.Dockerfile -t REGISTRY/egoreact-step .
# Name it by digest when compiling: egoreact pipeline compile --image REGISTRY/egoreact-step@sha256:…
# PYTHON_DIGEST pins the base (sha256:…). PyTorch comes with CUDA; for CPU nodes: --build-arg TORCH_BACKEND=cpu
ARG PYTHON_DIGEST=""

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ARG TORCH_BACKEND=""
WORKDIR /app
COPY constraints.txt pyproject.toml ./
# kfp and `bentoml build` want pip in the environment.
RUN pip install --no-cache-dir "uv==$(sed -n 's/^uv==//p' constraints.txt)" && uv venv --seed /opt/venv
ENV VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_LINK_MODE=copy
# Dependencies first: a change of the sources leaves this layer as it is.
RUN uv pip install --compile-bytecode -c constraints.txt ${TORCH_BACKEND:+--torch-backend $TORCH_BACKEND} \
    -r pyproject.toml --extra training --extra pipelines --extra serving setuptools
COPY README.md ./
COPY egoreact egoreact
COPY components components
COPY pipelines pipelines
COPY serving serving
COPY .dvc/config .dvc/config
RUN uv pip install --no-deps --no-build-isolation -e .

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
ARG COMMIT=unknown
# Retraining commits data.dvc on a branch.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE HOME=/tmp USER=egoreact DVC_SITE_CACHE_DIR=/tmp/dvc
# runAsNonRoot wants a number. It has no name in /etc/passwd: DVC and PyTorch ask for USER instead.
USER 10001:10001
