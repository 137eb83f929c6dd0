"""Generate the Python code of the contract: `python proto/generate.py [directory]`, beside the protos by default.

Run it after editing a .proto; a test compares what is committed with what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent


def generate(target: Path) -> None:
    """Write *_pb2.py, *_pb2.pyi and *_pb2_grpc.py. Raises RuntimeError where the compiler refuses."""
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    includes = [f"-I{HERE}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outputs = [f"--python_out={target}", f"--grpc_python_out={target}", f"--mypy_out=quiet:{target}"]
    protos = sorted(str(path.relative_to(HERE)) for path in HERE.glob("rampwire/**/*.proto"))
    status = protoc.main(["protoc", f"--plugin=protoc-gen-mypy={plugin}", *includes, *outputs, *protos])
    if status:
        raise RuntimeError(f"protoc ended with status {status}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
