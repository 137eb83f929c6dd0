"""Settings: layers, types, refusals that help, and the way through a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ramp.data import words
from ramp.errors import Invalid, NotFound
from ramp.models.vla import PaliGemmaConfig
from ramp.models.world import WanConfig
from ramp.recipes import RECIPES
from services.common import settings as module
from services.common.settings import child_environment, compose, describe, load_settings, mujoco_gl, redis_url, save
from services.common.sizes import FULL_RANGES


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_passes_its_own_checks_and_survives_a_file(name: str, tmp_path: Path) -> None:
    settings = compose(name, None, [f"dir={tmp_path}"])

    save(settings, tmp_path / "settings.yaml")

    assert load_settings(tmp_path / "settings.yaml") == settings
    assert settings.recipe == name


def test_the_settings_of_a_run_that_was_moved_say_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    save(compose("counting", None, [f"dir={tmp_path / 'old'}"]), tmp_path / "new" / "settings.yaml")

    assert load_settings(tmp_path / "new" / "settings.yaml").dir == str(tmp_path / "new")


def test_an_override_beats_the_file_and_the_file_beats_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  policy_lr: 1e-4\n  warmup: 7\ntakeover.hold: 20\n")

    settings = compose("metaworld", file, ["training.warmup=9"])

    assert (settings.training.policy_lr, settings.training.warmup, settings.takeover.hold) == (1e-4, 9, 20)
    assert settings.training.world_lr == RECIPES["metaworld"]().training.world_lr


def test_a_file_may_name_its_recipe_and_an_argument_beats_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: debug\n")

    assert compose("", file, []).recipe == "debug"
    assert compose("counting", file, []).recipe == "counting"
    assert compose("", None, []).recipe == module.DEFAULT_RECIPE


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("world.horizons=12,24", "world.horizons", (12, 24)),
        ("world.horizons=[12, 24]", "world.horizons", (12, 24)),
        ("tasks=['reach-v3', push-v3]", "tasks", ("reach-v3", "push-v3")),
        ("training.policy_lr=3e-4", "training.policy_lr", 3e-4),
        ("actors.count= 3 ", "actors.count", 3),
        ("dir=/data/run 1", "dir", "/data/run 1"),
        ("redis.url=redis://h:1/0?a=b", "redis.url", "redis://h:1/0?a=b"),
    ],
)
def test_text_is_read_as_a_person_wrote_it(text: str, key: str, value: object) -> None:
    assert module._get(compose("metaworld", None, [text]), key) == value


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("actors.cuont=1", "actors.cuont", "did you mean actors.count"),
        ("policy_lr=1", "policy_lr", "did you mean training.policy_lr"),
        ("actros=1", "actros", "did you mean actors"),
        ("qqqq=1", "qqqq", "--show"),
        ("actors=2", "actors", "group; set one of actors.count"),
        ("actors.count", "actors.count", "key=value"),
        ("recipe=debug", "recipe", "`ramp run debug`"),
        ("actors.count=abc", "actors.count", "needs int"),
        ("actors.count=1.5", "actors.count", "needs int"),
        ("actors.count=true", "actors.count", "needs int"),
        ("actors.count=0", "actors.count", "from 1"),
        ("training.policy_lr=nan", "training.policy_lr", "finite"),
        ("training.policy_lr=inf", "training.policy_lr", "finite"),
        ("training.policy_lr=-1", "training.policy_lr", "at least 0"),
        ("training.mixture.online=-1", "training.mixture.online", "at least 0"),
        ("world.horizons=12,x", "world.horizons", "needs tuple"),
        ("world.horizons=12,13", "world.horizons", "multiples of env.frame_stride"),
        ("world.horizons=24,12", "world.horizons", "ascending"),
        ("world.horizons=12,400", "world.horizons", "below env.max_steps"),
        ("world.predicts=futures", "world.predicts", "state, value"),
        ("world.predicts=value", "world.predicts", "training.algorithm=recap"),
        ("value.bins=0", "value.bins", "from 1"),
        ("training.restart=never", "training.restart", "continue, pretrained"),
        ("policy.chunk=7", "policy.chunk", "env.frame_stride"),
        ("policy.width=102", "policy.width", "policy.heads"),
        ("policy.insulation=0.1", "policy.insulation", "trains the backbone"),
        ("policy.insulation=2", "policy.insulation", "from 0 to 1"),
        ("tasks=a,a", "tasks", "once"),
        ("tasks=", "tasks", "at least one"),
        ("tasks=reach-v3,hammer", "tasks", "did you mean hammer-v3"),
        ("env.cameras=frnt", "env.cameras", "did you mean front"),
        ("env.suite=gymnasium", "env.suite", "scripted expert"),
        ("env.cameras=[]", "env.cameras", "at least one"),
        ("env.image_size=481", "env.image_size", "16 and 480"),
        ("env.image_encoding=gif", "env.image_encoding", "raw, jpeg, png"),
        ("env.jpeg_quality=0", "env.jpeg_quality", "from 1 to 100"),
        ("learner.decode_threads=0", "learner.decode_threads", "from 1 to 1024"),
        ("actors.batch_steps=4097", "actors.batch_steps", "to 4096"),
        ("replay.max_message_mib=1", "replay.max_message_mib", "from 16"),
        ("sampling.slack=1", "sampling.slack", "must fit"),
        ("evaluation.first_seed=20000", "evaluation.first_seed", "training seeds"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name_with_a_remedy(text: str, key: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compose("metaworld", None, [text])

    assert caught.value.field == key
    assert hint in caught.value.remedy


def test_a_policy_that_thinks_needs_a_token_for_every_value_of_its_quantiser() -> None:
    thinking = ["policy.thought=true", "policy.insulation=0.1"]
    with pytest.raises(Invalid, match="171 or more"):
        compose("metaworld", None, [*thinking, "policy.action_vocabulary=170"])
    assert compose("metaworld", None, [*thinking, "policy.action_vocabulary=171"]).policy.thought


def test_corrections_need_somebody_who_corrects() -> None:
    wanted = ["training.mixture.corrections=0.2"]
    compose("metaworld", None, wanted)
    with pytest.raises(Invalid, match="max_takeovers"):
        compose("metaworld", None, [*wanted, "takeover.max_takeovers=0"])


def test_a_restart_must_not_forget_a_policy_that_nobody_has_seen() -> None:
    rhythm = ["training.publish_every=200", "training.relabel_every=500"]
    compose("metaworld", None, rhythm)
    with pytest.raises(Invalid, match=r"relabel_every: 500; use a multiple of training\.publish_every=200"):
        compose("metaworld", None, [*rhythm, "training.restart=pretrained"])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("training: 5", "training"),
        ("training:\n  policy_lr: .nan", "training.policy_lr"),
        ("training:\n  polici_lr: 1", "training.polici_lr"),
        ("dir: 5", "dir"),
        ("actors:\n  count: true", "actors.count"),
        ("- 1", "settings file"),
        ("a: [", "settings file"),
        ("recipe: nothing", "recipe"),
        ("5: 6", "5"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)

    with pytest.raises(Invalid) as caught:
        load_settings(tmp_path / "bad.yaml")

    assert caught.value.field == field


def test_the_recipe_decides_the_size_of_the_models_and_a_file_gives_it_back(tmp_path: Path) -> None:
    settings = compose("full", None, [f"dir={tmp_path}", "policy.ffn=64", "world.weights=/models/wan"])
    save(settings, tmp_path / "settings.yaml")
    loaded = load_settings(tmp_path / "settings.yaml")
    assert (type(loaded.policy), type(loaded.world)) == (PaliGemmaConfig, WanConfig)
    assert (loaded.policy.ffn, loaded.world.weights) == (64, "/models/wan")
    with pytest.raises(Invalid, match="it is a setting of: full") as refused:
        compose("metaworld", None, ["policy.ffn=64"])
    assert refused.value.field == "policy.ffn"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("stages.tokenizer_updates=5", "stages.tokenizer_updates", "give 0"),
        ("policy.weights=models/paligemma2", "policy.weights", "absolute path"),
        ("world.weights=~/wan", "world.weights", "absolute path"),
        ("world.latent_channels=16", "world.latent_channels", "keep 48"),
        ("world.width=3071", "world.width", "multiple of world.heads"),
        ("policy.key_value_heads=3", "policy.heads", "multiple of 3"),
        ("policy.image_side=225", "policy.image_side", "multiple of 14"),
        ("policy.vocabulary=512", "policy.vocabulary", "at least 513"),
        ("policy.embodiments=2", "policy.embodiments", "keep 1"),
        ("policy.text_vocabulary=257000 policy.thought=true", "policy.vocabulary", "give more than"),
        ("training.precision=float16", "training.precision", "float32, bfloat16"),
        ("training.beta2=2", "training.beta2", "from 0 to 1"),
    ],
)
def test_numbers_that_a_full_size_model_cannot_have_are_refused(text: str, key: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compose("full", None, text.split())
    assert caught.value.field == key
    assert hint in caught.value.remedy


def test_a_full_size_policy_has_room_for_hashed_words() -> None:
    assert FULL_RANGES["policy.vocabulary"][0] == words.BUCKETS + 1
    assert FULL_RANGES["policy.prompt"][0] == words.LONGEST


def test_a_missing_file_and_an_unknown_recipe_are_named() -> None:
    with pytest.raises(NotFound, match="nowhere"):
        load_settings("nowhere.yaml")
    with pytest.raises(Invalid, match="did you mean metaworld"):
        compose("metawrld", None, [])


def test_show_lists_every_setting_once_with_the_comment_behind_it() -> None:
    rows = {row.key: row for row in describe(compose("metaworld", None, ["actors.count=3"]))}

    assert rows["actors.count"].type == "int"
    assert rows["actors.count"].value == "3"
    assert "one process each" in rows["actors.count"].doc
    assert rows["demos.noise"].doc.startswith("standard deviation")
    assert len(rows) > 60
    assert [key for key, row in rows.items() if not row.doc] == []


def test_what_show_prints_is_accepted_as_overrides() -> None:
    settings = compose("counting", None, [])
    overrides = [f"{row.key}={row.value}" for row in describe(settings) if row.key != "recipe"]

    assert compose("metaworld", None, overrides) == replace(settings, recipe="metaworld")


@pytest.mark.parametrize(
    ("texts", "key", "hint"),
    [
        (["replay.host=0.0.0.0"], "replay.host", "replay.exposed=true"),
        (["replay.host=replay.example"], "replay.host", "replay.tls.certificate"),
        (["replay.tokens=tokens.yaml"], "replay.tokens", "absolute path"),
        (["replay.tls.ca=~/ca.pem"], "replay.tls.ca", "absolute path"),
        (["replay.tls.certificate=/c", "replay.tls.ca=/ca"], "replay.tls.certificate", "replay.tls.key"),
        (["replay.tls.certificate=/c", "replay.tls.key=/k"], "replay.tls.ca", "check the server"),
        (["replay.tls.client_ca=/ca"], "replay.tls.client_ca", "client_certificate"),
        (["replay.quotas.robot.mib_s=-1"], "replay.quotas.robot.mib_s", "at least 0"),
        (["replay.quotas.clients=arm-7"], "replay.quotas.clients", "NAME:MIB_S:EPISODES:CALLS"),
        (["replay.quotas.clients=a:1:1:1,a:2:2:2"], "replay.quotas.clients", "each name once"),
        (["replay.calls=1"], "replay.calls", "from 8"),
    ],
)
def test_an_open_door_and_half_a_lock_are_refused(texts: list[str], key: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compose("counting", None, texts)
    assert caught.value.field == key
    assert hint in caught.value.remedy


def test_a_server_for_other_machines_needs_tls_or_a_word_that_it_is_meant() -> None:
    tls = ["replay.tls.certificate=/c", "replay.tls.key=/k", "replay.tls.ca=/ca"]
    assert compose("counting", None, ["replay.host=0.0.0.0", *tls]).replay.tls.files() is not None
    assert compose("counting", None, ["replay.host=0.0.0.0", "replay.exposed=true"]).replay.tls.files() is None


def test_what_is_saved_nobody_else_may_read(tmp_path: Path) -> None:
    save(compose("counting", None, ["redis.url=rediss://:secret@redis.example:6380/0"]), tmp_path / "settings.yaml")
    assert (tmp_path / "settings.yaml").stat().st_mode & 0o077 == 0


def test_children_render_in_software_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert child_environment(A="1")["MUJOCO_GL"] == "osmesa"

    monkeypatch.setenv("MUJOCO_GL", "egl")

    assert mujoco_gl() == child_environment()["MUJOCO_GL"] == "egl"
    assert child_environment(A="1")["A"] == "1"


def test_the_password_of_redis_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAMP_REDIS_PASSWORD", "a/b:c@d")
    given = compose("counting", None, ["redis.url=rediss://ramp@redis.example:6380/0"])
    assert redis_url(given) == "rediss://ramp:a%2Fb%3Ac%40d@redis.example:6380/0"
    own = compose("counting", None, ["redis.url=redis://:mine@redis.example:6380/0"])
    assert redis_url(own) == own.redis.url
    assert redis_url(compose("counting", None, [])) == "", "the conductor's own Redis has none"


@pytest.mark.parametrize("group", ["actors", "learner"])
def test_processes_of_one_machine_share_no_metrics_port(group: str) -> None:
    count = {"actors": "actors.count=2", "learner": "learner.workers=2"}[group]
    with pytest.raises(Invalid, match=f"{group}.resource"):
        compose("counting", None, [f"{group}.metrics_port=9102", count])
    compose("counting", None, [f"{group}.metrics_port=9102", count, f"{group}.resource=rollout"])
