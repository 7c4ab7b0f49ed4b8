"""From one policy document to the SQL that enforces it: the page view and the decision view."""

from collections.abc import Iterable

from db.deidentify import PIPELINE_VERSION
from db.policy.conditions import CONDITIONS, Condition
from db.policy.document import Policy, instant
from db.policy.grounds import GROUNDS, GroundCode

_PAGE_COLUMNS = (
    *("id", "account", "kind", "product", "language", "created_month", "text", "media", "country", "ground"),
)
CLAIMED_CLIENT = "nullif(current_setting('grounds.client', true), '')::int"
CLAIMED_PURPOSE = "coalesce(nullif(current_setting('grounds.purpose', true), ''), '')"


def conditions_of(policy: Policy) -> tuple[Condition, ...]:
    """Give the conditions that are evaluated under a policy: OPTED_IN only where the policy has that ground."""
    opted_in = GroundCode.OPTED_IN in policy.grounds
    return tuple(condition for condition in CONDITIONS if opted_in or condition.code != "OPTED_IN")


def compiled_views(policy: Policy) -> dict[str, str]:
    """Give the body of each view that a policy compiles to, by the view's name in schema `grounds`."""
    return {
        "trainable_content": f"{_permitted(policy)}\nORDER BY c.id",
        "decision": decision_statement(policy),
        "own_decision": (
            "SELECT d.* FROM grounds.decision d WHERE d.account = ("
            "SELECT a.id FROM grounds.account a WHERE a.platform_id = grounds.claim('subject'))"
        ),
    }


def evidence_columns() -> tuple[str, ...]:
    """Give the columns of the views that show evidence, each once, in the catalogue's order."""
    facts = (c.evidence for c in CONDITIONS if c.evidence and not c.evidence.of_policy)
    return tuple(dict.fromkeys(evidence.column for evidence in facts))


def page_columns() -> tuple[str, ...]:
    """Give the columns of the page view, in order. They are the same under every policy."""
    return (*_PAGE_COLUMNS, *(column for column in evidence_columns() if column not in _PAGE_COLUMNS))


def predicate(condition: Condition, policy: Policy, *, unclaimed: str = "FALSE") -> str:
    """Bind a condition's predicate to a policy.

    `unclaimed` says whether a statement that claims no client counts as a suspended one.
    """
    return f"({condition.predicate.format_map(_parameters(policy, unclaimed))})"


def _permitted(policy: Policy) -> str:
    """Select what is permitted: every condition of the item's ground is TRUE.

    Each condition is a top-level AND, without a wrapper, because the planner proves the partial indexes from it.
    """
    kinds = [kind for coverage in policy.grounds.values() for kind in coverage.kinds]
    clauses = [f"c.kind IN ({_texts(kinds)})"]
    for condition in conditions_of(policy):
        exempt = [k for g, coverage in policy.grounds.items() if not _requires(g, condition) for k in coverage.kinds]
        if len(exempt) == len(kinds):
            continue
        rule = predicate(condition, policy, unclaimed="TRUE")
        clauses.append(f"(c.kind IN ({_texts(exempt)}) OR {rule})" if exempt else rule)
    evidence = "".join(f", {_source(column)}" for column in page_columns() if column not in _PAGE_COLUMNS)
    where = "\n  AND ".join(clauses)
    return (
        "SELECT c.id, c.account, c.kind, c.product, c.language, c.created_month, c.text, c.media, s.country,"
        f" {_ground(policy)} AS ground{evidence}\n"
        "FROM grounds.content c JOIN grounds.account_standing s ON s.account = c.account\n"
        f"WHERE {where}"
    )


def decision_statement(policy: Policy, standing: str = "grounds.account_standing") -> str:
    """Select every item with every condition as TRUE, FALSE or NULL, the ground it is judged against, and the verdict.

    An author's account always has a standing, though nothing may be known of it yet.
    """
    codes = "".join(f',\n  {predicate(c, policy)} AS "{c.code}"' for c in CONDITIONS)
    evidence = "".join(f", {_source(column)}" for column in evidence_columns() if column != "kind")
    judged = dict.fromkeys((*policy.grounds, GroundCode.PUBLIC_CONTENT))
    verdicts = " ".join(f"WHEN '{ground}' THEN {_verdict(ground, policy)}" for ground in judged)
    return (
        f"SELECT d.*, coalesce(CASE d.ground {verdicts} END, FALSE) AS permitted,\n"
        f"  {_shortfall(policy, 'd')} AS shortfall\n"
        f"FROM (SELECT c.id, c.account, c.kind, {_ground(policy)} AS ground{evidence}{codes}\n"
        f"FROM grounds.content c JOIN {standing} s ON s.account = c.account) d"
    )


