#!/usr/bin/env bash
# Installs a wheel in an empty environment for each extra, and tries what it is to bring.
set -euo pipefail
wheel=$(realpath "$1")
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
constraints=$(realpath constraints.txt)
cd "$there" # away from the checkout, whose packages would be found first

installed() {
    "${PYTHON:-python3}" -m venv --clear venv
    venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint "$constraints" "$wheel$1"
}

installed ""
venv/bin/instructor-stream --version
venv/bin/instructor-stream demo > demo.txt
venv/bin/python - <<'PY'
import sys

import instructor_stream_ext

for name in instructor_stream_ext.__all__:
    getattr(instructor_stream_ext, name)
for extra in ("litellm", "starlette", "redis", "opentelemetry", "vcr", "genai_prices"):
    assert extra not in sys.modules, f"importing the package imports {extra}"
PY
echo "the wheel alone: version, demo and all public names"

declare -A tried=(
    [anthropic]="import anthropic"
    [cost]="from instructor_stream_ext._instructor.prices import price_list; assert price_list().knows('gpt-4o-mini', 'openai', {})"
    [google-genai]="from google import genai"
    [litellm]="import instructor_stream_ext.routing"
    [otel]="from instructor_stream_ext.sinks.telemetry import telemetry; telemetry()"
    [redis]="import redis.asyncio"
    [testing]="import subprocess, sys; assert 'stream_cassette' in subprocess.run([sys.executable, '-m', 'pytest', '--fixtures', '-q'], capture_output=True, text=True).stdout"
    [web]="import instructor_stream_ext.web"
)
for extra in "${!tried[@]}"; do
    installed "[$extra]"
    venv/bin/python -W error::ImportWarning -c "${tried[$extra]}"
    echo "[$extra]: works"
done
