"""What a learner worker works with: settings, places, and the clients of the other services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ramp.data.transforms import Prompts
from ramp.errors import NotFound
from ramp.models.build import instructions
from services.clients import connect as replay_service
from services.clients.connect import AnyClient
from services.clients.credentials import own_credentials
from services.clients.registry import DirectoryRegistry
from services.common import metrics
from services.common.coordination import Coordination, Value, board_of, serving
from services.common.settings import Settings, load_settings
from services.common.tokens import Role
from services.learner.checkpoint import Checkpoints
from services.learner.engine import rank
from services.learner.progress import Basis
from services.learner.publish import Publisher
from services.learner.telemetry import Telemetry
from services.learner.tokenizer_file import kept_tokenizer


@dataclass(kw_only=True)
class Context:
    """Made once per life of a worker."""

    settings: Settings
    replay: AnyClient
    registry: DirectoryRegistry
    board: Coordination
    publisher: Publisher
    checkpoints: Checkpoints
    telemetry: Telemetry
    basis_path: Path
    prompts: Prompts | None = None  # what a policy with published weights reads, once the basis is read
    _basis: Basis | None = None

    @property
    def basis(self) -> Basis:
        """Raises NotFound before the demonstrations were looked at."""
        if self._basis is None:
            raise NotFound(f"{self.basis_path} does not exist yet")
        return self._basis

    def read_basis(self) -> None:
        """Raises Invalid where the policy's tokenizer, which lies beside it, is missing or of another model."""
        self._basis = Basis.read(self.basis_path)
        self.prompts = instructions(self.settings.policy, kept_tokenizer(self.basis_path.parent))

    def close(self) -> None:
        self.replay.close()
        self.board.close()


def connect(settings_path: str, run_dir: str, replay_address: str, redis_url: str, node: str) -> Context:
    """Everything that a worker on that node of Ray needs, in its process. `redis_url` is of the conductor's own Redis;
    what the settings name comes first. Raises NotFound, Invalid, Unavailable."""
    settings, where = load_settings(settings_path), Path(run_dir)
    board = board_of(settings, redis_url)
    replay = replay_service.connect(
        replay_address,
        name=f"learner-{rank()}",
        board=board,
        credentials=own_credentials(settings, Role.LEARNER),
        decode_threads=settings.learner.decode_threads,
    )
    registry, home = DirectoryRegistry(where / "registry"), where / "checkpoints"
    return Context(
        settings=settings,
        replay=replay,
        registry=registry,
        board=board,
        publisher=Publisher(registry, board, replay, settings.recipe, precision=settings.training.precision, home=home),
        checkpoints=Checkpoints(home),
        telemetry=Telemetry(board, rank(), place=_place(settings, node)),
        basis_path=home / "basis.json",
    )


def _place(settings: Settings, node: str) -> dict[str, Value]:
    """Where this worker is, and serves its metrics."""
    parts = ("learner", "coordination")
    port = metrics.serve(settings.learner.metrics_port, settings.metrics.host, services=parts)
    return {"node": node, **serving(settings.metrics.host, port)}
