# The service and its page. The bundle is not in it: it reads the release that the workspace volume holds.
#   docker build -f infra/docker/serve.Dockerfile -t REGISTRY/egoreact-serve .
FROM node:24-slim AS page
WORKDIR /page
COPY serving/web/package.json serving/web/package-lock.json ./
RUN npm ci
COPY serving/web .
RUN npm run build

FROM python:3.11-slim
# PyTorch comes with CUDA by default. For CPU nodes: --build-arg PIP_OPTIONS="--extra-index-url <PyTorch's index of CPU wheels>"
ARG PIP_OPTIONS=""
ARG COMMIT=unknown
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY egoreact egoreact
COPY serving serving
COPY --from=page /page/dist serving/web/dist
RUN pip install --no-cache-dir -c constraints.txt $PIP_OPTIONS -e '.[serving]'
ENV EGOREACT_COMMIT=$COMMIT PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
EXPOSE 3000
CMD ["egoreact", "serve", "--host", "0.0.0.0", "--port", "3000"]
