# What Ray's head and workers run in: the project, Ray, MLflow's client, DVC and S3; no kfp.
#   docker build -f infra/docker/train.Dockerfile -t REGISTRY/egoreact-train .
# Name it by digest in the ConfigMap: EGOREACT_RAY_IMAGE=REGISTRY/egoreact-train@sha256:…
# PYTHON_DIGEST pins the base (sha256:…). PyTorch comes with CUDA; for CPU nodes: --build-arg TORCH_BACKEND=cpu
ARG PYTHON_DIGEST=""

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ARG TORCH_BACKEND=""
WORKDIR /app
COPY constraints.txt pyproject.toml ./
RUN pip install --no-cache-dir "uv==$(sed -n 's/^uv==//p' constraints.txt)" && uv venv /opt/venv
ENV VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_LINK_MODE=copy
# ray[default] is Ray's dashboard, whose job API KubeRay submits to.
RUN uv pip install --compile-bytecode -c constraints.txt ${TORCH_BACKEND:+--torch-backend $TORCH_BACKEND} \
    -r pyproject.toml --extra training "ray[default]" boto3 dvc dvc-s3 setuptools
COPY README.md ./
COPY egoreact egoreact
COPY components components
RUN uv pip install --no-deps --no-build-isolation -e .

# KubeRay runs `python` and `ray` of the PATH.
FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
ARG COMMIT=unknown
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE HOME=/tmp USER=egoreact DVC_SITE_CACHE_DIR=/tmp/dvc
USER 10001:10001
