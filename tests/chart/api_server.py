"""An API server that knows kinds, Secrets and one ServiceAccount: enough for helm's `lookup`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Kinds = Iterable[tuple[str, str]]


def discovery(kinds: Kinds) -> dict[str, Any]:
    """What a client asks before it asks for objects: groups, and the resources of each. `kinds`: (apiVersion, kind)."""
    found: dict[str, list[dict[str, Any]]] = {}
    for version, kind in sorted(kinds):
        name = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
        resource = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
        found.setdefault(version, []).append(resource)
    lists = {
        version: {"kind": "APIResourceList", "groupVersion": version, "resources": of} for version, of in found.items()
    }
    groups = [
        {"name": version.split("/")[0], "versions": [{"groupVersion": version, "version": version.split("/")[1]}]}
        for version in found
        if "/" in version
    ]
    return {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        **{f"/{'apis' if '/' in version else 'api'}/{version}": each for version, each in lists.items()},
    }


@contextmanager
def serving(kinds: Kinds, namespace: str, release: str, secrets: dict[str, dict[str, str]]) -> Iterator[str]:
    """Its URL. `secrets`: data by name, of that release of helm's."""
    place = f"/api/v1/namespaces/{namespace}"
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    known = discovery(kinds) | {f"{place}/serviceaccounts/default": _object("ServiceAccount", "default", owner)}
    known |= {
        f"{place}/secrets/{name}": _object("Secret", name, owner) | {"data": data} for name, data in secrets.items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = known.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _object(kind: str, name: str, annotations: dict[str, str]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels, "annotations": annotations}}
