"""The tokenizer that a policy with published weights reads its instructions by, kept with the run.

The weights' folder is read once, when a run begins; from then on the run has what it needs: a copy beside its
checkpoints for the learner, and one beside every published policy for whoever acts with it.
"""

from __future__ import annotations

from pathlib import Path

from ramp.models.vla.config import PolicyConfig
from ramp.models.vla.instructions import TOKENIZER, read_tokenizer
from ramp.models.vla.paligemma_config import PaliGemmaConfig


def keep_tokenizer(policy: PolicyConfig, home: Path) -> None:
    """Copy it from the folder of published weights, where the settings name one. Raises NotFound."""
    if isinstance(policy, PaliGemmaConfig) and policy.weights and not (home / TOKENIZER).exists():
        home.mkdir(parents=True, exist_ok=True)
        partial = home / f"{TOKENIZER}.partial"
        partial.write_bytes(read_tokenizer(Path(policy.weights)))
        partial.replace(home / TOKENIZER)


def kept_tokenizer(home: Path) -> bytes | None:
    """Its content; None where the run has none."""
    path = home / TOKENIZER
    return path.read_bytes() if path.is_file() else None
