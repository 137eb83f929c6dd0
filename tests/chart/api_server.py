"""An API server that knows Secrets and one ServiceAccount: enough for helm's `lookup`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERBS = ["get", "list"]
KINDS = [
    {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": VERBS}
    for name, kind in (("secrets", "Secret"), ("serviceaccounts", "ServiceAccount"))
]
ANSWERS: dict[str, Any] = {
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": KINDS},
}


@contextmanager
def serving(namespace: str, secrets: dict[str, dict[str, str]]) -> Iterator[str]:
    """Its URL. `secrets`: data by name."""
    place = f"/api/v1/namespaces/{namespace}"
    known = {f"{place}/serviceaccounts/default": _object("ServiceAccount", "default")}
    known |= {f"{place}/secrets/{name}": _object("Secret", name) | {"data": data} for name, data in secrets.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = (ANSWERS | known).get(self.path.partition("?")[0])
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


def _object(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