def _shortfall(policy: Policy, decision: str) -> str:
    """Write what gives the codes of the conditions that keep an item out, of those that its ground needs."""
    cases = []
    for ground in dict.fromkeys((*policy.grounds, GroundCode.PUBLIC_CONTENT)):
        needed = (c.code for c in conditions_of(policy) if _requires(ground, c))
        failing = ", ".join(f"CASE WHEN {decision}.\"{code}\" IS NOT TRUE THEN '{code}' END" for code in needed)
        cases.append(f"WHEN '{ground}' THEN array_remove(ARRAY[{failing}], NULL)")
    return f"CASE {decision}.ground {' '.join(cases)} END"


def _verdict(ground: GroundCode, policy: Policy) -> str:
    return " AND ".join(f'd."{c.code}"' for c in conditions_of(policy) if _requires(ground, c))


def _requires(ground: GroundCode, condition: Condition) -> bool:
    return condition.code in GROUNDS[ground].required


def _source(column: str) -> str:
    """Say where an evidence column comes from."""
    for condition in CONDITIONS:
        if condition.evidence and not condition.evidence.of_policy and condition.evidence.column == column:
            return f"{condition.evidence.fact} AS {column}"
    raise LookupError(column)


def _ground(policy: Policy) -> str:
    """Name the item's ground; a kind of no ground is judged against PUBLIC_CONTENT."""
    cases = " ".join(
        f"WHEN c.kind IN ({_texts(coverage.kinds)}) THEN '{ground}'" for ground, coverage in policy.grounds.items()
    )
    return f"CASE {cases} ELSE '{GroundCode.PUBLIC_CONTENT}' END"


def _parameters(policy: Policy, unclaimed: str) -> dict[str, str]:
    """Give what stands for each name in braces. A sub-select is computed once a statement, not once a row."""
    dwell = policy.dwell
    covered = " OR ".join(
        f"(c.kind IN ({_texts(coverage.kinds)}) AND s.product IN ({_texts(coverage.products)}))"
        for coverage in policy.grounds.values()
    )
    return {
        "now": "(SELECT grounds.decision_time())",
        "account_cutoff": _before(dwell.account_days * 24),
        "audience_cutoff": _before(dwell.audience_days * 24),
        "content_cutoff": _before(dwell.content_hours),
        "withdrawal_cutoff": _before(dwell.withdrawal_days * 24),
        "hold_cutoff": _before(dwell.hold_hours),
        "taken_back_cutoff": _before(dwell.taken_back_days * 24),
        "effective_from": instant(policy.effective_from),
        "effective_until": instant(policy.effective_until) if policy.effective_until else "timestamptz 'infinity'",
        "superseded": "(SELECT grounds.superseded())",
        "purposes": _texts(policy.purposes),
        "regions": _texts(policy.regions),
        "account_kinds": _texts(policy.account_kinds),
        "covered": covered,
        "pipeline": str(PIPELINE_VERSION),
        "claimed_purpose": f"(SELECT {CLAIMED_PURPOSE})",
        "client_suspended": (
            "(SELECT coalesce((SELECT k.suspended OR k.overdue_at <= grounds.decision_time()"
            f" FROM grounds.client k WHERE k.id = {CLAIMED_CLIENT}),"
            f" {unclaimed} OR {CLAIMED_CLIENT} IS NOT NULL))"
        ),
        "global_hold": (
            f"(SELECT EXISTS (SELECT FROM grounds.hold h WHERE h.scope = 'GLOBAL' AND {_open(dwell.hold_hours)}))"
        ),
        "held_countries": _held("COUNTRY", dwell.hold_hours),
        "held_products": _held("PRODUCT", dwell.hold_hours),
    }


def _before(hours: int) -> str:
    """Name the instant that long ago. Hours, not days: a day's length depends on the session's time zone."""
    return f"(SELECT grounds.decision_time() - interval '{hours} hours')"


def _open(hours: int) -> str:
    return (
        "h.opened_at <= grounds.decision_time()"
        f" AND coalesce(h.lifted_at, 'infinity') > grounds.decision_time() - interval '{hours} hours'"
    )


def _held(scope: str, hours: int) -> str:
    return (
        "(SELECT coalesce(array_agg(h.value), '{}') FROM grounds.hold h"
        f" WHERE h.scope = '{scope}' AND {_open(hours)})::text[]"
    )


def _texts(values: Iterable[str]) -> str:
    return ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)
