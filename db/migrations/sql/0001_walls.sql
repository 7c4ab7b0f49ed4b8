-- Who may reach what. Nothing is open to everybody; the training role reads the compiled views and its receipts only.
-- The compiled views do not exist yet: activating a policy makes them, and grants them.

REVOKE ALL ON SCHEMA grounds FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA grounds FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA grounds FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC; -- for the whole database: a schema's default cannot revoke

GRANT USAGE ON SCHEMA grounds TO grounds_training, grounds_staff, grounds_ingest;
GRANT EXECUTE ON FUNCTION grounds.decision_time() TO grounds_training, grounds_staff, grounds_ingest;

GRANT SELECT ON grounds.delivery TO grounds_training;
GRANT EXECUTE ON FUNCTION grounds.write_receipt(bigint[]), grounds.register_client(text) TO grounds_training;

GRANT SELECT ON grounds.account, grounds.account_person, grounds.account_contact, grounds.account_standing,
    grounds.notice, grounds.objection, grounds.objection_in_force, grounds.objection_target, grounds.consent,
    grounds.consent_event, grounds.hold, grounds.content, grounds.content_reference, grounds.policy,
    grounds.client, grounds.delivery TO grounds_staff;
GRANT EXECUTE ON FUNCTION grounds.same_person(bigint[]), grounds.objections_naming(bigint),
    grounds.objections_reaching(bigint) TO grounds_staff;

GRANT SELECT, INSERT, UPDATE ON grounds.account, grounds.notice, grounds.objection, grounds.consent, grounds.content
    TO grounds_ingest;
GRANT SELECT, INSERT ON grounds.account_person, grounds.account_contact, grounds.objection_target, grounds.quarantine
    TO grounds_ingest;
GRANT SELECT, INSERT, DELETE ON grounds.content_reference TO grounds_ingest;
GRANT SELECT ON grounds.policy TO grounds_ingest;
GRANT EXECUTE ON FUNCTION grounds.adult_from(text) TO grounds_ingest;
