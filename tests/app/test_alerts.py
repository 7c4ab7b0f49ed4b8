"""Every alert is sent when what it watches goes wrong, and none is sent while all is well."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.mutants import Killed
from tests.support.repository import ROOT

pytestmark = pytest.mark.deploy

ALERTS = ROOT / "app" / "deploy" / "alerts.yml"
# Per alert: the series that goes wrong, with a sample per minute, and the hours after which the alert is sent.
WRONG = {
    "GroundsDown": (['up{job="grounds"} 0x60'], 1),
    "GroundsJobFails": (['grounds_job_failures_total{job="seal"} 0+10x60'], 1),
    "GroundsJobStopped": (['grounds_job_last_success_timestamp_seconds{job="seal"} 0x60'], 1),
    "GroundsRetractionsWait": (["grounds_retraction_oldest_seconds 100x60"], 1),
    "GroundsRetractionsUnacknowledged": (['grounds_retractions_unacknowledged{client="c"} 1x1300'], 21),
    "GroundsFailures": (["grounds_failures_total 0+10x60"], 1),
    "GroundsUnavailable": (
        ['grounds_http_requests_total{status="503"} 0+1x60', 'grounds_http_requests_total{status="200"} 0+10x60'],
        1,
    ),
    "GroundsConnectionsExhausted": (['grounds_pool_connections{pool="p",state="waiting"} 1x60'], 1),
    "GroundsWebhookFails": (['grounds_webhook_failures_total{client="c"} 0+1x60'], 1),
    "GroundsCanaryFound": (["grounds_canary_incidents 0x30 1x30"], 1),
    "GroundsMediumAltered": (["grounds_altered_media 0x30 1x30"], 1),
    "GroundsLedgerUnsealed": (["grounds_ledger_unsealed_receipts 20000x60"], 1),
    "GroundsLedgerDamaged": (["grounds_ledger_verify_ok 0x60"], 1),
    "GroundsLedgerNotVerified": (["grounds_ledger_verified_timestamp_seconds -700000x60"], 1),
    "GroundsObjectionsUnmatched": (["grounds_objections_unmatched 1x4500"], 74),
}
WELL = [
    'up{job="grounds"} 1x60',
    'grounds_job_failures_total{job="seal"} 1x60',
    'grounds_job_last_success_timestamp_seconds{job="seal"} 0+60x60',
    'grounds_job_last_success_timestamp_seconds{job="purge"} 0x60',
    "grounds_retraction_oldest_seconds 1x60",
    'grounds_retractions_unacknowledged{client="c"} 1 0x60',
    "grounds_failures_total 1x60",
    'grounds_http_requests_total{status="503"} 1x60',
    'grounds_http_requests_total{status="200"} 0+10x60',
    'grounds_pool_connections{pool="p",state="waiting"} 0x60',
    'grounds_webhook_failures_total{client="c"} 2x60',
    "grounds_canary_incidents 1x60",
    "grounds_altered_media 1x60",
    "grounds_ledger_unsealed_receipts 100x60",
    "grounds_ledger_verify_ok 1x60",
    "grounds_ledger_verified_timestamp_seconds 0x60",
    "grounds_objections_unmatched 1x60",
]


def case(series: list[str], hours: int, alert: str, samples: str) -> str:
    """Write a test of promtool: how many alerts are sent after so many hours."""
    given = "".join(f"      - series: '{name}'\n        values: '{values}'\n"
                    for name, _, values in (each.partition(" ") for each in series))  # fmt: skip
    return (
        f"  - interval: 1m\n    input_series:\n{given}    promql_expr_test:\n"
        f"      - expr: 'count(ALERTS{{alertstate=\"firing\"{alert}}})'\n        eval_time: {hours}h\n"
        f"        exp_samples: {samples}\n"
    )


def test_every_alert_is_sent_when_something_goes_wrong_and_none_while_all_is_well(
    tmp_path: Path, killed: Killed
) -> None:
    rules = ALERTS.read_text(encoding="utf-8")
    names = re.findall(r"alert: (\w+)", rules)
    assert set(names) == WRONG.keys()
    cases = [
        case(series, hours, f',alertname="{name}"', "[{labels: '{}', value: 1}]")
        for name, (series, hours) in WRONG.items()
    ]
    cases.append(case(WELL, 1, "", "[]"))
    assert differences(rules, cases, tmp_path) is None
    broken = rules.replace("min_over_time(grounds_retractions_unacknowledged[20h]) > 0", "vector(0) > 0")
    killed("an alert that is never sent", "alerts.yml", differences(broken, cases, tmp_path))


def differences(rules: str, cases: list[str], folder: Path) -> str | None:
    """Run the tests with promtool; return what differs."""
    (folder / "rules.yml").write_text(rules)
    file = folder / "tests.yml"
    file.write_text(f"rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n{''.join(cases)}")
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else None
