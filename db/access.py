"""Who may reach what in the database: one declaration, applied after every migration and compared at every start.

Every table has row security, forced on its owner too. A rule names the claim that it asks for; a claim is set for one
statement's transaction only, and without it a rule shows nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

OWNER = "grounds_owner"
TRAINING = "grounds_training"
STAFF = "grounds_staff"
SUBJECT = "grounds_subject"
DASHBOARD = "grounds_dashboard"
INGEST = "grounds_ingest"
WORKER = "grounds_worker"
LOGIN_ROLES = (TRAINING, STAFF, SUBJECT, DASHBOARD, INGEST, WORKER)

ANY_CLAIM = "(SELECT grounds.claimed())"
EXAMINING = "(SELECT grounds.examining())"
INGESTING = "(SELECT grounds.ingesting())"
OWN_ACCOUNT = "account = (SELECT grounds.claimed_account())"
OWN_OBJECTION = "IN (SELECT grounds.objections_reaching((SELECT grounds.claimed_account())))"
OF_CLIENT = "client = (SELECT grounds.claimed_client())"
WORKING = "(SELECT grounds.working())"
EVERYTHING = "true"  # where there is nothing to hide: policies are public, and what is published of counts


@dataclass(frozen=True, slots=True)
class Access:
    """Let a role do this to the rows of a table for which the rule holds."""

    privileges: frozenset[str]
    rows: str


def _read(rows: str) -> Access:
    return Access(frozenset({"SELECT"}), rows)


def _merge(*privileges: str) -> Access:
    return Access(frozenset({"SELECT", *privileges}), INGESTING)


def _kept(rows: str = ANY_CLAIM) -> Access:
    """Hold the owner to a rule; its privileges come with owning."""
    return Access(frozenset(), rows)


TABLES: dict[str, dict[str, Access]] = {
    "account": {
        OWNER: _kept(),
        STAFF: _read(EXAMINING),
        SUBJECT: _read("platform_id = (SELECT grounds.claim('subject'))"),
        INGEST: _merge("INSERT", "UPDATE"),
    },
    "account_person": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT")},
    "account_contact": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT")},
    "account_standing": {OWNER: _kept(), STAFF: _read(EXAMINING), SUBJECT: _read(OWN_ACCOUNT)},
    "standing_due": {OWNER: _kept()},
    "notice": {
        OWNER: _kept(),
        STAFF: _read(EXAMINING),
        SUBJECT: _read(OWN_ACCOUNT),
        INGEST: _merge("INSERT", "UPDATE"),
    },
    "campaign": {OWNER: _kept()},
    "notice_task": {OWNER: _kept()},
    "notice_count": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "objection": {
        OWNER: _kept(),
        STAFF: _read(EXAMINING),
        SUBJECT: _read(f"id {OWN_OBJECTION}"),
        INGEST: _merge("INSERT", "UPDATE"),
    },
    "objection_target": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT")},
    "consent": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT", "UPDATE")},
    "consent_event": {
        OWNER: _kept(),
        STAFF: _read(EXAMINING),
        SUBJECT: _read(f"{OWN_ACCOUNT} OR objection {OWN_OBJECTION}"),
    },
    "hold": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "quarantine": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT")},
    "fact_version": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "policy_activation": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "content": {
        OWNER: _kept(),
        STAFF: _read(EXAMINING),
        SUBJECT: _read(OWN_ACCOUNT),
        INGEST: _merge("INSERT", "UPDATE"),
    },
    "content_reference": {OWNER: _kept(), STAFF: _read(EXAMINING), INGEST: _merge("INSERT", "DELETE")},
    "policy": {role: _kept(EVERYTHING) if role == OWNER else _read(EVERYTHING) for role in (
        OWNER, STAFF, SUBJECT, DASHBOARD, INGEST)},
    "retraction": {
        OWNER: _kept(f"{OF_CLIENT} OR {WORKING}"), TRAINING: _read(OF_CLIENT), STAFF: _read(EXAMINING)
    },
    "retraction_due": {OWNER: _kept()},
    "policy_proposal": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "client": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "webhook": {OWNER: _kept()},
    "delivery": {OWNER: _kept(f"{OF_CLIENT} OR {WORKING}"), TRAINING: _read(OF_CLIENT), STAFF: _read(EXAMINING)},
    "checkpoint": {OWNER: _kept()},
    "coverage_snapshot": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "coverage_delivered": {OWNER: _kept()},
    "coverage_part": {OWNER: _kept()},
    "coverage_cell": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "coverage_published": {OWNER: _kept(), DASHBOARD: _read(EVERYTHING)},
    "client_suspension": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "objection_reaching": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "objection_rejection": {OWNER: _kept(), STAFF: _read(EXAMINING)},
    "verification": {OWNER: _kept(), STAFF: _read(EXAMINING)},
}  # fmt: skip

# What db.past shows as it was.
PAST = (
    *("account", "account_person", "account_contact", "account_standing", "notice", "objection", "objection_target"),
    *("objection_in_force", "consent", "content", "content_reference", "hold", "quarantine", "policy"),
)

# Views read as their owner, but the one that says how an objection counts: it shows what its reader may see.
VIEWS: dict[str, tuple[str, ...]] = {
    "trainable_content": (TRAINING,),
    "decision": (STAFF,),
    "own_decision": (SUBJECT,),
    "objection_in_force": (STAFF, SUBJECT),
} | {f"past_{name}": (STAFF,) for name in PAST}
COMPILED = ("trainable_content", "decision", "own_decision")  # of the policy in force, which makes and grants them

# What a rule or a statement of each role calls. The claims' readers are everybody's: rules are checked as who asks.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "decision_time()": LOGIN_ROLES,
    "claim(text)": LOGIN_ROLES,
    "claimed()": LOGIN_ROLES,
    "claimed_client()": LOGIN_ROLES,
    "claimed_account()": (SUBJECT,),
    "examining()": (STAFF,),
    "ingesting()": (INGEST,),
    "working()": (WORKER,),
    "write_receipt(bigint[])": (TRAINING,),
    "register_client(text)": (TRAINING,),
    "newest_checkpoint()": (WORKER,),
    "unsealed_receipts(integer)": (WORKER,),
    "add_checkpoint(bigint, bigint, bigint, integer, bytea, bytea, timestamp with time zone, bytea)": (WORKER,),
    "objections_reaching(bigint)": (STAFF, SUBJECT),
    "open_hold(text, text, text, text)": (STAFF,),
    "lift_hold(bigint)": (STAFF,),
    "propose_policy(text, json, timestamp with time zone)": (STAFF,),
    "approve_policy(text)": (STAFF,),
    "due_policy()": (WORKER,),
    "superseded()": (TRAINING, STAFF, SUBJECT),
    "file_objection(text, text, text, text)": (STAFF, SUBJECT),
    "withdraw_objection(text)": (STAFF, SUBJECT),
    "deliveries_of_subject(bigint[])": (SUBJECT,),
    "open_campaign(text, text)": (WORKER,),
    "claim_notice(bigint, text, text, boolean)": (WORKER,),
    "settle_notice(bigint, text)": (WORKER,),
    "settle_broken_off(bigint)": (WORKER,),
    "unwritten_notices(bigint, bigint, integer)": (WORKER,),
    "write_notices(bigint[], text[], text[], text[])": (WORKER,),
    "pending_notices(bigint, integer)": (WORKER,),
    "record_notice_delivery(text[], timestamp with time zone[], timestamp with time zone[])": (WORKER,),
    "campaign_counts(bigint)": (WORKER,),
    "count_notices()": (WORKER,),
    "retract_due()": (WORKER,),
    "purge_texts(integer)": (WORKER,),
    "count_coverage(text[], integer)": (WORKER,),
    "counted_coverage()": (WORKER,),
    "publish_coverage(json)": (WORKER,),
    "known_at()": (STAFF,),
    "valid_at()": (STAFF,),
    "past_same_person(bigint[])": (STAFF,),
    "past_objections_naming(bigint)": (STAFF,),
    "past_standing_of(bigint[])": (STAFF,),
    "acknowledge_retractions(bigint)": (TRAINING,),
    "withheld()": (TRAINING,),
    "suspend_client(text, text)": (STAFF,),
    "resume_client(text)": (STAFF,),
    "client_webhooks()": (STAFF,),
    "reaching_nobody()": (STAFF,),
    "remember_reaching()": (WORKER,),
    "match_objection(bigint, text)": (STAFF,),
    "reject_objection(bigint, text)": (STAFF,),
    "count_objections()": (STAFF,),
    "register_webhook(text, boolean, text)": (STAFF,),
    "due_webhooks(integer[], integer, integer)": (WORKER,),
    "record_webhook(integer, text, bigint)": (WORKER,),
    "adult_from(text)": (INGEST,),
    "notice_period_end(timestamp with time zone, integer)": (STAFF,),
}


def statements() -> Iterator[str]:
    """Write what brings tables, views and functions in line with the declaration; a compiled view may not exist yet."""
    yield "REVOKE ALL ON ALL TABLES IN SCHEMA grounds FROM PUBLIC, " + ", ".join(LOGIN_ROLES)
    yield "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA grounds FROM PUBLIC, " + ", ".join(LOGIN_ROLES)
    yield "GRANT USAGE ON SCHEMA grounds TO " + ", ".join(LOGIN_ROLES)
    for table, roles in TABLES.items():
        yield f"ALTER TABLE grounds.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        for role, access in roles.items():
            yield f"DROP POLICY IF EXISTS {role} ON grounds.{table}"
            yield f"CREATE POLICY {role} ON grounds.{table} TO {role} USING ({access.rows})"
            if access.privileges:
                yield f"GRANT {', '.join(sorted(access.privileges))} ON grounds.{table} TO {role}"
    for view in VIEWS:
        if view not in COMPILED:
            yield grant_of(view)
    for function, callers in FUNCTIONS.items():
        yield f"GRANT EXECUTE ON FUNCTION grounds.{function} TO {', '.join(callers)}"


def grant_of(view: str) -> str:
    """Write what opens a view to its readers."""
    return f"GRANT SELECT ON grounds.{view} TO {', '.join(VIEWS[view])}"


def plain(expression: str) -> str:
    """Reduce a rule to what PostgreSQL and we write alike: it adds parentheses, casts and names for columns."""
    return re.sub(r"::\w+| AS \w+|[\s()]", "", expression)
