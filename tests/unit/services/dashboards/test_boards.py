"""The dashboards as they are committed: up to date, valid by Grafana's schemas and by the rules of good ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.metrics import Definition, definitions
from tests.unit.sources import ROOT

pytest.importorskip("grafana_foundation_sdk", reason="the builders are a development package; run make setup")

from services.dashboards.alerts import EVERY
from services.dashboards.generated import BOARDS, files

CHART = ROOT / "helm" / "ramp"
SCHEMAS = ROOT.parent / "shared" / "schemas" / "grafana"
NAMES = [board.name for board in BOARDS]
DEFINED: dict[str, Definition] = {known.name: known for known in definitions()}
CALL = re.compile(r"\b(rate|increase)\(")
SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\{([^}]*)\}")


def board(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files()[f"dashboards/{name}.json"])
    return found


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in board(name)["panels"] if panel["type"] != "row"]


def expressions(name: str) -> Iterator[tuple[str, str]]:
    for panel in panels(name):
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


def test_what_is_committed_is_what_the_code_makes() -> None:
    committed = {
        str(path.relative_to(CHART)): path.read_text()
        for folder in ("dashboards", "rules")
        for path in (CHART / folder).iterdir()
    }
    assert committed == files(), "run make dashboards"


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_variables_annotations_and_links_that_operators_expect(name: str) -> None:
    found = board(name)
    kinds = [each["type"] for each in found["templating"]["list"]]
    variables = {each["name"]: each for each in found["templating"]["list"]}
    assert kinds.count("datasource") == 1
    for each in ("namespace", "release", "task", "shard"):
        assert variables[each]["multi"]
        assert variables[each]["includeAll"]
    assert {each["name"] for each in found["annotations"]["list"]} >= {"Promotions", "Rollbacks", "Alerts"}
    assert {link["url"] for link in found["links"]} == {f"/d/ramp-{other}" for other in NAMES if other != name}
    assert all(link["includeVars"] and link["keepTime"] for link in found["links"])
    assert (found["id"], found["uid"], found["graphTooltip"]) == (None, f"ramp-{name}", 1)
    assert found["schemaVersion"] >= 39


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows(name: str) -> None:
    for panel in panels(name):
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_titles_are_told_apart_and_the_first_row_can_be_read_from_afar(name: str) -> None:
    (first, *_), found = board(name)["panels"], board(name)["panels"]
    row = [panel["type"] for panel in found[1:7]]
    assert first["type"] == "row"
    assert row == ["stat"] * 6
    graphs = [panel["title"] for panel in found if panel["type"] not in ("stat", "row")]
    assert len(graphs) == len(set(graphs))
    assert len({panel["id"] for panel in found}) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_query_is_of_the_chosen_runs_and_of_metrics_that_exist(name: str) -> None:
    for title, expr in expressions(name):
        selectors = SELECTOR.findall(expr)
        assert selectors, title
        for metric, matchers in selectors:
            assert 'namespace=~"$namespace"' in matchers, title
            assert 'release=~"$release"' in matchers, title
            assert metric == "up" or re.sub(r"_(bucket|sum|count)$", "", metric) in DEFINED or metric in DEFINED, title


@pytest.mark.parametrize("name", NAMES)
def test_counters_appear_under_rate_or_increase_over_the_rate_interval_only(name: str) -> None:
    for title, expr in expressions(name):
        for metric, _ in SELECTOR.findall(expr):
            known = DEFINED.get(metric)
            counts = metric.endswith(("_bucket", "_sum", "_ratio_count")) or (
                known is not None and known.kind == "counter"
            )
            under = re.search(rf"\b(rate|increase)\({metric}\{{[^}}]*\}}\[\$__rate_interval\]", expr)
            assert bool(under) == counts, f"{title}: {metric}"
        assert len(CALL.findall(expr)) == expr.count("[$__rate_interval]"), title


@pytest.mark.parametrize("name", NAMES)
def test_what_an_alert_watches_has_its_bound_and_leads_to_its_runbook(name: str) -> None:
    alerts = {alert.name: alert for alert in EVERY}
    for panel in panels(name):
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        named = re.findall(r"Alert: (\w+)\.", panel["description"])
        assert steps == [None, *(alerts[each].bound for each in named)], panel["title"]
        links = [link["url"] for link in panel.get("links", [])]
        assert links == [f"${{runbooks}}/{each}.md" for each in named], panel["title"]


def test_every_alert_s_bound_is_drawn_somewhere() -> None:
    drawn = {panel.alert.name for each in BOARDS for panel in each.panels if panel.alert}
    assert drawn >= {alert.name for alert in EVERY} - {"RampInterventionSpike"}  # a relation of two times


def test_every_metric_of_the_loop_is_on_a_dashboard() -> None:
    shown = " ".join(expr for name in NAMES for _, expr in expressions(name))
    unseen = {name for name in DEFINED if name not in shown and not name.startswith("ramp_coordination_")}
    assert unseen <= {
        "ramp_replay_sampled_items_total",
        "ramp_replay_held_episodes",
        "ramp_replay_annotation_version",
        "ramp_replay_taken_names",
        "ramp_replay_backup_failures_total",
        "ramp_spool_refused_episodes_total",
    }


@pytest.mark.parametrize("name", NAMES)
def test_grafana_s_strict_schemas_accept_it(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMAS.is_dir():
        pytest.skip("Grafana's schemas lie beside the checkout only where it is developed")
    found = board(name)
    errors = [error.message for error in _validator(jsonschema, "dashboard", None).iter_errors(found)]
    for panel in panels(name):
        parts = {"Options": panel.get("options"), "FieldConfig": panel["fieldConfig"]["defaults"].get("custom", {})}
        for part, value in parts.items():
            if value and (validator := _validator(jsonschema, panel["type"], part)):
                errors += [f"{panel['title']}: {error.message}" for error in validator.iter_errors(value)]
        for target in panel["targets"]:
            errors += [error.message for error in _validator(jsonschema, "prometheus", None).iter_errors(target)]
    assert errors == []


def _validator(jsonschema: Any, name: str, part: str | None) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.jsonschema.json").read_text())
    if part is not None:
        if part not in schema["definitions"]:
            return None
        schema = {**schema, "$ref": f"#/definitions/{part}"}
    return jsonschema.Draft7Validator(schema)


def test_the_generator_leaves_nothing_of_a_dashboard_that_is_no_more(tmp_path: Path) -> None:
    from services.dashboards.__main__ import main

    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "old.json").write_text("{}")
    main(tmp_path)
    assert {path.stem for path in (tmp_path / "dashboards").iterdir()} == set(NAMES)
