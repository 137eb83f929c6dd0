"""Plans: what the papers compare, in an order in which it can be measured."""

from __future__ import annotations

import json

import pytest

from ramp.recipes.recipe import METHODS
from services.common.settings import compose
from services.conductor.study import plan as plans
from services.conductor.study import value_plan
from services.conductor.study.plan import SINGLE, START, Arm, Plan
from services.conductor.study.value_plan import JOINT, ValuePlan

PLANS = {"methods": plans.methods(), "conditioning": plans.conditioning()}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_an_arm_tries_only_what_stands_before_it(plan: Plan) -> None:
    known = {START}
    for arm in plan.arms:
        assert not arm.of or arm.of in known
        known.add(arm.name)
    assert plan.against in known
    assert len(known) == len(plan.arms)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_arm_and_its_data_have_settings_that_exist(plan: Plan, quick: bool) -> None:
    plan = plans.quick(plan) if quick else plan
    for arm in plan.arms:
        compose(plan.recipe, None, [*plan.collect, *arm.settings])


def test_every_method_is_compared() -> None:
    assert {arm.name for arm in PLANS["methods"].arms} == {START, *METHODS}


@pytest.mark.parametrize("quick", [False, True])
def test_the_task_that_is_learnt_alone_is_one_of_the_data_with_tokens_and_without(quick: bool) -> None:
    plan = plans.quick(PLANS["conditioning"]) if quick else PLANS["conditioning"]
    alone = [arm for arm in plan.arms if arm.tasks]
    run = compose(plan.recipe, None, plan.collect)
    assert SINGLE in run.tasks
    settings = [compose(plan.recipe, None, [*plan.collect, *arm.settings]) for arm in alone]
    assert [each.tasks for each in settings] == [(SINGLE,)] * 2
    assert [each.training.algorithm for each in settings] == ["ramp", "recap"]
    with_tokens = compose(plan.recipe, None, next(arm for arm in plan.arms if arm.name == plan.against).settings)
    assert settings[0].policy == with_tokens.policy, "told the same, from one task and from all"


def test_an_arms_tasks_are_what_its_settings_say() -> None:
    assert Arm(name="all", settings=("training.algorithm=bc",)).tasks == ()
    assert Arm(name="two", settings=("training.algorithm=bc", "tasks=a,b")).tasks == ("a", "b")


def test_a_plan_is_json_and_one_more_seed_changes_nothing_of_it() -> None:
    plan = PLANS["methods"]
    assert json.loads(json.dumps(plan.plain()))["updates"] == plan.updates
    assert "seeds" not in plan.plain()


@pytest.mark.parametrize("plan", [ValuePlan(), value_plan.quick()], ids=["full", "quick"])
def test_every_value_model_and_its_data_have_settings_that_exist(plan: ValuePlan) -> None:
    for arm in plan.arms:
        compose(plan.recipe, None, [*plan.collect, *arm.settings])
    assert JOINT in {arm.name for arm in plan.arms}


def test_quick_comparisons_share_their_data() -> None:
    assert value_plan.quick().collect == plans.quick(PLANS["methods"]).collect
    assert value_plan.quick().recipe == PLANS["methods"].recipe
