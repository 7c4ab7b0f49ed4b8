"""The declared access of each database role. Migrations apply it, and every server compares it when it starts.

Every table has row security, forced on its owner too. A rule names the claim that it asks for; a claim is set for one
statement's transaction only, and without it a rule shows nothing.
"""

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
FOR_EXAMINERS = "(SELECT grounds.examining())"
FOR_INGEST = "(SELECT grounds.ingesting())"
OWN_ACCOUNT = "account = (SELECT grounds.claimed_account())"
OWN_OBJECTION = "IN (SELECT grounds.own_objections())"
OF_CLIENT = "client = (SELECT grounds.claimed_client())"
FOR_WORKER = "(SELECT grounds.working())"
ALL_ROWS = "true"  # where there is nothing to hide: policies and campaigns are public, and published counts


@dataclass(frozen=True, slots=True)
class Access:
    """A permission of a role: its privileges, and the rule that selects the rows to which they apply."""

    privileges: frozenset[str]
    rows: str


def _may_read(rows: str) -> Access:
    """Declare that a database role may read these rows of a table."""
    return Access(frozenset({"SELECT"}), rows)


def _may_merge(*privileges: str) -> Access:
    """Declare that the database role of ingest may read and write a table."""
    return Access(frozenset({"SELECT", *privileges}), FOR_INGEST)


def _owner_rule(rows: str = ANY_CLAIM) -> Access:
    """Declare a row security rule for the tables' owner; its privileges come with ownership."""
    return Access(frozenset(), rows)


TABLES: dict[str, dict[str, Access]] = {
    "account": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read("platform_id = (SELECT grounds.claim('subject'))"),
        INGEST: _may_merge("INSERT", "UPDATE"),
    },
    "account_person": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT")},
    "account_contact": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT")},
    "account_standing": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), SUBJECT: _may_read(OWN_ACCOUNT)},
    "standing_queue": {OWNER: _owner_rule()},
    "standing_backlog": {OWNER: _owner_rule()},
    "person_group": {OWNER: _owner_rule()},
    "person_member": {OWNER: _owner_rule()},
    "placeholder": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "shared_link": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "notice": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(OWN_ACCOUNT),
        INGEST: _may_merge("INSERT", "UPDATE"),
    },
    "campaign": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(ANY_CLAIM),
        DASHBOARD: _may_read(ALL_ROWS),
        INGEST: _may_merge("INSERT", "UPDATE"),
    },
    "campaign_told": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), SUBJECT: _may_read(ANY_CLAIM)},
    "campaign_text": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(ANY_CLAIM),
        DASHBOARD: _may_read(ALL_ROWS),
    },
    "campaign_channel": {OWNER: _owner_rule()},
    "notice_task": {OWNER: _owner_rule()},
    "notice_count": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "objection": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(f"id {OWN_OBJECTION}"),
        INGEST: _may_merge("INSERT", "UPDATE"),
    },
    "objection_target": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT")},
    "consent": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT", "UPDATE")},
    "consent_event": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(f"{OWN_ACCOUNT} OR objection {OWN_OBJECTION}"),
    },
    "hold": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "canary": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "canary_incident": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "altered_medium": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "family_wait": {OWNER: _owner_rule(), INGEST: _may_merge("INSERT", "UPDATE")},
    "stated_version": {OWNER: _owner_rule(), INGEST: _may_merge("INSERT", "UPDATE")},
    "quarantine": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT")},
    "fact_version": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "policy_activation": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "content": {
        OWNER: _owner_rule(),
        STAFF: _may_read(FOR_EXAMINERS),
        SUBJECT: _may_read(OWN_ACCOUNT),
        INGEST: _may_merge("INSERT", "UPDATE"),
    },
    "referenced_contact": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT")},
    "family": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "content_reference": {
        OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS), INGEST: _may_merge("INSERT", "DELETE")
    },
    "policy": {role: _owner_rule(ALL_ROWS) if role == OWNER else _may_read(ALL_ROWS) for role in (
        OWNER, STAFF, SUBJECT, DASHBOARD, INGEST)},
    "retraction_batch": {
        OWNER: _owner_rule(f"{OF_CLIENT} OR {FOR_WORKER}"),
        TRAINING: _may_read(OF_CLIENT),
        STAFF: _may_read(FOR_EXAMINERS),
    },
    "retraction_queue": {OWNER: _owner_rule()},
    "retraction_check": {OWNER: _owner_rule()},
    "policy_proposal": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "client": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "delivery": {
        OWNER: _owner_rule(f"{OF_CLIENT} OR {FOR_WORKER}"),
        TRAINING: _may_read(OF_CLIENT),
        STAFF: _may_read(FOR_EXAMINERS),
    },
    "release": {OWNER: _owner_rule(), TRAINING: _may_read(OF_CLIENT), STAFF: _may_read(FOR_EXAMINERS)},
    "release_shard": {OWNER: _owner_rule(), TRAINING: _may_read(OF_CLIENT), STAFF: _may_read(FOR_EXAMINERS)},
    "release_strike": {OWNER: _owner_rule()},
    "release_delivery": {OWNER: _owner_rule()},
    "training_run": {OWNER: _owner_rule(), TRAINING: _may_read(OF_CLIENT), STAFF: _may_read(FOR_EXAMINERS)},
    "training_run_input": {
        OWNER: _owner_rule(),
        TRAINING: _may_read(f"run IN (SELECT t.id FROM grounds.training_run t WHERE t.{OF_CLIENT})"),
        STAFF: _may_read(FOR_EXAMINERS),
    },
    "release_removed": {OWNER: _owner_rule()},
    "held_item": {OWNER: _owner_rule(FOR_WORKER), STAFF: _may_read(FOR_EXAMINERS)},
    "delivery_progress": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "checkpoint": {OWNER: _owner_rule()},
    "coverage_snapshot": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "coverage_cell": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "coverage_published": {OWNER: _owner_rule(), DASHBOARD: _may_read(ALL_ROWS)},
    "client_suspension": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "objection_matched": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "objection_rejection": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "staff_read": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "staff_read_account": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    "verification": {OWNER: _owner_rule(), STAFF: _may_read(FOR_EXAMINERS)},
    **{name: {OWNER: _owner_rule()} for name in (
        *("offer", "offer_set", "offer_mark", "offer_arrival", "availability", "availability_purpose"),
        *("availability_wait", "availability_ended", "installation", "incarnation", "journal_entry", "job"),
        *("ended_session", "reading_link", "webhook", "coverage_delivered", "coverage_person", "coverage_parent"),
        "coverage_part")},
}  # fmt: skip

