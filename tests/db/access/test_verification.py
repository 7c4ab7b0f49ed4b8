"""A server refuses a database whose access differs from the declaration; each check is tried in many ways."""

import psycopg
import pytest

from db.access import verification
from db.access.declaration import LOGIN_ROLES, TABLES, Access
from db.access.verification import ACCESS_CHECKS, find_access_gaps, verify_access
from db.administrator import DatabaseError
from tests.support.ordinary_cases import ordinary_every

pytestmark = pytest.mark.database

BREACHES = {
    "PostgreSQL has the fixes": [],  # another test: no server here is too old
    "the owner cannot log in and is not a superuser": [
        "ALTER ROLE grounds_owner BYPASSRLS",
        "ALTER ROLE grounds_owner LOGIN",
        "ALTER ROLE grounds_owner SUPERUSER",
    ],
    "a login role has no privileges beyond its grants": [
        "GRANT grounds_owner TO grounds_training",
        "GRANT grounds_staff TO grounds_subject",
        "ALTER ROLE grounds_staff BYPASSRLS",
        "ALTER ROLE grounds_ingest SUPERUSER",
        "ALTER ROLE grounds_dashboard CREATEROLE",
    ],
    "everything belongs to the owner": [
        "ALTER VIEW grounds.trainable_content OWNER TO CURRENT_USER",
        "ALTER TABLE grounds.content OWNER TO CURRENT_USER",
        "ALTER FUNCTION grounds.claimed() OWNER TO CURRENT_USER",
    ],
    "each role has access only to the declared tables and columns": [
        "GRANT SELECT ON grounds.content TO grounds_training",
        "GRANT SELECT (id) ON grounds.content TO grounds_training",
        "GRANT DELETE ON grounds.delivery TO grounds_staff",
        "GRANT UPDATE ON grounds.policy TO grounds_ingest",
        "GRANT SELECT ON grounds.decision TO grounds_subject",
        "GRANT SELECT ON grounds.account TO grounds_dashboard",
        "GRANT SELECT ON grounds.hold TO PUBLIC",
        "REVOKE SELECT ON grounds.trainable_content FROM grounds_training",
    ],
    "each role can call only the declared functions, and PUBLIC can call none": [
        "GRANT EXECUTE ON FUNCTION grounds.linked_accounts(bigint[]) TO grounds_training",
        "GRANT EXECUTE ON FUNCTION grounds.decision_time() TO PUBLIC",
        "CREATE FUNCTION grounds.leak(text) RETURNS boolean LANGUAGE sql COST 0.0001 RETURN TRUE",
        "REVOKE EXECUTE ON FUNCTION grounds.write_receipt(bigint[]) FROM grounds_training",
    ],
    "only the login roles can use the schema": [
        "GRANT USAGE ON SCHEMA grounds TO PUBLIC",
        "GRANT CREATE ON SCHEMA grounds TO grounds_ingest",
    ],
    "a compiled view is a security barrier and reads with the rights of its owner": [
        "ALTER VIEW grounds.trainable_content RESET (security_barrier)",
        "ALTER VIEW grounds.trainable_content SET (security_barrier = FALSE)",
        "ALTER VIEW grounds.decision SET (security_invoker = TRUE)",
        "ALTER VIEW grounds.objection_in_force RESET (security_invoker)",
        "DROP VIEW grounds.own_decision",
        "CREATE MATERIALIZED VIEW grounds.everything AS SELECT * FROM grounds.content",
    ],
    "row security is forced on every table, with the declared policies": [
        "ALTER TABLE grounds.delivery NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE grounds.content DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY everybody ON grounds.content USING (TRUE)",
        "CREATE TABLE grounds.copy AS SELECT * FROM grounds.content",
    ],
    "a function that runs as the owner has a fixed search_path": [
        "ALTER FUNCTION grounds.write_receipt(bigint[]) RESET search_path",
        "ALTER FUNCTION grounds.linked_accounts(bigint[]) SECURITY DEFINER",
    ],
    "every change that can alter a decision marks the affected offers": [
        "ALTER TABLE grounds.content DISABLE TRIGGER offers_marked",
        "DROP TRIGGER offers_marked ON grounds.account_standing",
        "DROP TRIGGER availability_ended ON grounds.retraction_batch",
    ],
    "the rules in force": ["DELETE FROM grounds.policy"],
}
POLICIES = [(table, role, access) for table, roles in TABLES.items() for role, access in roles.items()]


