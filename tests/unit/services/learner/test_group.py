"""The learner group without Ray: how a training that no other try would help comes to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.learner import context, group, loop
from services.learner.divergence import DivergedError
from tests.counting import counting_settings


class Closed:
    """A worker's context, as far as it matters here."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def close(self) -> None: ...


class Fitting:
    """Ray Train with one worker, in this process."""

    def __init__(self, body: Any, *, train_loop_config: dict[str, Any], **_: object) -> None:
        self.fit = lambda: body(train_loop_config)


@pytest.fixture
def settings_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    settings = counting_settings(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(group.ray, "cluster_resources", dict)
    monkeypatch.setattr(group, "TorchTrainer", Fitting)
    monkeypatch.setattr(group, "_log_to", lambda _: None)
    monkeypatch.setattr(context, "connect", lambda **_: Closed(settings))
    return str(tmp_path / "settings.yaml")


def ending_with(error: Exception | None) -> type:
    class Ending:
        def __init__(self, _: object) -> None: ...

        def run(self) -> None:
            if error:
                raise error

    return Ending


def test_a_hopeless_training_is_not_tried_again_by_ray_and_says_why(
    settings_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Learner", ending_with(DivergedError("6 times; lower the learning rate")))
    with pytest.raises(DivergedError, match="lower the learning rate"):
        group.run_learner(settings_path, "", "")


def test_a_later_start_does_not_remember_it(settings_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Learner", ending_with(DivergedError("6 times")))
    with pytest.raises(DivergedError):
        group.run_learner(settings_path, "", "")
    monkeypatch.setattr(loop, "Learner", ending_with(None))
    group.run_learner(settings_path, "", "")


def test_any_other_error_is_ray_trains_to_deal_with(settings_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Learner", ending_with(OSError("the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        group.run_learner(settings_path, "", "")
