# The base, and beside it the environment of requirements-gpu.lock (torch for CUDA, TRL, vLLM), which has no Prefect. Stages
# that need it are started by the base's Python and go on in this one:
#   docker build --build-arg BASE=gradus@sha256:… --build-arg PYTHON=python:3.11-slim@sha256:… --file infra/docker/gpu.Dockerfile .
ARG PYTHON
ARG BASE
FROM ${PYTHON} AS build
ARG PIP_FIND_LINKS
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
RUN python -m venv /opt/gpu
COPY requirements-gpu.lock ./
RUN /opt/gpu/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --requirement requirements-gpu.lock
COPY pyproject.toml setup.py README.md LICENSE .dvcignore .gitignore ./
COPY .dvc/config .dvc/config
COPY components components
COPY flows flows
COPY monitoring monitoring
COPY params params
COPY models/nano models/nano
COPY infra infra
RUN /opt/gpu/bin/python -m pip install --no-deps .

FROM ${BASE}
COPY --from=build /opt/gpu /opt/gpu
ENV GRADUS_GPU_PYTHON=/opt/gpu/bin/python
USER 10001:10001
