"""Every alert fires where it should and keeps quiet where it should, by promtool: the rules as they are committed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.tooling import tool
from tests.unit.sources import ROOT

RULES = ROOT / "helm" / "ramp" / "rules" / "ramp.yaml"
RUN = 'namespace="n",release="r"'


@dataclass(frozen=True, kw_only=True)
class Case:
    """Values in promtool's short form, a step of `every`; it is looked at `at`."""

    alert: str
    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    at: str
    every: str = "1m"


def episodes(outcome: str) -> str:
    return f'ramp_actor_episodes_total{{{RUN},purpose="rollout",outcome="{outcome}",task="t"}}'


def steps(source: str) -> str:
    return f'ramp_actor_steps_total{{{RUN},source="{source}",task="t"}}'


def spent(what: str) -> str:
    return f'ramp_learner_work_seconds_total{{{RUN},component="learner",what="{what}"}}'


def up(component: str) -> str:
    return f'up{{{RUN},component="{component}",pod="{component}-0"}}'


FREE = f'ramp_replay_disk_free_bytes{{{RUN},shard="shard-0"}}'
CLOCK = f'ramp_process_progress_seconds{{{RUN},stage="learner-world"}}'
NEWEST = f'ramp_learner_published_version{{{RUN},kind="policy"}}'
ACTED = f'ramp_replay_robot_policy_version{{{RUN},robot="arm-1"}}'
REWINDS = f'ramp_learner_rewinds_total{{{RUN},component="learner"}}'
ERROR = f'ramp_learner_value_error_ratio_sum{{{RUN},task="t"}}'
ERRORS = f'ramp_learner_value_error_ratio_count{{{RUN},task="t"}}'
PROMOTED = f'ramp_registry_promoted_seconds{{{RUN},alias="stable"}}'
HEARD = f'ramp_replay_robot_heard_seconds{{{RUN},robot="arm-1"}}'
EXPIRY = f'ramp_process_certificate_expiry_seconds{{{RUN},component="replay",what="certificate"}}'
BACKUP = f'ramp_replay_backup_seconds{{{RUN},shard="shard-0"}}'

FALL = {episodes("success"): "0+1x360 360x130", episodes("failure"): "0x360 0+1x130"}
USUAL = {steps("policy"): "0+99x1500"}

CASES = [
    Case(
        alert="RampReplayDown",
        fires={up("replay"): "1x2 0x10", up("conductor"): "1x20"},
        quiet={up("replay"): "1x20", up("conductor"): "1x20"},
        at="8m",
    ),
    Case(alert="RampReplayDown", fires={up("conductor"): "1x20"}, quiet={up("replay"): "1x20"}, at="8m"),
    Case(
        alert="RampReplayDown",
        fires={up("replay"): "1x20", f"ramp_conductor_away_shards{{{RUN}}}": "1x20"},
        quiet={up("replay"): "1x20", f"ramp_conductor_away_shards{{{RUN}}}": "0x20"},
        at="8m",
    ),
    Case(
        alert="RampDiskFilling",
        fires={FREE: "100000000000-100000000x120"},
        quiet={FREE: "100000000000-1000000x120"},
        at="90m",
    ),
    Case(
        alert="RampLearnerStarved",
        fires={spent("wait"): "0+50x60", spent("update"): "0+10x60"},
        quiet={spent("wait"): "0+10x60", spent("update"): "0+50x60"},
        at="30m",
    ),
    Case(alert="RampStalled", fires={CLOCK: "1x60"}, quiet={CLOCK: "0+60x60"}, at="30m"),
    Case(
        alert="RampStaleExperience",
        fires={NEWEST: "50x60", ACTED: "3x60"},
        quiet={NEWEST: "50x60", ACTED: "49x60"},
        at="30m",
    ),
    Case(alert="RampNanRewinds", fires={REWINDS: "0x10 1x50"}, quiet={REWINDS: "1x60"}, at="20m"),
    Case(
        alert="RampValueDrift",
        fires={ERROR: "0+6x120", ERRORS: "0+10x120"},
        quiet={ERROR: "0+1x120", ERRORS: "0+10x120"},
        at="90m",
    ),
    Case(
        alert="RampSuccessRegression",
        fires={**FALL, PROMOTED: "0x360 22800x110"},
        quiet={**FALL, PROMOTED: "60x490"},
        at="450m",
    ),
    Case(
        alert="RampSuccessRegression",
        fires={**FALL, PROMOTED: "0x360 22800x110"},
        quiet={episodes("success"): "0+1x490", episodes("failure"): "0+1x490", PROMOTED: "0x360 22800x110"},
        at="450m",
    ),
    Case(
        alert="RampInterventionSpike",
        fires={steps("human"): "0+1x1400 1450+50x98", **USUAL},
        quiet={steps("human"): "0+1x1500", **USUAL},
        at="1490m",
    ),
    Case(alert="RampRobotSilent", fires={HEARD: "1x60"}, quiet={HEARD: "0+60x60"}, at="30m"),
    Case(alert="RampCertificateExpiry", fires={EXPIRY: "259200x120"}, quiet={EXPIRY: "2592000x120"}, at="90m"),
    Case(alert="RampBackupTooOld", fires={BACKUP: "1x800"}, quiet={BACKUP: "0+240x800"}, at="3000m", every="4m"),
]


def expected(case: Case, values: Mapping[str, str], firing: int) -> dict[str, object]:
    question = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'
    answers = [{"labels": "{}", "value": firing}] if firing else []
    return {
        "interval": case.every,
        "input_series": [{"series": name, "values": text} for name, text in values.items()],
        "promql_expr_test": [{"expr": question, "eval_time": case.at, "exp_samples": answers}],
    }


def run_promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *words], capture_output=True, text=True, timeout=120)


def test_promtool_accepts_the_rules() -> None:
    checked = run_promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case() -> None:
    alerts = {rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    assert {case.alert for case in CASES} == alerts


@pytest.mark.parametrize(("which", "firing"), [("fires", 1), ("quiet", 0)])
def test_alerts_fire_where_they_should_and_nowhere_else(tmp_path: Path, which: str, firing: int) -> None:
    tests = [expected(case, getattr(case, which), firing) for case in CASES]
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(whole))
    done = run_promtool("test", "rules", tmp_path / "tests.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
