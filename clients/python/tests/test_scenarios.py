"""Every scenario of ../scenarios, through both clients, against the real server."""

from collections import Counter
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Connect
from tests.support.scenario_calls import call
from tests.support.scenarios import (
    Refusal,
    Scenario,
    Variables,
    check_step_form,
    mismatches,
    read_scenarios,
    refusal_mismatches,
)
from tests.support.server import ADMIN_KEY

SCENARIOS = read_scenarios()


def test_there_are_scenarios_and_each_has_its_own_name() -> None:
    names = Counter(scenario.name for scenario in SCENARIOS)
    assert names, "no scenario found; a suite that checks nothing must not pass"
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, connect: Connect, request: pytest.FixtureRequest) -> None:
    variables = Variables(account=f"scenario-{uuid4()}", saved={"admin_key": ADMIN_KEY})
    server = request.getfixturevalue("server" if scenario.key is None else "server_with_keys")
    drivers: dict[str, Any] = {}
    for number, step in enumerate(scenario.steps):
        check_step_form(step)
        now = datetime.now(timezone.utc)
        key = variables.fill(step.get("key", scenario.key or ""), now)
        if key not in drivers:
            drivers[key] = connect(server, key=key or None)
        reply = call(drivers[key], step["call"], variables.fill(step.get("request", {}), now))
        path = f"{scenario.path.name}: step {number} {step['call']}"
        if "refusal" in step:
            bad = refusal_mismatches(variables.fill(step["refusal"], now), reply, path)
        elif isinstance(reply, Refusal):
            bad = [f"{path}: refused: {reply}"]
        else:
            bad = mismatches(variables.fill(step["reply"], now), reply, path)
            variables.save(step.get("save", {}), reply)
        assert not bad, "\n".join(bad)
