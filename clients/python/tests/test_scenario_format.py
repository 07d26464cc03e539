"""The reader of the scenarios: variables, and which replies match."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios
from tests.support.scenario_calls import arguments
from tests.support.scenarios import (
    Refusal,
    Variables,
    check_step_form,
    mismatches,
    read_scenarios,
    refusal_mismatches,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
REFUSAL = Refusal("NOT_FOUND", "HOLD_NOT_FOUND", {"hold_id": "h1"}, ["hold_id", "usage.count"])


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${account}", "acct"),
        ("a-${account}-b", "a-acct-b"),
        ("${now}", "2026-01-02T03:04:05Z"),
        ("${now+1h}", "2026-01-02T04:04:05Z"),
        ("${now-5m}", "2026-01-02T02:59:05Z"),
        ("${now+1h30m}", "2026-01-02T04:34:05Z"),
        ("${repeat:xy:3}", "xyxyxy"),
        ("${repeat:a:b:2}", "a:ba:b"),
        ("${version}", 7),
        ("v${version}", "v7"),
        ("plain $ {text}", "plain $ {text}"),
        ({"${repeat:k:2}": ["${account}"]}, {"kk": ["acct"]}),
        ([{"repeat": 2, "item": {"service": "${account}"}}], [{"service": "acct"}] * 2),
        ([{"repeat": 2}], [{"repeat": 2}]),
        (3, 3),
    ],
)
def test_variables(text: object, filled: object) -> None:
    assert Variables("acct", {"version": 7}).fill(text, NOW) == filled


def test_a_text_of_a_file_has_variables_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card.toml").write_text('name = "${account}" # ${price} ${saved}')
    monkeypatch.setattr(scenarios, "DIRECTORY", tmp_path)
    text = {"text_of": "card.toml", "with": {"price": "${saved}.5"}}
    filled = Variables("acct", {"saved": 7}).fill({"toml": text}, NOW)
    assert filled == {"toml": 'name = "acct" # 7.5 7'}
    with pytest.raises(KeyError, match="price"):
        Variables("acct", {"saved": 7}).fill({"text_of": "card.toml"}, NOW)
    with pytest.raises(AssertionError, match="unknown keys"):
        Variables("acct").fill({"text_of": "card.toml", "width": {}}, NOW)


@pytest.mark.parametrize("mask", ["rateCard", "rateCard,labels,attributes", ""])
def test_a_mask_names_exactly_what_the_account_has(mask: str) -> None:
    account = {"account": "acct", "rate_card": "card", "labels": {}}
    good = arguments("UpdateAccount", {"account": account, "update_mask": "labels,rateCard"})
    assert good == {"account": "acct", "rate_card": "card", "labels": {}}
    with pytest.raises(AssertionError, match="update_mask must name"):
        arguments("UpdateAccount", {"account": account, "update_mask": mask})


def test_an_unknown_variable_fails() -> None:
    with pytest.raises(KeyError):
        Variables("acct").fill("${typo}", NOW)


def test_save_follows_paths_through_lists() -> None:
    variables = Variables("acct")
    variables.save(
        {"x": "results.1.estimate.credits"}, {"results": [0, {"estimate": {"credits": "2"}}]}
    )
    assert variables.saved == {"x": "2"}


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": "1"}, {"a": "1", "b": "not looked at"}),
        ({"a": "", "b": 0, "c": False, "d": [], "e": {"f": ""}}, {}),
        ({"a": "*"}, {"a": "x"}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}),
        ({"results": [{"refusal": {"code": "NOT_FOUND"}}]}, {"results": [{"refusal": REFUSAL}]}),
    ],
)
def test_matches(expected: Any, actual: Any) -> None:
    assert mismatches(expected, actual, "reply") == []


@pytest.mark.parametrize(
    ("expected", "actual", "path"),
    [
        ({"a": "1"}, {"a": "1.0"}, "reply.a"),
        ({"a": "1"}, {"a": 1}, "reply.a"),
        ({"a": 1}, {"a": True}, "reply.a"),
        ({"a": 1}, {}, "reply.a"),
        ({"a": ""}, {"a": "x"}, "reply.a"),
        ({"a": "*"}, {"a": ""}, "reply.a"),
        ({"a": [1]}, {"a": [1, 2]}, "reply.a"),
        ({"a": []}, {"a": [1]}, "reply.a"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "reply.a.0.b"),
        (
            {"results": [{"refusal": {}}]},
            {"results": [{"estimate": {}}]},
            "reply.results.0.refusal",
        ),
        ({"estimate": {"credits": "1"}}, {"refusal": REFUSAL}, "reply.estimate.credits"),
    ],
)
def test_does_not_match(expected: Any, actual: Any, path: str) -> None:
    assert [bad.split(":")[0] for bad in mismatches(expected, actual, "reply")] == [path]


@pytest.mark.parametrize(
    ("expected", "bad"),
    [
        ({"code": "NOT_FOUND", "reason": "HOLD_NOT_FOUND"}, []),
        ({"metadata": {"hold_id": "h1"}}, []),
        ({"metadata": {"hold_id": "*"}}, []),
        ({"fields": ["usage.count", "hold_id"]}, []),
        ({"code": "ABORTED"}, ["refusal.code"]),
        ({"reason": "X"}, ["refusal.reason"]),
        ({"metadata": {"account": "*"}}, ["refusal.metadata.account"]),
        ({"fields": ["hold_id"]}, ["refusal.fields"]),
    ],
)
def test_refusals(expected: dict[str, Any], bad: list[str]) -> None:
    mismatched = refusal_mismatches(expected, REFUSAL, "refusal")
    assert [one.split(":")[0] for one in mismatched] == bad


@pytest.mark.parametrize(
    "step",
    [
        {"call": "Grant"},
        {"call": "Grant", "reply": {}, "refusal": {}},
        {"call": "Grant", "reply": {}, "requets": {}},
        {"call": "Grant", "refusal": {"field": []}},
    ],
)
def test_steps_of_no_form_fail(step: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_step_form(step)


def test_only_leaves_out_the_scenarios_of_other_clients(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"name": "all", "steps": []},
        {"name": "ours", "steps": [], "only": ["python", "go"]},
        {"name": "theirs", "steps": [], "only": ["go"]},
    ]
    (tmp_path / "some.json").write_text(json.dumps(entries))
    assert [scenario.name for scenario in read_scenarios(tmp_path)] == ["all", "ours"]


def test_a_step_has_a_key_only_where_the_scenario_has_one(tmp_path: Path) -> None:
    entry: dict[str, Any] = {"name": "keyed", "steps": [{"call": "Grant", "key": ""}]}
    (tmp_path / "some.json").write_text(json.dumps([entry]))
    with pytest.raises(AssertionError, match="has no key itself"):
        read_scenarios(tmp_path)
    (tmp_path / "some.json").write_text(json.dumps([entry | {"key": "${admin_key}"}]))
    assert [scenario.key for scenario in read_scenarios(tmp_path)] == ["${admin_key}"]
