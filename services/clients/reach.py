"""A server that belongs to no run here: its address alone, or a file that says by what it is known and asked.

    address: shard-0=replay.example:7001,shard-1=replay.example:7011
    token: operator.token        # a file with what `ramp token new` printed, which nobody else may read
    ca: ca.pem                   # the server speaks TLS, by a certificate of this CA
    certificate: client.pem      # for mTLS, with its key
    key: client.key

Only the address must be there; files are looked for beside this one.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from ramp.errors import Invalid
from services.clients.credentials import Credentials
from services.common.private import read_private

FIELDS = ("address", "token", "ca", "certificate", "key")
ENDINGS = (".yaml", ".yml")


def reached(words: str) -> tuple[str, Credentials]:
    """Address, and what to show there: of HOST:PORT, NAME=HOST:PORT,... or the path of such a file. Raises Invalid,
    NotFound."""
    if not words.endswith(ENDINGS):
        return words, Credentials()
    path = Path(words).expanduser()
    said = _read(path)
    files = {name: path.parent / Path(said[name]).expanduser() for name in FIELDS[1:] if name in said}
    token = read_private(files["token"]).decode("utf-8", errors="replace").strip() if "token" in files else ""
    ca, certificate, key = (files.get(name) for name in FIELDS[2:])
    return said["address"], Credentials(token=token, ca=ca, certificate=certificate, key=key)


def _read(path: Path) -> dict[str, str]:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Invalid(str(path), str(error)[:160], "name a YAML file that can be read") from error
    if not isinstance(said, dict) or "address" not in said or not set(said) <= set(FIELDS):
        raise Invalid(str(path), said if said is None else sorted(map(str, said)), f"say address, and of {FIELDS} more")
    return {name: str(value) for name, value in said.items()}
