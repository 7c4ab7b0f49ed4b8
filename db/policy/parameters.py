"""The parameters of a policy's rules: the SQL for each name in braces, as the compiled views read it."""

from collections.abc import Iterable

from db.deidentification.text import PIPELINE_VERSION
from db.policy.conditions import PARENTS_PUBLIC
from db.policy.document import Policy, sql_instant

Parameters = dict[str, str]

CLAIMED_CLIENT = "nullif(current_setting('grounds.client', true), '')::int"
CLAIMED_PURPOSE = "coalesce(nullif(current_setting('grounds.purpose', true), ''), '')"
TOLD_OF_PURPOSE = f"(SELECT t.told FROM grounds.campaign_told t WHERE t.purpose = {CLAIMED_PURPOSE})"

_NEXT_DUE = (  # when the first retraction falls due that a client has not acknowledged
    "(SELECT r.due_by FROM grounds.retraction_batch r"
    " WHERE r.client = k.id AND r.last_id > k.acknowledged AND r.kind <> 'RELEASE' ORDER BY r.last_id LIMIT 1)"
)


def parameters_at_instant(policy: Policy) -> Parameters:
    """Return the SQL parameters of a compiled policy's offers: time is the offer's, and holds are left to the page."""
    waits = waiting_hours(policy)
    instants = {f"{name}_cutoff": f"(due.instant - interval '{hours} hours')" for name, hours in waits.items()}
    return {
        **live_parameters(policy, "FALSE"),
        **instants,
        **{f"{name}_dwell": f"interval '{hours} hours'" for name, hours in waits.items()},
        "now": "due.instant",
        "global_hold": "FALSE",
        "held_countries": "'{}'::text[]",
        "held_products": "'{}'::text[]",
    }


def waiting_hours(policy: Policy) -> dict[str, int]:
    """Return the hours of a policy's waiting times. Hours, not days: a day's length depends on the time zone."""
    dwell = policy.dwell
    return {
        "account": dwell.account_days * 24,
        "audience": dwell.audience_days * 24,
        "content": dwell.content_hours,
        "withdrawal": dwell.withdrawal_days * 24,
        "hold": dwell.hold_hours,
        "taken_back": dwell.taken_back_days * 24,
    }


def fixed_parameters(policy: Policy) -> Parameters:
    """Return the SQL for those names in braces of a condition's rule whose values a policy alone states."""
    never = "timestamptz 'infinity'"
    covered = " OR ".join(
        f"(c.kind IN ({text_array(coverage.kinds)}) AND s.product IN ({text_array(coverage.products)}))"
        for coverage in policy.grounds.values()
    )
    return {
        "effective_from": sql_instant(policy.effective_from),
        "effective_until": sql_instant(policy.effective_until) if policy.effective_until else never,
        "stops_after": sql_instant(policy.stops_after) if policy.stops_after else never,
        "purposes": text_array(policy.purposes),
        "notice_epoch": text_array([policy.notice.epoch]),
        "regions": text_array(policy.regions),
        "account_kinds": text_array(policy.account_kinds),
        "covered": covered,
        "pipeline": str(PIPELINE_VERSION),
        "names_optional": "NULL" if policy.names == "required" else "TRUE",
    }


def live_parameters(policy: Policy, unclaimed: str) -> Parameters:
    """Return the SQL for each name in braces of a condition's rule. A sub-select is computed once per statement."""
    hold_hours = policy.dwell.hold_hours
    return {
        **fixed_parameters(policy),
        "now": "(SELECT grounds.decision_time())",
        **{f"{name}_cutoff": _hours_ago(hours) for name, hours in waiting_hours(policy).items()},
        "superseded": "(SELECT grounds.decisions_pending())",
        "parents_public": PARENTS_PUBLIC,
        "claimed_purpose": f"(SELECT {CLAIMED_PURPOSE})",
        "told": f"coalesce({TOLD_OF_PURPOSE} -> (c.kind || ' ' || s.product), '[]')",
        "client_suspended": (
            f"(SELECT coalesce((SELECT k.suspended OR coalesce({_NEXT_DUE} <= grounds.decision_time(), FALSE)"
            f" FROM grounds.client k WHERE k.id = {CLAIMED_CLIENT}),"
            f" {unclaimed} OR {CLAIMED_CLIENT} IS NOT NULL))"
        ),
        "global_hold": f"(SELECT EXISTS (SELECT FROM grounds.hold h WHERE {_open_hold('GLOBAL', hold_hours)}))",
        "held_countries": _hold_predicate("COUNTRY", hold_hours),
        "held_products": _hold_predicate("PRODUCT", hold_hours),
    }


def _hours_ago(hours: int) -> str:
    """Write the SQL of the instant that lies a policy's waiting time before the decision."""
    return f"(SELECT grounds.decision_time() - interval '{hours} hours')"


def _open_hold(scope: str, hours: int) -> str:
    """Write the SQL by which a compiled policy finds holds of a scope that are open, or were some hours ago."""
    return (
        f"h.scope = '{scope}' AND h.opened_at <= grounds.decision_time()"
        f" AND coalesce(h.lifted_at, 'infinity') > grounds.decision_time() - interval '{hours} hours'"
    )


def _hold_predicate(scope: str, hours: int) -> str:
    """Write the SQL of what open holds of a scope cover, for the conditions of a policy."""
    return f"(SELECT coalesce(array_agg(h.value), '{{}}') FROM grounds.hold h WHERE {_open_hold(scope, hours)})::text[]"


def text_array(values: Iterable[str]) -> str:
    """Write texts as SQL literals of a compiled policy."""
    return ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)
