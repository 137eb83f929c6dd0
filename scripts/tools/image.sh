#!/usr/bin/env bash
# Says whether `make image` and tests/image have a container engine here, and which Debian packages give one. Installs
# nothing: an engine belongs to the machine, not to .tools/bin.
set -euo pipefail

for engine in docker podman buildah; do
  if "$engine" info >/dev/null 2>&1; then
    echo "image: $engine works here"
    exit 0
  fi
done
echo "image: no container engine works here, so tests/image only reads the Dockerfile. One for make image:" \
  "sudo apt-get install -y --no-install-recommends podman buildah runc netavark aardvark-dns"
