#!/usr/bin/env bash
# Makes .venv with exactly the versions of requirements.lock, and the system packages that no wheel brings.
# Called by make; safe to call again. PYTHON=/path/to/python3.11 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
LOCK=requirements.lock

say() { echo "setup: $*" >&2; }
fail() { echo "setup: FAILED: $*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# The Debian packages that are missing, one per line. $1: the interpreter.
missing_packages() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null || echo python3.11-venv
  # MuJoCo's software renderer; not needed where MUJOCO_GL chooses another.
  if [ "${MUJOCO_GL:-osmesa}" = osmesa ]; then
    "$1" -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("OSMesa"))' || echo libosmesa6
  fi
}

# Installs Debian packages where that is allowed; otherwise names the command.
install_packages() {
  local root=()
  if [ "$(id -u)" != 0 ]; then root=(sudo -n); fi
  local by_hand="sudo apt-get install -y --no-install-recommends $*"
  command -v apt-get >/dev/null || fail "this system has no apt-get; install what Debian calls: $*; then run make again"
  if [ "${#root[@]}" != 0 ] && ! "${root[@]}" true 2>/dev/null; then
    fail "system packages are missing and this user may not install them. Run: $by_hand"
  fi
  say "installing system packages: $*"
  # A stale or unreachable second source must not stop us where the package lists at hand are enough.
  "${root[@]}" apt-get update -qq || say "apt-get update reported a problem; trying with the lists that are here"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
    fail "apt-get could not install: $*. Run by hand and read its message: $by_hand"
}

# The pinned requirement of a package, e.g. torch==2.13.0.
pin() { grep -E "^$1==" "$LOCK" || fail "$LOCK has no pin of $1"; }

# pip install within the lock's versions.
install() {
  .venv/bin/python -m pip install -qq --disable-pip-version-check --constraint "$LOCK" "$@" || fail "pip could not" \
    "install the versions of $LOCK ($*): its message is above. The lock holds on Linux with Python 3.11; this is" \
    "$(uname -sm), $(.venv/bin/python --version). Check the network and pip's settings (.venv/bin/pip config list), then run make again"
}

python=$(find_python) ||
  fail "no Python 3.11 found. Debian 12: sudo apt-get install -y python3.11 python3.11-venv; or set PYTHON=/path/to/python3.11"
[ "$(uname -s)" = Linux ] || fail "the lock holds on Linux; this is $(uname -s)"
mapfile -t packages < <(missing_packages "$python")
if [ "${#packages[@]}" != 0 ]; then install_packages "${packages[@]}"; fi

rm -f .venv/.ready
if [ ! -x .venv/bin/python ]; then
  say "creating .venv with $("$python" --version)"
  "$python" -m venv .venv
fi
say "installing torch, then the rest (a few minutes, about 3 GB)"
install "$(pin pip)" "$(pin setuptools)"
install "$(pin torch)"  # first and pinned, so that no other package brings its own
install --build-constraint "$LOCK" --editable ".[dev]"
.venv/bin/python -m pip check >&2 || fail "the installed packages contradict each other (above); run: make clean setup"
touch .venv/.ready
say "ready"