def found_after(database_url: str, *breaches: str) -> list[str]:
    """Make breaches in a transaction that is rolled back, and list the gaps that are found."""
    with psycopg.connect(database_url) as connection:
        for breach in breaches:
            connection.execute(breach.encode())
        found = find_access_gaps(connection)
        connection.rollback()
        return found


def test_a_migrated_database_has_no_gap(database_url: str) -> None:
    verify_access(database_url)


def test_every_check_is_tried() -> None:
    assert [next(name for name in BREACHES if check.name.startswith(name)) for check in ACCESS_CHECKS] == list(BREACHES)


POLICY_BREACHES = (
    "DROP POLICY {role} ON grounds.{table}",
    "ALTER POLICY {role} ON grounds.{table} USING (TRUE)",
    "ALTER POLICY {role} ON grounds.{table} USING ({rows} OR TRUE)",
    "ALTER POLICY {role} ON grounds.{table} TO PUBLIC",
)


def test_a_policy_that_is_dropped_or_says_otherwise_is_named(database_url: str) -> None:
    assert len(POLICIES) > 40
    for template in POLICY_BREACHES:
        changed = [each for each in POLICIES if "DROP" in template or each[2].rows != "true"]
        breaches = [template.format(role=role, table=table, rows=access.rows) for table, role, access in changed]
        gaps = found_after(database_url, *breaches)
        for table, role, _ in changed:
            assert any(f"policy {role} on grounds.{table}" in gap for gap in gaps), (template, table, role)


