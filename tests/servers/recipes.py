"""Real servers, each open and as its documentation secures it, and what llmscan has to say of each."""

from __future__ import annotations

from dataclasses import dataclass

from launch import Recipe

LATE = frozenset({"llama-cpp-python", "litellm-old", "chroma-old", "phoenix", "bentoml", "mcpo"})
"""Packages that take long to install or to build, and are only asked where somebody has installed them."""
KEY = "sk-a-key-for-tests-4f1c9b"


@dataclass(frozen=True)
class Case:
    """A server and the truth about it. version: what it tells; "" where it tells none that can be used."""

    recipe: Recipe
    product: str
    version: str
    authentication: str
    cors: str


LITELLM = ["litellm", "--config", "{home}/config.yaml", "--host", "127.0.0.1", "--port", "{port}"]
LITELLM_CONFIG = {
    "config.yaml": "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1', api_key: x}\n"
}
JUPYTER = [
    "jupyter",
    "server",
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--port={port}",
    "--ServerApp.root_dir={home}",
]
MLFLOW = [
    "mlflow",
    "server",
    "--host",
    "127.0.0.1",
    "--port",
    "{port}",
    "--workers",
    "1",
    "--backend-store-uri",
    "sqlite:///{home}/m.db",
]
RAY = ["ray", "start", "--head", "--block", "--num-cpus=1", "--port={port2}", "--dashboard-host=127.0.0.1", "--dashboard-port={port}",
       "--dashboard-agent-listen-port={port3}", "--object-store-memory=80000000", "--disable-usage-stats", "--temp-dir=/tmp/r{port}"]  # fmt: skip
STREAMLIT = ["streamlit", "run", "{here}/streamlit_app.py", "--server.headless=true", "--server.address=127.0.0.1", "--server.port={port}",
             "--browser.gatherUsageStats=false"]  # fmt: skip
CHROMA = ["chroma", "run", "--path", "{home}/data", "--host", "127.0.0.1", "--port", "{port}"]
CHROMA_CONFIG = {"config.yaml": 'port: {port}\nlisten_address: "127.0.0.1"\npersist_path: "{home}/data"\n'}
MLFLOW_LOGIN = {"MLFLOW_FLASK_SERVER_SECRET_KEY": KEY, "MLFLOW_AUTH_ADMIN_PASSWORD": KEY}
PHOENIX = {"PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": "{port}", "PHOENIX_GRPC_PORT": "{port2}", "PHOENIX_WORKING_DIR": "{home}",
           "PHOENIX_TELEMETRY_ENABLED": "false"}  # fmt: skip
BENTO = "import bentoml\n\n@bentoml.service\nclass Echo:\n    @bentoml.api\n    def say(self, text: str) -> str:\n        return text\n"
NOTES = ["--", "python", "{here}/mcp_stdio.py"]
MCPO = ["mcpo", "--host", "127.0.0.1", "--port", "{port}"]
LLAMA = [
    "python",
    "-m",
    "llama_cpp.server",
    "--model",
    "{home}/m.gguf",
    "--host",
    "127.0.0.1",
    "--port",
    "{port}",
    "--n_ctx",
    "32",
]

