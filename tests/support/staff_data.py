"""Rows of which officers and auditors read: one of each kind."""

from tests.support.gateway import TestGateway
from tests.support.retractions import settled

TRAINING_RUN = (
    "WITH run AS (INSERT INTO grounds.training_run (client, model, purpose, started_at, recorded_at)"
    " VALUES (1, 'example-7b', 'GENAI_TRAINING', now(), now()) RETURNING id), released AS ("
    " INSERT INTO grounds.training_run_input (run, release, major, minor, last_hand_out)"
    " SELECT n.id, r.id, 1, 0, 1 FROM run n CROSS JOIN grounds.release r)"
    " INSERT INTO grounds.training_run_input (run, first_receipt, last_receipt) SELECT id, 1, 1000000 FROM run"
)

HANDED_OUT = (
    "INSERT INTO grounds.release_delivery (release, number, major, minor) SELECT id, 0, 1, 0 FROM grounds.release"
)

ALTERED_MEDIUM = (
    "INSERT INTO grounds.altered_medium (item, stated, found, client, purpose, found_at)"
    " SELECT id, '\\x01', '\\x02', 1, 'GENAI_TRAINING', now() FROM grounds.content WHERE platform_id = 'hidden'"
)


async def add_staff_data(gateway: TestGateway) -> None:
    """Let officers have something to see: a suspension, a webhook, a rejection, counts, a placeholder, a canary."""
    gateway.execute(
        "WITH planted AS (INSERT INTO grounds.canary (item, reason, planted_by, planted_at)"
        " SELECT id, 'a reason', 'operator', now() FROM grounds.content WHERE platform_id = 'hidden' RETURNING item)"
        " INSERT INTO grounds.canary_incident (item, hold, client, found_at) SELECT item, 1, 1, now() FROM planted"
    )
    gateway.execute(ALTERED_MEDIUM)
    gateway.execute(
        "INSERT INTO grounds.placeholder (kind, value, reason, declared_by, declared_at)"
        " VALUES ('PERSON', '0', 'an export', 'officer', now())"
    )
    gateway.execute("INSERT INTO grounds.shared_link VALUES ('PERSON', '0', 99, now())")
    gateway.execute("INSERT INTO grounds.client (name, suspended) VALUES ('suspended', TRUE)")
    gateway.execute("INSERT INTO grounds.webhook (client, url, sent) VALUES (2, 'https://client.example.org/', 99)")
    gateway.execute(
        "INSERT INTO grounds.client_suspension (client, reason, suspended_by, suspended_at)"
        " VALUES (2, 'an inquiry', 'officer', now())"
    )
    gateway.execute(
        "INSERT INTO grounds.objection_rejection (objection, reason, asked_by, asked_at)"
        " SELECT id, 'an advertisement', 'officer', now() FROM grounds.objection WHERE platform_id = 'unmatched'"
    )
    gateway.execute("UPDATE grounds.objection SET received_at = now() WHERE platform_id = 'unmatched'")
    gateway.execute("SELECT grounds.count_notices()")
    gateway.execute("INSERT INTO grounds.hold VALUES (DEFAULT, 'COUNTRY', 'LI', 'an authority', 'an inquiry', now())")
    gateway.execute("INSERT INTO grounds.checkpoint VALUES (10^6, 1, 1, 0, 0, '', 1, '', '', '', now(), '')")
    gateway.execute("INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings) VALUES (1, 2, 3, 0)")
    await settled(gateway)
    gateway.execute(
        "INSERT INTO grounds.release (client, name, purpose, filter, started_at)"
        " VALUES (1, 'corpus', 'GENAI_TRAINING', '{}', now())"
    )
    gateway.execute(
        "INSERT INTO grounds.release_shard (release, number, client, first, last, state, item_count, item_bits, file,"
        " sha256, byte_count, counts, policy, decided_at) SELECT id, 0, 1, 1, 8, 'WRITTEN', 1, '\\x01', 'train-00000',"
        " '', 1, '{}', '2025-05-27', now() FROM grounds.release"
    )
    gateway.execute(HANDED_OUT)
    gateway.execute(TRAINING_RUN)
