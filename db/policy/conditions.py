"""The catalogue of conditions. This module contains each rule about an item exactly once.

A predicate is three-valued SQL (TRUE passes, FALSE fails, NULL is unknown) over the facts of one item: `c` is the
content, `s` the standing of its author's account, `f` what its family adds, if anything. Names in braces are the
policy's parameters and the instants made of them; `db.policy.compile` binds them. All arithmetic was done when the fact
was stored or is done in a parameter, so that a predicate only compares.
"""

from db.policy.condition import Condition, JudgedBy, Referenced, Since
from db.policy.evidence import CampaignEvidence, Evidence, ObjectionEvidence, SignalEvidence

# Of an item named as a parent: that it is public, and that it is where the walk up ends.
IS_PUBLIC = "{0}.audience = 'PUBLIC' AND {0}.deleted_at IS NULL AND ({0}.quarantined_at < {0}.observed_at OR NULL)"
IS_TOP = "({0}.parent IS NULL AND ({0}.kind NOT IN ('COMMENT', 'CAPTION') OR NULL))"
MAX_PARENTS = 64
# A walk that returns to itself, is too long, or meets an item that has not come never arrives at the top: unknown.
PARENTS_PUBLIC = f"""(
    SELECT {IS_PUBLIC.format("p")} AND ({IS_TOP.format("p")} OR (
        WITH RECURSIVE above AS (
            SELECT a.parent, 2 AS place, {IS_PUBLIC.format("a")} AS is_public, {IS_TOP.format("a")} AS is_top
            FROM grounds.content a WHERE a.platform_id = p.parent AND a.id <> c.id
            UNION ALL
            SELECT a.parent, u.place + 1, {IS_PUBLIC.format("a")}, {IS_TOP.format("a")}
            FROM above u JOIN grounds.content a ON a.platform_id = u.parent AND a.id <> c.id
            WHERE u.place < {MAX_PARENTS}
        )
        SELECT TRUE = ALL (array_agg(u.is_public)) AND (bool_or(u.is_top) OR NULL) FROM above u))
    FROM grounds.content p WHERE p.platform_id = c.parent AND p.id <> c.id)"""

_NOT_OBJECTED = ("(NOT o.quarantined OR NULL)", Since("o.objected_public_until", "withdrawal"), "o.is_known")
_ADULT = (
    "(NOT (o.quarantined OR o.person_quarantined) OR NULL)",
    Since("o.minor_until"),
    Since("o.adult_from"),
    Since("o.birth_date_reverted_at", "taken_back"),
)
_NO_MINOR_SEEN = "(c.minors = 'CLEAR' OR c.minors IS NULL AND NOT c.needs_minors_scan)"
_FAMILY_SOUND = "(f.id IS NULL OR f.quarantined <= (c.quarantined_at >= c.observed_at)::int OR NULL)"


def _of_notice(first: str, later: str, instant: str = "min(n.instant)") -> str:
    """Write the SQL of a condition about the earliest notice of a campaign that named the item's use."""
    return (
        f"CASE WHEN {{told}} ? s.notice_epoch THEN s.{first} ELSE (SELECT {instant}"
        f" FROM unnest(s.later_epochs, s.{later}) n (epoch, instant) WHERE {{told}} ? n.epoch) END"
    )


def _week_of_notice(week: str, later: str) -> str:
    """Write the SQL of the week of the earliest notice, as the evidence of a condition."""
    return _of_notice(week, later, "date_trunc('week', min(n.instant) AT TIME ZONE 'UTC')::date")


