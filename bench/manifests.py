"""Generate manifests for measurements: Deployments of model servers with their Services, two a file.

python bench/manifests.py FOLDER [FILES]
"""

from __future__ import annotations

import sys
from pathlib import Path

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


def generate(folder: Path, files: int = 1000) -> None:
    """Write `files` files of one Deployment and one Service each, in folders of twenty."""
    for n in range(files):
        group = n // 20
        place = folder / f"team-{group}"
        place.mkdir(parents=True, exist_ok=True)
        deployment = DEPLOYMENT.format(
            n=n, group=group, uid=0 if n % 3 == 0 else 1000, image=IMAGES[n % 4], length=4096 + n
        )
        service = SERVICE.format(n=n, group=group, type="LoadBalancer" if n % 10 == 0 else "ClusterIP")
        (place / f"server-{n}.yaml").write_text(f"{deployment}---\n{service}", encoding="utf-8")


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