# What db.past shows as it was.
PAST_RELATIONS = (
    *("account", "account_person", "account_contact", "account_standing", "notice", "campaign", "campaign_told"),
    *("objection", "objection_target", "objection_in_force", "consent", "content", "content_reference", "hold"),
    *("quarantine", "placeholder", "policy", "referenced_contact"),
)

# Views read as their owner, but those that say how an objection counts and what clients were told: they show what their
# reader may see.
VIEWS: dict[str, tuple[str, ...]] = {
    "trainable_content": (TRAINING,),
    "offered_content": (TRAINING,),
    "available_content": (TRAINING,),
    "offer_hold": (),
    "offer_derivation": (),
    "decision": (STAFF,),
    "counted_content": (),
    "own_decision": (SUBJECT,),
    "objection_in_force": (STAFF, SUBJECT),
    "retraction": (STAFF,),
} | {f"past_{name}": (STAFF,) for name in PAST_RELATIONS}
# Of the policy in force, which makes and grants them.
COMPILED_VIEWS = (
    *("trainable_content", "offered_content", "available_content", "offer_hold"),
    *("offer_derivation", "decision", "counted_content", "own_decision"),
)

# What marks offers, or drops them: a change that left no mark would leave a forbidden item offered.
OFFER_TRIGGERS: dict[str, tuple[str, ...]] = {
    "content": ("offers_arrived", "offers_marked"),
    "family": ("offers_marked", "offers_marked_anew"),
    "account_standing": ("offers_arrived", "offers_marked"),
    "referenced_contact": ("offers_marked",),
    "campaign_told": ("offers_dropped",),
    "policy": ("offers_dropped",),
    "retraction_batch": ("availability_ended",),
}

