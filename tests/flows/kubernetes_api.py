"""A recording API server: it speaks what the kubernetes client asks for Jobs and their pods, and really starts them.

A pod is a process group in a folder of its own, with an environment that holds only what its manifest and its Secret
say, and where the code is (the image). It keeps to the manifest: tries, exit codes that end a Job, logs. There is what
one client asks of batch/v1 and core/v1; there is no scheduling.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

JOBS = re.compile(r"/apis/batch/v1/namespaces/([\w-]+)/jobs(?:/([\w-]+))?(/status)?")
PODS = re.compile(r"/api/v1/namespaces/([\w-]+)/pods(?:/([\w-]+)/log)?")
KEPT = ("LANG", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM")


@dataclass
class Pod:
    """One try of a Job."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def log(self) -> str:
        return (self.folder.parent / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """What a node does that goes away."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class Api:
    """What the server knows: the Jobs that were asked for, their pods, and Secrets."""

    folder: Path
    image: dict[str, str]  # what the container's image would bring: variables by which Python finds the code
    secrets: dict[str, dict[str, str]]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)  # codes of the next answers, whatever is asked

    def create(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            return None
        self.jobs[name] = {**manifest, "status": {"active": 1}}
        self.pods.setdefault(name, [])
        threading.Thread(target=self._see_through, args=(name,), daemon=True).start()
        return self.jobs[name]

    def _see_through(self, name: str) -> None:
        job = self.jobs[name]
        fatal = [
            code for rule in job["spec"]["podFailurePolicy"]["rules"]
            if rule["action"] == "FailJob" for code in rule["onExitCodes"]["values"]
        ]  # fmt: skip
        code = -1
        for _ in range(job["spec"]["backoffLimit"] + 1):
            pod = self._start(name, job["spec"]["template"]["spec"]["containers"][0])
            self.pods[name].append(pod)
            code = pod.process.wait()
            if code == 0 or code in fatal:
                break
        ended = "Complete" if code == 0 else "Failed"
        job["status"] = {
            "conditions": [{"type": ended, "status": "True"}], "succeeded": int(code == 0), "failed": int(code != 0),
        }  # fmt: skip

    def _start(self, job: str, container: dict[str, Any]) -> Pod:
        name = f"{job}-{99 - len(self.pods[job])}"  # as names of pods, these do not tell the order
        folder = self.folder / name
        folder.mkdir(parents=True)
        environment = {key: os.environ[key] for key in KEPT if key in os.environ} | self.image
        for source in container.get("envFrom", ()):
            environment |= self.secrets[source["secretRef"]["name"]]
        environment |= {each["name"]: each["value"] for each in container["env"]}
        environment |= {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                container["args"], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return Pod(name, folder, process)

    def end(self) -> None:
        for pods in self.pods.values():
            for pod in pods:
                pod.kill()


@contextmanager
def serving(api: Api) -> Generator[str]:
    """The server's address, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, code: int, content: Any) -> None:
            api.asked.append((self.command, self.path, code))
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refused(self) -> bool:
            """Whether this is an answer that was set beforehand; 0 is none at all."""
            if not api.refusals:
                return False
            code = api.refusals.pop(0)
            if code:
                self.answer(code, {"kind": "Status", "code": code})
            else:
                self.close_connection = True
            return True

        def do_GET(self) -> None:
            if self.refused():
                return
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if (result := JOBS.fullmatch(path)) and result[2]:
                job = api.jobs.get(result[2])
                self.answer(200 if job else 404, job or {"kind": "Status", "code": 404})
            elif (result := PODS.fullmatch(path)) and result[2]:
                (pod,) = [each for pods in api.pods.values() for each in pods if each.name == result[2]]
                self.answer(200, pod.log)
            elif result:
                job = query["labelSelector"][0].removeprefix("job-name=")
                items = [
                    {"metadata": {"name": pod.name, "creationTimestamp": pod.made}} for pod in api.pods.get(job, ())
                ]
                self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": items})
            else:
                self.answer(404, {"kind": "Status", "code": 404})

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.refused():
                return
            made = api.create(content) if JOBS.fullmatch(urlsplit(self.path).path) else None
            self.answer(201 if made else 409, made or {"kind": "Status", "code": 409, "reason": "AlreadyExists"})

        def do_DELETE(self) -> None:
            result = JOBS.fullmatch(urlsplit(self.path).path)
            assert result
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.refused():
                return
            job = api.jobs.pop(result[2], None)
            self.answer(200 if job else 404, {"kind": "Status", "status": "Success"})

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        api.end()
        server.shutdown()
        server.server_close()
