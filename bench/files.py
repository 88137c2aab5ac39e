"""Measure `llmscan files` on generated files against the plain parsing of the same files, in one run.

python bench/files.py manifests [RUNS]    1,000 files of a Deployment and a Service each, in folders of twenty
python bench/files.py one-folder [RUNS]   the same files in one folder
python bench/files.py compose [RUNS]      1,000 compose files of two services each

The bare figure is PyYAML's C loader without positions over the same files, in a process of its own, as the scan is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: server-{n}
  namespace: team-{group}
  labels: {{app: server-{n}, tier: inference}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: server-{n}}}
  template:
    metadata:
      labels: {{app: server-{n}, tier: inference}}
    spec:
      securityContext:
        runAsUser: {uid}
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: server
          image: {image}
          args: ["--model", "org/model-{n}", "--port", "8000", "--max-model-len", "{length}"]
          ports:
            - {{name: http, containerPort: 8000}}
          env:
            - {{name: HF_HOME, value: /models/cache-{n}}}
            - name: HF_TOKEN
              valueFrom: {{secretKeyRef: {{name: hub, key: token}}}}
          resources:
            limits: {{memory: 24Gi, nvidia.com/gpu: "1"}}
            requests: {{cpu: "4", memory: 16Gi}}
          readinessProbe:
            httpGet: {{path: /health, port: http}}
          volumeMounts:
            - {{name: models, mountPath: /models}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models-{n}}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: server-{n}, namespace: team-{group}}}
spec:
  type: {type}
  selector: {{app: server-{n}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
"""
IMAGES = (
    "vllm/vllm-openai:v0.31.0",
    "ollama/ollama:0.12.3",
    "ghcr.io/huggingface/text-generation-inference:3.3.4",
    "qdrant/qdrant:v1.15.0",
)


COMPOSE = """\
services:
  server:
    image: {image}
    command: ["--model", "org/model-{n}", "--port", "8000"]
    ports: ["{port}:8000"]
    environment:
      HF_HOME: /models/cache-{n}
      HF_TOKEN: ${{HF_TOKEN:?}}
    volumes: ["models:/models", "./config-{n}:/config:ro"]
    deploy: {{resources: {{limits: {{memory: 24g}}}}}}
  web:
    image: ghcr.io/open-webui/open-webui:v0.9.2
    depends_on: [server]
    environment: ["OPENAI_API_BASE_URL=http://server:8000/v1", "WEBUI_SECRET_KEY=${{WEBUI_SECRET_KEY:-}}"]
    ports: ["127.0.0.1:{port}:8080"]
volumes: {{models: {{}}}}
"""
BARE = """\
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(path.read_text("utf-8"), Loader=yaml.CSafeLoader))
"""


def manifests(folder: Path, files: int = 1000, a_folder: int = 20) -> None:
    """Write files of one Deployment and one Service each."""
    for n in range(files):
        group = n // a_folder
        place = folder / f"team-{group}"
        place.mkdir(parents=True, exist_ok=True)
        uid, kind = (0 if n % 3 == 0 else 1000), ("LoadBalancer" if n % 10 == 0 else "ClusterIP")
        deployment = DEPLOYMENT.format(n=n, group=group, uid=uid, image=IMAGES[n % 4], length=4096 + n)
        service = SERVICE.format(n=n, group=group, type=kind)
        (place / f"server-{n}.yaml").write_text(f"{deployment}---\n{service}", encoding="utf-8")


def one_folder(folder: Path) -> None:
    """The same files, all in one folder."""
    manifests(folder, a_folder=1000)


def compose(folder: Path) -> None:
    """Write compose files of two services each, one a folder."""
    for n in range(1000):
        place = folder / f"stack-{n}"
        place.mkdir(parents=True)
        text = COMPOSE.format(n=n, port=10000 + n, image=IMAGES[n % 4])
        (place / "compose.yaml").write_text(text, encoding="utf-8")


KINDS: dict[str, Callable[[Path], None]] = {"manifests": manifests, "one-folder": one_folder, "compose": compose}


def timed(command: list[str]) -> tuple[float, float, float]:
    """The seconds of the clock and of the processors, and the peak memory in MB, of a command."""
    began = monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    return monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print a line a run."""
    kind, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    llmscan = str(Path(sys.executable).with_name("llmscan"))
    with tempfile.TemporaryDirectory() as scratch:
        KINDS[kind](Path(scratch))
        print("bare parsing      scan              processors        ratio  peak")
        for _ in range(runs):
            bare, _, _ = timed([sys.executable, "-c", BARE, scratch])
            scan, used, peak = timed([llmscan, "files", scratch, "--format", "json"])
            print(
                f"{bare:6.2f} s          {scan:6.2f} s          {used:6.2f} s          {scan / bare:5.2f}  {peak:.0f} MB"
            )


if __name__ == "__main__":
    main()
