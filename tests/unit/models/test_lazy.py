"""What the small models and the command line do not need, they do not load."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.unit.sources import ROOT

CODE = """
import sys
import services.cli.main, services.learner.trainer
import ramp.models.agent, ramp.models.vla, ramp.models.world
import ramp.models.vla.instructions, ramp.models.vla.paligemma, ramp.models.world.wan
print({"diffusers", "transformers", "tokenizers", "accelerate"} & set(sys.modules))
"""


def test_the_full_models_libraries_are_loaded_when_a_full_model_is_built_and_not_before() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto"), *sys.path])}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"  # DeepSpeed says something before