def test_a_server_over_a_gap_does_not_start_and_says_which(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("GRANT SELECT ON grounds.content TO grounds_training")
    with pytest.raises(DatabaseError, match=r"declared tables.*grounds_training may SELECT content"):
        verify_access(database_url)


@pytest.mark.parametrize("newest", [{18: 99, 16: 99}, {19: 0}])
def test_a_postgresql_without_the_fixes_is_refused(
    database_url: str, newest: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MIN_VERSIONS", newest)
    with pytest.raises(DatabaseError, match=r"PostgreSQL has the fixes.* or later"):
        verify_access(database_url)


def test_no_login_role_sees_a_row_without_its_claim(database_url: str) -> None:
    assert seen_without_a_claim(database_url) == set()


@pytest.mark.parametrize(
    ("table", "role", "access"),
    ordinary_every(8, [each for each in POLICIES if each[1] in LOGIN_ROLES and each[2].rows != "true"]),
)
def test_a_policy_that_asks_for_no_claim_is_seen_by_reading(
    database_url: str, table: str, role: str, access: Access
) -> None:
    breach = f"ALTER POLICY {role} ON grounds.{table} USING (TRUE)"
    assert seen_without_a_claim(database_url, breach) == {(role, table)}


def seen_without_a_claim(database_url: str, *breaches: str) -> set[tuple[str, str]]:
    """Put a row into every table, and read all that a role may read, claiming nothing."""
    seen: set[tuple[str, str]] = set()
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL session_replication_role = 'replica'")  # a row of any shape, and no trigger
        for table in TABLES:
            connection.execute(f"DELETE FROM grounds.{table} WHERE '{table}' <> 'policy'".encode())
            for statement in _ROWS.get(table, ()):
                connection.execute(statement.encode())
        for breach in breaches:
            connection.execute(breach.encode())
        for table, role, access in POLICIES:
            if "SELECT" in access.privileges and access.rows != "true":
                connection.execute(f"SET LOCAL SESSION AUTHORIZATION {role}".encode())
                if connection.execute(f"SELECT 1 FROM grounds.{table} LIMIT 1".encode()).fetchall():
                    seen.add((role, table))
                connection.execute("SET LOCAL SESSION AUTHORIZATION DEFAULT")
        connection.rollback()
    return seen


_ROWS = {
    "availability": ["INSERT INTO grounds.availability VALUES ('P', 1, 1)"],
    "availability_purpose": ["INSERT INTO grounds.availability_purpose (purpose) VALUES ('P')"],
    "availability_wait": ["INSERT INTO grounds.availability_wait VALUES ('P', 1, now())"],
    "availability_ended": ["INSERT INTO grounds.availability_ended (purpose, items) VALUES ('P', '{1}')"],
    "held_item": ["INSERT INTO grounds.held_item VALUES (1, 1, 'P', 1, 1, 1)"],
    "release": [
        "INSERT INTO grounds.release (client, name, purpose, filter, started_at) VALUES (1, 'r', 'P', '{}', now())"
    ],
    "release_shard": [
        "INSERT INTO grounds.release_shard (release, number, client, first, last) VALUES (1, 0, 1, 1, 9)"
    ],
    "release_strike": [
        "INSERT INTO grounds.release_strike (release, number, items, is_revised) VALUES (1, 0, '{1}', FALSE)"
    ],
    "release_delivery": ["INSERT INTO grounds.release_delivery (release, number, major, minor) VALUES (1, 0, 1, 0)"],
    "training_run": [
        "INSERT INTO grounds.training_run (client, model, purpose, started_at, recorded_at)"
        " VALUES (1, 'm', 'P', now(), now())"
    ],
    "training_run_input": [
        "INSERT INTO grounds.training_run_input (run, first_receipt, last_receipt) VALUES (1, 1, 1)"
    ],
    "release_removed": ["INSERT INTO grounds.release_removed (release, major, items) VALUES (1, 1, '{1}')"],
    "delivery_progress": ["INSERT INTO grounds.delivery_progress VALUES (1)"],
    "retraction_batch": [
        "INSERT INTO grounds.retraction_batch (client, first_id, last_id, kind, is_incident, retracted_at, due_by,"
        " delivery, items) VALUES (1, 1, 1, 'RETRACT', FALSE, now(), now(), 1, '{1}')"
    ],
    "retraction_queue": ["INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING')"],
    "policy_activation": ["INSERT INTO grounds.policy_activation (version) VALUES ('v')"],
    "fact_version": [
        "INSERT INTO grounds.fact_version (relation, id, recorded_at, replaced_at, facts)"
        " VALUES ('content', 1, now(), now(), '{}')"
    ],
    "policy_proposal": [
        "INSERT INTO grounds.policy_proposal (version, document, effective_from, proposed_by, proposed_at)"
        " VALUES ('next', '{}', now(), 'officer', now())"
    ],
    "placeholder": [
        "INSERT INTO grounds.placeholder (kind, value, reason, declared_by, declared_at)"
        " VALUES ('PERSON', '0', 'An export', 'officer', now())"
    ],
    "shared_link": ["INSERT INTO grounds.shared_link VALUES ('PERSON', '0', 9, now())"],
    "account": ["INSERT INTO grounds.account (platform_id) VALUES ('a')"],
    "account_person": ["INSERT INTO grounds.account_person VALUES (1, 'p')"],
    "account_contact": ["INSERT INTO grounds.account_contact VALUES (1, 'c')"],
    "referenced_contact": ["INSERT INTO grounds.referenced_contact (contact) VALUES ('c')"],
    "family": ["INSERT INTO grounds.family VALUES ('f', 0, '-infinity', 0, TRUE, TRUE, TRUE, TRUE)"],
    "account_standing": [
        "INSERT INTO grounds.account_standing (account, minor_until, objected_public_until, objected_ai_until,"
        " held_until, reverted_at, quarantined, reserved, person_quarantined, birth_date_reverted_at)"
        " VALUES (1, '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', FALSE, FALSE, FALSE, '-infinity')"
    ],
    "campaign": [
        "INSERT INTO grounds.campaign (platform_id, told, texts, observed_at, digest)"
        " VALUES ('2025-04', '{}', '{}', now(), '')"
    ],
    "campaign_text": [
        "INSERT INTO grounds.campaign_text (epoch, message, language, text, sha256)"
        " VALUES ('2025-04', 'NOTICE', 'en', 'Subject: x', '')"
    ],
    "campaign_told": ["INSERT INTO grounds.campaign_told VALUES ('GENAI_TRAINING', '{}')"],
    "notice": [
        "INSERT INTO grounds.notice (platform_id, account, channel, epoch, observed_at, digest)"
        " VALUES ('n', 1, 'EMAIL', '2025-04', now(), '')"
    ],
    "objection": [
        "INSERT INTO grounds.objection (platform_id, scope, received_at, observed_at) VALUES ('o', 'ALL', now(), now())"
    ],
    "objection_target": ["INSERT INTO grounds.objection_target VALUES (1, 'ACCOUNT', 'a')"],
    "consent": ["INSERT INTO grounds.consent (platform_id, account, observed_at, digest) VALUES ('k', 1, now(), '')"],
    "consent_event": ["INSERT INTO grounds.consent_event (kind, occurred_at) VALUES ('CONSENT_GIVEN', now())"],
    "hold": ["INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'A', 'R', now())"],
    "canary": ["INSERT INTO grounds.canary (item, reason, planted_by, planted_at) VALUES (1, 'R', 'operator', now())"],
    "canary_incident": ["INSERT INTO grounds.canary_incident (item, hold, found_at) VALUES (1, 1, now())"],
    "altered_medium": ["INSERT INTO grounds.altered_medium VALUES (DEFAULT, 1, '', '', 1, 'P', now())"],
    "quarantine": ["INSERT INTO grounds.quarantine VALUES ('content', 'c', '', NULL, now())"],
    "content": [
        "INSERT INTO grounds.content (account, created_at, observed_at, reserved, reference_count, needs_minors_scan,"
        " kind, platform_id, digest, failing_facts, unknown_facts)"
        " VALUES (1, now(), now(), FALSE, 0, FALSE, 'POST', 'c', '', 0, 0)"
    ],
    "family_wait": ["INSERT INTO grounds.family_wait VALUES ('c', now())"],
    "stated_version": [
        "INSERT INTO grounds.stated_version (record, id, observed_at, failing_facts, unknown_facts, last_failing_facts,"
        " names) VALUES ('content', 1, now(), 0, 0, 0, '{}')"
    ],
    "content_reference": ["INSERT INTO grounds.content_reference VALUES (1, 1, NULL, 'TAG')"],
    "coverage_snapshot": ["INSERT INTO grounds.coverage_snapshot VALUES (now(), 'V', '{}', '{}', 0, 0, 0, 0, FALSE)"],
    "coverage_cell": ["INSERT INTO grounds.coverage_cell (day, purpose, shape, counts) VALUES (now(), 'P', 0, '{}')"],
    "coverage_published": ["INSERT INTO grounds.coverage_published VALUES (now(), now(), 'V', '{}', '{}', '{}')"],
    "client_suspension": [
        "INSERT INTO grounds.client_suspension (client, reason, suspended_by, suspended_at) VALUES (1, 'R', 'O', now())"
    ],
    "notice_count": ["INSERT INTO grounds.notice_count VALUES ('2025-04', NULL, NULL, 1, 1, 1, 1, 1, now())"],
    "objection_matched": ["INSERT INTO grounds.objection_matched VALUES (1)"],
    "objection_rejection": [
        "INSERT INTO grounds.objection_rejection (objection, reason, asked_by, asked_at) VALUES (1, 'R', 'O', now())"
    ],
    "staff_read": [
        "INSERT INTO grounds.staff_read (reader, role, read_at, fields, objections)"
        " VALUES ('r', 'AUDITOR', now(), '{}', '{}')"
    ],
    "staff_read_account": ["INSERT INTO grounds.staff_read_account VALUES (1, 1)"],
    "verification": [
        "INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings) VALUES (1, 1, 0, 0)"
    ],
    "client": ["INSERT INTO grounds.client (name) VALUES ('client')"],
    "delivery": [
        "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)"
        " VALUES (1, 'P', 'V', now(), '{1}', 1, 1, 1)"
    ],
}
