#!/usr/bin/env bash
# The main job, for real: prepare data, train models in parallel, evaluate, gate, register, deploy, predict.
# Works in a temporary folder and leaves nothing behind. Usage: bash examples/demo.sh [FAIRWAY]
set -euo pipefail

fairway=${1:-fairway}
python=$(dirname "$fairway")/python
[ -x "$python" ] || python=python3
folder=$(mktemp -d "${TMPDIR:-/tmp}/fairway-demo-XXXXXX")
cd "$folder"
unset FAIRWAY_HOME
finish() {
    "$fairway" down >/dev/null 2>&1 || true
    cd /
    rm -rf "$folder"
}
trap finish EXIT

say() { printf '\n$ %s\n' "$*" >&2; }

say fairway init
"$fairway" init
say fairway run cancer.py
"$fairway" run cancer.py
say fairway models show cancer
"$fairway" models show cancer
say fairway deploy cancer
url=$("$fairway" deploy cancer)
echo "$url"
say "one prediction from $url"
"$python" - "$url" <<'PY'
import json
import sys
import urllib.request

base = sys.argv[1].split("/v2/")[0]
with urllib.request.urlopen(base + "/openapi.json") as answer:
    example = json.load(answer)["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["example"]
request = urllib.request.Request(
    base + "/", data=json.dumps(example).encode(), headers={"Content-Type": "application/json"}
)
with urllib.request.urlopen(request) as answer:
    print(answer.read().decode())
PY
say fairway run cancer.py --test-share 0.3 --quiet
"$fairway" run cancer.py --test-share 0.3 --quiet
say fairway runs
"$fairway" runs
say fairway down
"$fairway" down
