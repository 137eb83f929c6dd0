#!/usr/bin/env bash
# Installs LeRobot's own library into .tools/lerobot, for the test that it reads what we export; `make lerobot` runs both.
# It pins a torch older than ours and a torchvision that fits to none, so it gets an environment of its own, the lock's
# torch, and no dependencies but those that reading a data set needs. TO=/elsewhere chooses another folder.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
TO=${TO:-.tools/lerobot}
VERSION=0.4.4
[ "$(cat "$TO/.version" 2>/dev/null)" = "$VERSION" ] && exit 0

torch=$(grep -E '^torch==' requirements.lock)
"$PYTHON" -m venv --clear "$TO"
install() { "$TO/bin/python" -m pip install -qq --no-compile --disable-pip-version-check "$@"; }
install "$torch"  # first, so that no other package brings its own
install "$torch" "datasets==4.1.1" "huggingface-hub==0.35.3" "av==15.1.0" "accelerate==1.10.1" pillow numpy
install --no-deps "lerobot==$VERSION"
echo "$VERSION" >"$TO/.version"
echo "lerobot: $VERSION in $TO" >&2
