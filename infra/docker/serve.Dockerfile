# The base, which answers: the champion of one workload on port 8000, for those who have a key. Build it in the
# project's folder, of which BuildKit sends what serve.Dockerfile.dockerignore lets through:
#   docker build --build-arg BASE=gradus@sha256:… --file infra/docker/serve.Dockerfile .
ARG BASE
FROM ${BASE}
COPY --chown=10001:10001 . /project
# A project is a git repository: another builder, which would take all of it, rows and secrets too, fails here.
RUN [ ! -e /project/.git ]
ENV WORKLOAD=triage PROFILE=nano OMP_NUM_THREADS=1 PYTHONPATH=/project
EXPOSE 8000
USER 10001:10001
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["sh", "-c", "exec gradus serve \"$WORKLOAD\" --profile \"$PROFILE\" --host 0.0.0.0 --port 8000"]
