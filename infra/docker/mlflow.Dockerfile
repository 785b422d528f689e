# MLflow's server with what production asks of it: PostgreSQL, S3, sign-in.
#   docker build -f infra/docker/mlflow.Dockerfile -t REGISTRY/egoreact-mlflow .
# PYTHON_DIGEST pins the base (sha256:…).
ARG PYTHON_DIGEST=""

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
COPY constraints.txt ./
RUN pip install --no-cache-dir "uv==$(sed -n 's/^uv==//p' constraints.txt)" && uv venv /opt/venv
ENV VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_LINK_MODE=copy
RUN uv pip install --compile-bytecode -c constraints.txt "mlflow[auth]" boto3 psycopg2-binary

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
WORKDIR /tmp
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp USER=egoreact
USER 10001:10001
EXPOSE 5000
ENTRYPOINT ["mlflow"]