_OBJECTED_UNTIL = "CASE WHEN c.kind = 'AI_INTERACTION' THEN s.objected_ai_until ELSE s.objected_public_until END"
# The objections in effect that cover an item; a person reads only those that the own account filed or that name it.
_OBJECTIONS = f"""CASE WHEN {_OBJECTED_UNTIL} > {{withdrawal_cutoff}} THEN (
    SELECT json_agg(json_build_array(o.received_at, o.channel, o.withdrawn_at) ORDER BY o.received_at, o.id)
    FROM grounds.objections_affecting(c.account) r JOIN grounds.objection_in_force o ON o.id = r.objection
    WHERE o.scope IN ('ALL', CASE WHEN c.kind = 'AI_INTERACTION' THEN 'AI_INTERACTIONS' ELSE 'PUBLIC_CONTENT' END)
        AND coalesce(o.withdrawn_at, 'infinity') > {{withdrawal_cutoff}})::text END"""

# The use of an item, the campaigns that the policy counts and that told of it, and those that reached the author.
_CAMPAIGNS = """json_build_object(
    'use', json_build_array({claimed_purpose}, c.kind, s.product),
    'told', (SELECT json_agg(t.epoch) FROM jsonb_array_elements_text({told}) t (epoch) WHERE t.epoch >= {notice_epoch}),
    'reached', CASE WHEN s.notice_delivered_at <= {now}
        THEN s.notice_epoch || s.later_epochs[1:width_bucket({now}, s.later_deliveries)] END)::text"""


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "PROGRAMME_ACTIVE",
        "The policy's programme has begun and has not ended, and no overdue review or assessment stops it.",
        "GDPR Article 5(1)(b), purpose limitation",
        ("{now} >= {effective_from} AND {now} < {effective_until} AND {now} <= {stops_after} AND NOT {superseded}",),
        Evidence("{effective_from}", "in force since {}", of_policy=True),
        judged_by=JudgedBy.PAGE,
    ),
    Condition(
        "PURPOSE_MATCH",
        "The policy permits the client's purpose, and the client is not suspended.",
        "GDPR Article 5(1)(b), purpose limitation",
        ("{claimed_purpose} IN ({purposes}) AND NOT {client_suspended}",),
        Evidence("{purposes}", "for {}", of_policy=True),
        judged_by=JudgedBy.PAGE,
    ),
    Condition(
        "NO_REGULATORY_HOLD",
        "No hold that was opened for an authority covers the item.",
        "GDPR Article 58(2)(f), limitation or ban on processing",
        (
            "NOT {global_hold}",
            Since("s.held_until", "hold"),
            "NOT s.country = ANY ({held_countries})",
            "NOT s.product = ANY ({held_products})",
            "s.is_known",
        ),
        judged_by=JudgedBy.BOTH,
    ),
    Condition(
        "REGION_COVERED",
        "The author's account is in a country that the policy covers.",
        "GDPR Article 5(1)(b), scope of the programme",
        ("s.country IN ({regions})",),
        Evidence("s.country", "{}"),
    ),
    Condition(
        "ACCOUNT_IN_GOOD_STANDING",
        "The author's account has been active for at least the policy's waiting time and is not quarantined.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47); Article 5(1)(d), accuracy",
        (
            "s.status = 'ACTIVE'",
            Since("s.status_since", "account"),
            Since("s.reverted_at", "taken_back"),
            "(NOT s.quarantined OR NULL)",
        ),
        Evidence("s.status_month", "status since {}"),
    ),
    Condition(
        "ACCOUNT_KIND_COVERED",
        "The author's account is of a kind that the policy covers.",
        "GDPR Article 5(1)(b), purpose limitation",
        ("s.kind IN ({account_kinds})",),
        Evidence("s.kind", "{}", alias="account_kind"),
    ),
    Condition(
        "AUTHOR_ADULT_NOW",
        "The author is an adult according to every birth date that is known for the person.",
        "GDPR Article 6(1)(f), recital 38",
        ("(NOT s.person_quarantined OR NULL)", Since("s.minor_until"), Since("s.adult_from")),
    ),
    Condition(
        "AUTHOR_ADULT_AT_CREATION",
        "The author was an adult when the item was created.",
        "GDPR Article 6(1)(f), recital 38",
        ("(NOT s.person_quarantined OR NULL) AND s.minor_until <= c.created_at AND s.adult_from <= c.created_at",),
    ),
    Condition(
        "NOT_COMPROMISED_AT_CREATION",
        "The author's account was not compromised when the item was created.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47)",
        ("NOT s.compromised @> c.created_at",),
    ),
    Condition(
        "NOTICE_DELIVERED",
        "A notice that named this purpose, kind and product was delivered to the author in the app or by e-mail, "
        "and did not bounce.",
        "GDPR Articles 13 and 14",
        (
            Since(
                _of_notice("notice_delivered_at", "later_deliveries"),
                comparison="CASE WHEN {told} ? s.notice_epoch THEN s.notice_delivered_at <= {now}"
                " ELSE {told} ?| s.later_epochs[1:width_bucket({now}, s.later_deliveries)] END",
            ),
        ),
        Evidence(
            _week_of_notice("notice_week", "later_deliveries"), "delivered in {}", weekly=True, alias="notice_week"
        ),
        details=CampaignEvidence(_CAMPAIGNS, "{}", alias="campaigns", examined=True),
    ),
    Condition(
        "NOTICE_PERIOD_ELAPSED",
        "The notice period has ended. The notice period began when the first notice about this purpose, kind and "
        "product was delivered.",
        "The controller's own safeguard for GDPR Article 6(1)(f) (EDPB Opinion 28/2024); the rule for weekends follows "
        "Regulation (EEC, Euratom) 1182/71 Article 3",
        (
            Since(
                _of_notice("notice_effective_from", "later_ends"),
                comparison="CASE WHEN {told} ? s.notice_epoch THEN s.notice_effective_from <= {now}"
                " WHEN {told} ?| s.later_epochs"
                " THEN {told} ?| s.later_epochs[1:width_bucket({now}, s.later_ends)] END",
            ),
        ),
        Evidence(
            _week_of_notice("notice_end_week", "later_ends"),
            "period ends in {}",
            weekly=True,
            alias="notice_end_week",
        ),
    ),
    Condition(
        "NO_ACTIVE_OBJECTION",
        "No objection by the author is active.",
        "GDPR Article 21",
        (Since(_OBJECTED_UNTIL, "withdrawal"), "s.is_known"),
        ObjectionEvidence(_OBJECTIONS, "{}", alias="objections", examined=True),
    ),
    Condition(
        "CONTENT_KIND_COVERED",
        "The policy covers this kind of item on this product.",
        "GDPR Article 5(1)(b), purpose limitation; for private messages also Directive 2002/58/EC Article 5(1)",
        ("{covered}",),
        Evidence("c.kind", "{}"),
    ),
    Condition(
        "AUDIENCE_PUBLIC",
        "The item is public. If it is a comment or a caption, every item above it is public and not deleted.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47)",
        (f"c.audience = 'PUBLIC' AND ({IS_TOP.format('c')} OR {{parents_public}})",),
        Evidence("c.audience", "{}"),
        of_author=("c.audience = 'PUBLIC' AND (c.parent IS NOT NULL OR c.kind NOT IN ('COMMENT', 'CAPTION'))",),
    ),
    Condition(
        "CONVERSATION_OWN",
        "If the item is a prompt, only the author and the AI assistant take part in the conversation.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47); Directive 2002/58/EC Article 5(1)",
        ("c.kind <> 'AI_INTERACTION' OR c.conversation = 'ASSISTANT_ONLY'",),
        Evidence("c.conversation", "{}"),
    ),
    Condition(
        "AUDIENCE_STABLE",
        "The audience of the item has been the same for at least the policy's waiting time.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47)",
        (Since("c.audience_since", "audience"),),
        Evidence("c.audience_month", "since {}"),
    ),
    Condition(
        "CONTENT_LIVE",
        "The item is not deleted.",
        "GDPR Article 17",
        ("c.deleted_at IS NULL",),
    ),
    Condition(
        "CONTENT_SETTLED",
        "The item has not changed for at least the policy's waiting time and is not quarantined. If a protection of "
        "the item or its family was removed, such as a deletion, another waiting time of the policy has passed since "
        "then.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47); Article 5(1)(d), accuracy",
        (
            Since("c.settled_at", "content"),
            Since("greatest(c.reverted_at, f.reverted_at)", "taken_back"),
            "(c.quarantined_at < c.observed_at OR NULL)",
        ),
        Evidence("c.settled_month", "last changed in {}"),
        # Not c.reverted_at: what another person's caption took back is written there too.
        of_author=(Since("c.settled_at", "content"), "(c.quarantined_at < c.observed_at OR NULL)"),
    ),
    Condition(
        "NO_OBJECTOR_REFERENCED",
        "No tag, mention, image or quotation in the item or its family refers to an account or contact with an "
        "active objection.",
        "GDPR Article 21",
        (Referenced(_NOT_OBJECTED), _FAMILY_SOUND),
        of_author=("TRUE",),
    ),
    Condition(
        "NO_MINOR_REFERENCED",
        "The tags, mentions, images and quotations of the item and its family refer only to adults, and the "
        "scanner found no minors.",
        "GDPR Article 6(1)(f), recital 38",
        (_NO_MINOR_SEEN, "(f.id IS NULL OR f.no_minor)", Referenced(_ADULT), _FAMILY_SOUND),
        Evidence("c.minors", "scan {}"),
        of_author=(_NO_MINOR_SEEN,),
    ),
    Condition(
        "NO_RIGHTS_RESERVATION",
        "No signal of the item, its family or the author's account opts the item out of training.",
        "Directive (EU) 2019/790 Article 4(3)",
        ("NOT c.reserved AND NOT s.reserved AND (f.id IS NULL OR f.unreserved)",),
        SignalEvidence(
            "coalesce(c.signals, '[]')"
            " || coalesce((SELECT a.signals FROM grounds.account a WHERE a.id = c.account), '[]')",
            "{}",
            alias="signals",
            examined=True,
        ),
        of_author=("NOT c.reserved AND NOT s.reserved",),
    ),
    Condition(
        "NO_SPECIAL_CATEGORY",
        "In the item and its family, the scanner found no special category of personal data and no data about "
        "criminal convictions.",
        "GDPR Articles 9 and 10",
        (f"c.special_category = 'CLEAR' AND (f.id IS NULL OR f.no_special_category) AND {_FAMILY_SOUND}",),
        Evidence("c.special_category", "{}"),
        of_author=("c.special_category = 'CLEAR'",),
    ),
    Condition(
        "CONTENT_SAFE",
        "The safety scanner found nothing in the item or its family.",
        "The controller's own rule",
        (f"c.safety = 'CLEAR' AND (f.id IS NULL OR f.safe) AND {_FAMILY_SOUND}",),
        Evidence("c.safety", "{}"),
        of_author=("c.safety = 'CLEAR'",),
    ),
    Condition(
        "DEIDENTIFIED",
        "In the item's text, the gateway replaced identifiers and the personal data that the platform marked. "
        "Each media file is marked as de-identified. If the policy requires a search for names, the platform or "
        "the gateway did this search. The gateway replaces e-mail, web and street addresses, handles, phone and card "
        "numbers, IBANs, national numbers, documents, number plates, birth dates, coordinates and device addresses.",
        "GDPR Article 25, data protection by design",
        (
            "(c.pipeline IN (0, {pipeline}) OR NULL)",
            "c.media_deidentified",
            "(c.names_sought OR {names_optional})",
        ),
        Evidence(
            "c.pipeline || CASE WHEN c.names_sought THEN ', ' ELSE ', not ' END || 'searched for names'",
            "pipeline {}",
            alias="pipeline",
        ),
    ),
    Condition(
        "OPTED_IN",
        "The author gave consent and has not withdrawn it.",
        "GDPR Articles 6(1)(a) and 7",
        (Since("s.opted_in_since"),),
        Evidence("s.opted_in_month", "given in {}"),
    ),
)
