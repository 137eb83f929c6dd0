#!/usr/bin/env bash
# Puts prometheus, promtool and amtool into .tools/bin: out of Debian's packages, unpacked; no service is installed or
# started. Safe to call again.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=.tools/bin
UNPACKED=.tools/prometheus

say() { echo "tools: $*" >&2; }
fail() { echo "tools: FAILED: $*" >&2; exit 1; }

if [ -x "$BIN/prometheus" ] && [ -x "$BIN/promtool" ] && [ -x "$BIN/amtool" ]; then exit 0; fi
command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
  fail "this system has no apt-get; put prometheus, promtool and amtool on PATH, then run make again"
mkdir -p "$BIN" "$UNPACKED"
say "unpacking Debian's prometheus and prometheus-alertmanager into $UNPACKED"
download() { (cd "$UNPACKED" && apt-get download -qq prometheus prometheus-alertmanager >/dev/null); }
update() { if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi; }
# A new machine has no package lists yet, an old one may have lists of packages that are gone.
download || { update && download; } || fail "apt-get could not download them: run apt-get update, then make again"
for package in "$UNPACKED"/*.deb; do dpkg -x "$package" "$UNPACKED"; done
rm -f "$UNPACKED"/*.deb
for program in prometheus promtool amtool; do ln -sf "../prometheus/usr/bin/$program" "$BIN/$program"; done
