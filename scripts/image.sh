#!/usr/bin/env bash
# Builds the image of deploy/image/Dockerfile with docker, podman or buildah, and prints what it consists of.
#   VARIANT=cpu|cuda  BASE_IMAGE=REF  TAG=REF  ENGINE=docker|podman|buildah  PIP_CONFIG_FILE=FILE  scripts/image.sh [ENGINE'S OPTIONS]
# Called by make. PIP_CONFIG_FILE (a mirror, its certificate and credentials) reaches pip as a build secret only.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "image: $*" >&2; }
fail() { echo "image: FAILED: $*" >&2; exit 1; }

# The engine that is asked for, or the first one that works here.
find_engine() {
  local candidate
  for candidate in ${ENGINE:-docker podman buildah}; do
    if "$candidate" info >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# The options by which each engine gives every file one time, the last commit's.
time_options() {
  case "$1" in
    docker) echo "--build-arg SOURCE_DATE_EPOCH=$2" ;;
    *) echo "--timestamp $2 --format docker" ;;  # the OCI format has no health check
  esac
}

# A command in the new image, with its standard input.
inside() {
  case "$engine" in
    buildah)
      local container status=0
      container=$(buildah from --pull-never "$TAG")
      buildah run "$container" -- "$@" || status=$?
      buildah rm "$container" >/dev/null
      return "$status" ;;
    *) "$engine" run --rm --interactive --read-only --network none --no-healthcheck "$TAG" "$@" ;;
  esac
}

engine=$(find_engine) || fail "no docker, podman or buildah works here; scripts/tools/image.sh says what to install"
VARIANT=${VARIANT:-cpu}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
TAG=${TAG:-ramp-fleet:$version-$VARIANT}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
options=(--file deploy/image/Dockerfile --tag "$TAG" --build-arg "VARIANT=$VARIANT" --build-arg "VERSION=$version")
options+=(--build-arg "REVISION=${REVISION:-$(git rev-parse HEAD)}")
if [ -n "${BASE_IMAGE:-}" ]; then options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
if [ -n "${PIP_CONFIG_FILE:-}" ]; then options+=(--secret "id=pip,src=$PIP_CONFIG_FILE"); fi

say "building $TAG with $engine"
# shellcheck disable=SC2046  # two words for each option
"$engine" build "${options[@]}" $(time_options "$engine" "$epoch") "$@" . || fail "$engine build: its message is above"
inside python - <scripts/image/parts.py
mkdir -p .image
inside cat /usr/share/sbom/ramp.cdx.json >".image/$VARIANT.cdx.json"
say "$TAG is ready; its software bill of materials: .image/$VARIANT.cdx.json"
