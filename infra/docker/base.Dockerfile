# The environment of requirements.lock: climbs, stages on a CPU, the record. Build it in the repository's folder:
#   docker build --build-arg PYTHON=python:3.11-slim@sha256:… --file infra/docker/base.Dockerfile --tag gradus .
# PYTHON has no default: which image it is, you pin by its digest. What pip needs to be told (an index of CPU builds of
# torch, say) comes as --build-arg PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL; hashes are checked either way.
ARG PYTHON
FROM ${PYTHON} AS build
ARG PIP_FIND_LINKS
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
# As in the image itself, where nothing is compiled at its first import: install.py then compiles all (0.7 GB).
ENV PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/gradus
COPY requirements.lock requirements-cuda.lock ./
COPY infra/install.py infra/install.py
RUN /opt/gradus/bin/python infra/install.py
COPY pyproject.toml setup.py README.md LICENSE .dvcignore .gitignore ./
COPY .dvc/config .dvc/config
COPY components components
COPY flows flows
COPY monitoring monitoring
COPY params params
COPY models/nano models/nano
COPY infra infra
RUN /opt/gradus/bin/python -m pip install --no-deps --no-build-isolation .

FROM ${PYTHON}
RUN apt-get update && apt-get install --yes --no-install-recommends git bubblewrap && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 10001 gradus && useradd --uid 10001 --gid 10001 --create-home gradus
COPY --from=build /opt/gradus /opt/gradus
# Python's own modules, whose bytecode slim images leave out.
RUN python -c "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, workers=0)"
ENV PATH=/opt/gradus/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/project \
    OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false TRL_EXPERIMENTAL_SILENCE=1
WORKDIR /project
RUN chown 10001:10001 /project
USER 10001:10001
CMD ["gradus", "--help"]
