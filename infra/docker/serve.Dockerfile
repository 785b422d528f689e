# The service and its page. The bundle is not in it: it reads the release that the workspace volume holds.
#   docker build -f infra/docker/serve.Dockerfile -t REGISTRY/egoreact-serve .
# NODE_DIGEST and PYTHON_DIGEST pin the bases (sha256:…). PyTorch comes with CUDA; for CPU nodes: --build-arg TORCH_BACKEND=cpu
ARG NODE_DIGEST=""
ARG PYTHON_DIGEST=""

FROM node:24.11.0-bookworm-slim${NODE_DIGEST:+@${NODE_DIGEST}} AS page
WORKDIR /page
COPY serving/web/package.json serving/web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY serving/web .
RUN npm run build

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS build
ARG TORCH_BACKEND=""
WORKDIR /app
COPY constraints.txt pyproject.toml ./
RUN pip install --no-cache-dir "uv==$(sed -n 's/^uv==//p' constraints.txt)" && uv venv /opt/venv
ENV VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 UV_LINK_MODE=copy
RUN uv pip install --compile-bytecode -c constraints.txt ${TORCH_BACKEND:+--torch-backend $TORCH_BACKEND} \
    -r pyproject.toml --extra serving setuptools
COPY README.md ./
COPY egoreact egoreact
COPY serving serving
COPY --from=page /page/dist serving/web/dist
RUN uv pip install --no-deps --no-build-isolation -e .

FROM python:3.11.14-slim-bookworm${PYTHON_DIGEST:+@${PYTHON_DIGEST}}
ARG COMMIT=unknown
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 HOME=/tmp USER=egoreact
USER 10001:10001
EXPOSE 3000
CMD ["egoreact", "serve", "--host", "0.0.0.0", "--port", "3000"]