# What a rule or a statement of each role calls. Every role may read its claims: rules are checked as that role.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "decision_time()": LOGIN_ROLES,
    "claim(text)": LOGIN_ROLES,
    "claimed()": LOGIN_ROLES,
    "claimed_client()": LOGIN_ROLES,
    "claimed_account()": (SUBJECT,),
    "examining()": (STAFF,),
    "ingesting()": (INGEST,),
    "working()": (TRAINING, STAFF, SUBJECT, WORKER),
    "write_receipt(bigint[])": (TRAINING,),
    "register_client(text)": (TRAINING,),
    "record_staff_read(text[], text, bigint[], bigint[], bigint[])": (STAFF,),
    "reads_of_subject(integer)": (SUBJECT,),
    "same_person(bigint)": (STAFF,),
    "authority_report(date, date)": (STAFF,),
    "chain_staff_reads(integer)": (WORKER,),
    "newest_checkpoint()": (WORKER, DASHBOARD),
    "checkpoints_from(bigint, integer)": (DASHBOARD,),
    "public_holds()": (DASHBOARD,),
    "public_policies()": (DASHBOARD,),
    "had_incidents()": (DASHBOARD,),
    "public_releases(integer)": (DASHBOARD,),
    "public_models(integer)": (DASHBOARD,),
    "incarnations()": (DASHBOARD, WORKER),
    "keeps_journal()": (DASHBOARD,),
    "previous_secrets()": (DASHBOARD, WORKER),
    "has_journal_entries()": (WORKER,),
    "claim_journal_entries(integer)": (WORKER,),
    "remove_journal_entries(bigint[])": (WORKER,),
    "unsealed_receipts(integer)": (WORKER,),
    "add_checkpoint(bigint, bigint, bigint, integer, bigint, bytea, bigint, bytea, bytea, bytea,"
    " timestamp with time zone, bytea)": (WORKER,),
    "current_incarnation()": (WORKER,),
    "objections_affecting(bigint)": (STAFF, SUBJECT),
    "own_objections()": (SUBJECT,),
    "open_hold(text, text, text, text)": (STAFF,),
    "lift_hold(bigint)": (STAFF,),
    "plant_canary(text, text)": (STAFF,),
    "remove_canary(text)": (STAFF,),
    "planted_items()": (STAFF,),
    "planted_accounts()": (STAFF,),
    "planted_objections()": (STAFF,),
    "propose_policy(text, json, timestamp with time zone)": (STAFF,),
    "approve_policy(text)": (STAFF,),
    "due_policy()": (WORKER,),
    "record_job(text, text)": (WORKER,),
    "start_jobs(text[], double precision[])": (WORKER,),
    "job_states()": (STAFF, DASHBOARD),
    "decisions_pending()": (TRAINING, STAFF, SUBJECT),
    "derive_backlog()": (WORKER,),
    "declare_placeholder(text, text, text)": (STAFF,),
    "revoke_placeholder(text, text)": (STAFF,),
    "apply_placeholders(integer)": (WORKER,),
    "count_shared_links(integer, integer)": (WORKER,),
    "file_objection(text, text[], text, text, timestamp with time zone)": (STAFF, SUBJECT),
    "withdraw_objection(text)": (STAFF, SUBJECT),
    "give_consent()": (SUBJECT,),
    "withdraw_consent()": (SUBJECT,),
    "deliveries_of_subject(bigint[])": (SUBJECT,),
    "stored_campaign(text)": (WORKER,),
    "register_texts(text, text, text[], text[])": (WORKER,),
    "registered_texts(text, text)": (WORKER,),
    "open_campaign(text, text, text)": (WORKER,),
    "claim_notice(bigint, text, text, text, boolean)": (WORKER,),
    "settle_notice(bigint, text)": (WORKER,),
    "settle_broken_off(bigint)": (WORKER,),
    "unwritten_notices(bigint, bigint, integer)": (WORKER,),
    "write_notices(bigint[], text[], text[], text[])": (WORKER,),
    "pending_notices(bigint, integer)": (WORKER,),
    "record_notice_delivery(text[], timestamp with time zone[], timestamp with time zone[])": (WORKER,),
    "campaign_counts(bigint)": (WORKER,),
    "count_notices()": (WORKER,),
    "recipients_of(bigint[])": (STAFF,),
    "received_after(bigint, bigint[], bigint[])": (STAFF,),
    "items_of(grounds.delivery)": (STAFF,),
    "has_item(grounds.delivery, bigint)": (STAFF,),
    "record_deliveries(integer)": (WORKER,),
    "start_release(text, json, integer, integer)": (TRAINING,),
    "cancel_release(bigint)": (TRAINING, STAFF),
    "release_may_be_read()": (TRAINING,),
    "announce_shard()": (WORKER,),
    "store_shard(bigint, integer, uuid, text, timestamp with time zone, integer, bytea, text, bytea, bigint, json)": (
        WORKER,
    ),
    "fail_release(bigint, text)": (WORKER,),
    "open_shard(bigint, integer)": (TRAINING,),
    "hand_out_shard(bigint, integer, bigint[], text, bytea, bigint, json)": (TRAINING,),
    "lose_shard(bigint, integer)": (TRAINING,),
    "publish_release(bigint)": (TRAINING,),
    "removed_from_release(bigint, integer)": (TRAINING,),
    "record_run(text, text, timestamp with time zone, bigint[], integer[], integer[], bigint[], bigint[])": (TRAINING,),
    "runs_of_items(bigint[])": (STAFF, SUBJECT),
    "release_files()": (WORKER,),
    "open_lake_file(bigint[], timestamp with time zone[], text)": (TRAINING,),
    "write_lake_receipt(bigint, bytea, integer, bytea, bigint)": (TRAINING,),
    "retire_shards()": (WORKER,),
    "fold_offers(integer)": (WORKER,),
    "fold_ingested(integer)": (INGEST,),
    "build_offers(integer)": (WORKER,),
    "audit_offers(integer)": (WORKER,),
    "number_offers(integer)": (WORKER,),
    "offers_serve()": (TRAINING,),
    "offers_agree(bigint[])": (TRAINING,),
    "available_up_to()": (TRAINING,),
    "discard_offers()": (WORKER,),
    "retract_due()": (WORKER,),
    "retractions_set_aside()": (WORKER,),
    "retractions_after(integer, bigint, integer)": (TRAINING,),
    "count_retractions_after(integer, bigint)": (STAFF,),
    "retractions_of(bigint)": (STAFF,),
    "check_eligibility(bigint[])": (TRAINING,),
    "purge_texts(integer)": (WORKER,),
    "count_coverage(text[], integer, integer, integer, text[])": (WORKER,),
    "counted_coverage(integer)": (WORKER,),
    "publish_coverage(jsonb)": (WORKER,),
    **dict.fromkeys(
        (
            *("known_at()", "valid_at()", "past_links_nothing(text, text)", "past_placeholders_in_effect()"),
            *("past_linked_accounts(bigint[])", "past_said_of_person(bigint[])", "past_known_by_links(bigint[])"),
            *("past_objections_naming(bigint)", "past_notices_of(bigint, text, integer)"),
            *("past_standing_of(bigint[])", "past_told_by_campaigns()", "past_family_of(text)"),
            "past_contact_standing_of(text[])",
        ),
        (STAFF,),
    ),
    "is_set_aside(text, text, timestamp with time zone)": (STAFF,),
    "past_is_set_aside(text, text, timestamp with time zone)": (STAFF,),
    "notices_of(bigint, text, integer)": (STAFF,),
    "acknowledge_retractions(bigint)": (TRAINING,),
    "delivery_suspension()": (TRAINING,),
    "suspend_client(text, text)": (STAFF,),
    "resume_client(text)": (STAFF,),
    "client_webhooks()": (STAFF,),
    "links_nothing(text, text)": (STAFF,),
    "placeholders_in_effect()": (STAFF,),
    "operating_gauges()": (WORKER,),
    "unmatched_objections()": (STAFF,),
    "record_matched_objections()": (WORKER,),
    "match_objection(bigint, text)": (STAFF,),
    "reject_objection(bigint, text)": (STAFF,),
    "count_objections()": (STAFF,),
    "register_webhook(text, boolean, text)": (STAFF,),
    "due_webhooks(integer[], integer, integer)": (WORKER,),
    "record_webhook(integer, text, bigint)": (WORKER,),
    "quarantine_altered_medium(bigint, text, text, integer, text)": (WORKER,),
    "end_session(bytea, timestamp with time zone)": (STAFF,),
    "session_has_ended(bytea)": (STAFF,),
    "issue_reading_link(text, bytea)": (STAFF, WORKER),
    "open_reading_link(bytea, bytea)": (SUBJECT,),
    "revoke_reading_links(text)": (STAFF, SUBJECT, WORKER),
    "adult_from(text)": (INGEST,),
    "object_by_signal(text, text, timestamp with time zone, boolean)": (INGEST,),
    "policy_coverage()": (INGEST,),
    "stated_family(text, text, text)": (INGEST,),
    "versions_from()": (STAFF,),
    "remove_versions(integer, integer)": (WORKER,),
    "takes_back(grounds.stated_version, grounds.stated_version, text[], text[])": (INGEST,),
    "takes_back_birth_date(grounds.stated_version, grounds.stated_version)": (INGEST,),
    "bounces_taken_back(grounds.stated_version, grounds.stated_version)": (INGEST,),
    "version_before(grounds.stated_version)": (INGEST,),
    "version_after(grounds.stated_version, grounds.stated_version)": (INGEST,),
    "carry_last_known(grounds.stated_version, grounds.stated_version)": (INGEST,),
    "last_stated_version(text, bigint)": (INGEST,),
    "notice_period_end(timestamp with time zone, integer)": (STAFF,),
}
