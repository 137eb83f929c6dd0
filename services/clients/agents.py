"""An agent out of a registry, and whether it fits a robot: what actors and the policy server have in common."""

from __future__ import annotations

from dataclasses import fields

from ramp.errors import Invalid
from ramp.interfaces import Registry
from ramp.models.agent import Agent
from ramp.models.vla.instructions import TOKENIZER
from ramp.types import Kind, StepSchema


def read_agent(registry: Registry, version: int, *, efficient: bool = False) -> Agent:
    """A policy with the world model that its manifest names: the two were trained together. An `efficient` agent does
    without that one's weights.

    Raises NotFound, Corrupt, and Invalid where what was published does not fit together.
    """
    policy, manifest = registry.load(Kind.POLICY, version)
    if "world_version" not in manifest:
        raise Invalid("manifest", f"policy {version} names no world_version", "publish it with the one it used")
    foreseeing = int(manifest["world_version"])
    if efficient:
        world, world_manifest = None, registry.manifest(Kind.WORLD, foreseeing)
    else:
        world, world_manifest = registry.load(Kind.WORLD, foreseeing)
    tokenizer = registry.file(Kind.POLICY, version, TOKENIZER)
    return Agent.from_registry_parts(
        policy, manifest, world, world_manifest, tokenizer=tokenizer, version=version, efficient=efficient
    )


def check_schema(version: int, trained: StepSchema, robot: StepSchema) -> None:
    """Raises Invalid, naming what differs first, where a policy was trained for another robot."""
    for name in ("action_width", *(each.name for each in fields(StepSchema))):
        theirs, ours = getattr(trained, name), getattr(robot, name)
        if theirs != ours:
            raise Invalid(f"schema.{name}", f"{theirs} of policy {version}", f"this robot has {ours}")