CASES: dict[str, Case] = {
    "chroma": Case(Recipe("chroma", CHROMA, ready="/api/v2/heartbeat"), "chroma", "", "open", "none"),
    "chroma-any-origin": Case(
        Recipe("chroma", ["chroma", "run", "{home}/config.yaml"], {"CHROMA_CORS_ALLOW_ORIGINS": '["*"]'}, "/api/v2/heartbeat", CHROMA_CONFIG),
        "chroma", "", "open", "any",
    ),
    "jupyter": Case(
        Recipe("jupyter", [*JUPYTER, "--IdentityProvider.token=", "--ServerApp.password="], ready="/api"), "jupyter", "2.21.1", "open", "none"
    ),
    "jupyter-token": Case(Recipe("jupyter", [*JUPYTER, f"--IdentityProvider.token={KEY}"], ready="/api"), "jupyter", "2.21.1", "closed", "none"),
    "jupyter-any-origin": Case(
        Recipe("jupyter", [*JUPYTER, f"--IdentityProvider.token={KEY}", "--ServerApp.allow_origin=*"], ready="/api"),
        "jupyter", "2.21.1", "closed", "any",
    ),
    "litellm-key": Case(
        Recipe("litellm", LITELLM, {"LITELLM_MASTER_KEY": KEY}, "/health/liveliness", LITELLM_CONFIG), "litellm", "1.108.7", "closed", "any"
    ),
    "litellm-old": Case(Recipe("litellm-old", LITELLM, {}, "/health/liveliness", LITELLM_CONFIG), "litellm", "1.92.0", "open", "any"),
    "mlflow": Case(Recipe("mlflow", MLFLOW, {}, "/health"), "mlflow", "3.17.0", "open", "none"),
    "mlflow-login": Case(
        Recipe("mlflow", [*MLFLOW, "--app-name", "basic-auth"], MLFLOW_LOGIN, "/health"),
        "mlflow", "", "closed", "none",
    ),
    "ray": Case(Recipe("ray", RAY, {}, "/api/version"), "ray", "2.60.0", "open", "none"),
    "ray-token": Case(Recipe("ray", RAY, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": KEY}, "/api/version"), "ray", "", "closed", "none"),
    "gradio": Case(Recipe("gradio", ["python", "{here}/gradio_app.py", "{port}"]), "gradio", "6.31.0", "open", "none"),
    "gradio-login": Case(Recipe("gradio", ["python", "{here}/gradio_app.py", "{port}", KEY]), "gradio", "", "closed", "none"),
    "streamlit": Case(Recipe("streamlit", STREAMLIT), "streamlit", "", "unknown", "none"),
    "mcp": Case(Recipe("mcp", ["python", "{here}/mcp_app.py", "{port}"], ready="/mcp"), "mcp-servers", "", "open", "none"),
    "mcp-token": Case(Recipe("mcp", ["python", "{here}/mcp_app.py", "{port}", KEY], ready="/mcp"), "mcp-servers", "", "closed", "none"),
    "chroma-old": Case(Recipe("chroma-old", CHROMA, ready="/api/v2/heartbeat"), "chroma", "0.6.3", "open", "none"),
    "chroma-old-token": Case(
        Recipe("chroma-old", CHROMA, {
            "CHROMA_SERVER_AUTHN_CREDENTIALS": KEY, "CHROMA_SERVER_AUTHN_PROVIDER": "chromadb.auth.token_authn.TokenAuthenticationServerProvider",
        }, "/api/v2/heartbeat"),
        "chroma", "0.6.3", "closed", "none",
    ),
    "phoenix": Case(Recipe("phoenix", ["phoenix", "serve"], PHOENIX, "/healthz"), "phoenix", "20.26.1", "open", "none"),
    "phoenix-login": Case(
        Recipe("phoenix", ["phoenix", "serve"], PHOENIX | {"PHOENIX_ENABLE_AUTH": "true", "PHOENIX_SECRET": f"{KEY}-{KEY}-0123456789"}, "/healthz"),
        "phoenix", "20.26.1", "closed", "none",
    ),
    "bentoml": Case(
        Recipe("bentoml", ["bentoml", "serve", "service:Echo", "--host", "127.0.0.1", "--port", "{port}"], {"BENTOML_DO_NOT_TRACK": "True"},
               "/livez", {"service.py": BENTO}),
        "bentoml", "", "open", "none",
    ),
    "mcpo": Case(Recipe("mcpo", [*MCPO, *NOTES], ready="/openapi.json"), "mcpo", "", "open", "reflected-with-credentials"),
    "mcpo-key": Case(
        Recipe("mcpo", [*MCPO, "--api-key", KEY, *NOTES], ready="/openapi.json"), "mcpo", "", "closed", "reflected-with-credentials"
    ),
    "llama-cpp-python": Case(
        Recipe("llama-cpp-python", LLAMA, ready="/v1/models", prepare=["python", "{here}/tiny_model.py", "{home}/m.gguf"]),
        "llama-cpp-python", "0.3.36", "open", "reflected-with-credentials",
    ),
    "llama-cpp-python-key": Case(
        Recipe("llama-cpp-python", [*LLAMA, "--api_key", KEY], ready="/v1/models", prepare=["python", "{here}/tiny_model.py", "{home}/m.gguf"]),
        "llama-cpp-python", "0.3.36", "closed", "reflected-with-credentials",
    ),
}  # fmt: skip
