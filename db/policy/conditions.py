"""The catalogue of conditions: every rule about an item stands here, once.

A predicate is three-valued SQL (TRUE passes, FALSE fails, NULL is unknown) over the facts of one item: `c` is the
content, `s` the standing of its author's account. Names in braces are the policy's parameters and the instants made
of them; `db.policy.compile` binds them. All arithmetic was done when the fact was stored or is done in a parameter,
so that a predicate only compares.
"""

from dataclasses import dataclass

from db.policy.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Condition:
    """Say what must hold, why, and what shows it.

    `sentence` is for people, `source` is the legal source, `predicate` the rule, `evidence` the coarse fact shown.
    """

    code: str
    sentence: str
    source: str
    predicate: str
    evidence: Evidence | None = None


_REFERENCED = (
    "NOT c.has_references OR TRUE = ALL (SELECT {rule} FROM grounds.content_reference r"
    " JOIN grounds.account_standing o ON o.account = r.account WHERE r.content = c.id)"
)

CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "PROGRAMME_ACTIVE",
        "The training programme has begun and is not over.",
        "GDPR Article 5(1)(b), purpose limitation",
        "{now} >= {effective_from} AND {now} < {effective_until} AND NOT {superseded}",
        Evidence("{effective_from}", "in force since {}", of_policy=True),
    ),
    Condition(
        "PURPOSE_MATCH",
        "The client asks for a purpose that the policy names, and is not suspended.",
        "GDPR Article 5(1)(b), purpose limitation",
        "{claimed_purpose} IN ({purposes}) AND NOT {client_suspended}",
        Evidence("{purposes}", "for {}", of_policy=True),
    ),
    Condition(
        "NO_REGULATORY_HOLD",
        "No authority's hold covers the item.",
        "GDPR Article 58(2)(f), limitation or ban on processing",
        "NOT {global_hold} AND s.held_until <= {hold_cutoff} AND NOT s.country = ANY ({held_countries})"
        " AND NOT s.product = ANY ({held_products}) AND s.known",
    ),
    Condition(
        "REGION_COVERED",
        "The author lives in a country that the policy covers.",
        "GDPR Article 3, territorial scope",
        "s.country IN ({regions})",
        Evidence("s.country", "{}"),
    ),
    Condition(
        "ACCOUNT_IN_GOOD_STANDING",
        "The author's account is active, has been for a while, and what is known of it is sound.",
        "GDPR Article 5(1)(d), accuracy",
        "s.status = 'ACTIVE' AND s.status_since <= {account_cutoff} AND s.taken_back_at <= {taken_back_cutoff}"
        " AND (NOT s.quarantined OR NULL)",
        Evidence("s.status_month", "status since {}"),
    ),
    Condition(
        "ACCOUNT_KIND_COVERED",
        "The author's account is of a kind that the policy covers.",
        "GDPR Article 5(1)(b), purpose limitation",
        "s.kind IN ({account_kinds})",
        Evidence("s.kind", "{}"),
    ),
    Condition(
        "AUTHOR_ADULT_NOW",
        "The author is an adult, by every birth date known of the person.",
        "GDPR Article 6(1)(f), recital 38",
        "s.minor_until <= {now} AND s.adult_from <= {now}",
    ),
    Condition(
        "AUTHOR_ADULT_AT_CREATION",
        "The author was an adult when the item was made.",
        "GDPR Article 6(1)(f), recital 38",
        "s.minor_until <= c.created_at AND s.adult_from <= c.created_at",
    ),
    Condition(
        "NOT_COMPROMISED_AT_CREATION",
        "The author's account was in nobody else's hands when the item was made.",
        "GDPR Article 5(1)(d), accuracy",
        "NOT s.compromised @> c.created_at",
    ),
    Condition(
        "NOTICE_DELIVERED",
        "The author was told of the training, in the app or by e-mail, and the notice did not bounce.",
        "GDPR Articles 13 and 14",
        "s.notice_delivered_at <= {now}",
        Evidence("s.notice_week", "delivered in {}", weekly=True),
    ),
    Condition(
        "NOTICE_PERIOD_ELAPSED",
        "The author had the whole notice period to object.",
        "GDPR Article 21(1); Regulation (EEC, Euratom) 1182/71 Article 3",
        "s.notice_effective_from <= {now}",
        Evidence("s.notice_end_week", "period ends in {}", weekly=True),
    ),
    Condition(
        "NO_ACTIVE_OBJECTION",
        "The author has not objected.",
        "GDPR Article 21",
        "CASE WHEN c.kind = 'AI_INTERACTION' THEN s.objected_ai_until ELSE s.objected_public_until END"
        " <= {withdrawal_cutoff} AND s.known",
    ),
    Condition(
        "CONTENT_KIND_COVERED",
        "The policy covers this kind of item on this product.",
        "GDPR Article 5(1)(b), purpose limitation",
        "{covered}",
        Evidence("c.kind", "{}"),
    ),
    Condition(
        "AUDIENCE_PUBLIC",
        "The item is public; a comment stands under a public, living item.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47)",
        "c.audience = 'PUBLIC' AND (c.kind <> 'COMMENT' OR (SELECT p.audience = 'PUBLIC' AND p.deleted_at IS NULL"
        " FROM grounds.content p WHERE p.platform_id = c.parent))",
        Evidence("c.audience", "{}"),
    ),
    Condition(
        "AUDIENCE_STABLE",
        "The item has had this audience for a while.",
        "GDPR Article 6(1)(f), reasonable expectations (recital 47)",
        "c.audience_since <= {audience_cutoff}",
        Evidence("c.audience_month", "since {}"),
    ),
    Condition(
        "CONTENT_LIVE",
        "The item is not deleted.",
        "GDPR Article 17",
        "c.deleted_at IS NULL",
    ),
    Condition(
        "CONTENT_SETTLED",
        "The item has not changed lately, and what is known of it is sound.",
        "GDPR Article 5(1)(d), accuracy",
        "c.settled_at <= {content_cutoff} AND c.taken_back_at <= {taken_back_cutoff}"
        " AND (c.quarantined_at < c.observed_at OR NULL)",
        Evidence("c.settled_month", "last changed in {}"),
    ),
    Condition(
        "NO_OBJECTOR_REFERENCED",
        "Nobody whom the item names, tags, shows or quotes has objected.",
        "GDPR Article 21",
        _REFERENCED.replace("{rule}", "o.objected_public_until <= {withdrawal_cutoff} AND o.known"),
    ),
    Condition(
        "NO_MINOR_REFERENCED",
        "Everybody whom the item names, tags, shows or quotes is an adult.",
        "GDPR Article 6(1)(f), recital 38",
        _REFERENCED.replace("{rule}", "o.minor_until <= {now} AND o.adult_from <= {now}"),
    ),
    Condition(
        "NO_RIGHTS_RESERVATION",
        "No signal reserves the item against training.",
        "Directive (EU) 2019/790 Article 4(3)",
        "NOT c.reserved",
    ),
    Condition(
        "NO_SPECIAL_CATEGORY",
        "The scanner found no special category of personal data.",
        "GDPR Article 9",
        "c.special_category = 'CLEAR'",
        Evidence("c.special_category", "{}"),
    ),
    Condition(
        "CONTENT_SAFE",
        "The safety scanner found nothing.",
        "Regulation (EU) 2022/2065 Article 16",
        "c.safety = 'CLEAR'",
        Evidence("c.safety", "{}"),
    ),
    Condition(
        "DEIDENTIFIED",
        "Direct identifiers were taken out of the text, and every medium is de-identified.",
        "GDPR Article 25, data protection by design",
        "(c.pipeline IN (0, {pipeline}) OR NULL) AND c.media_deidentified",
        Evidence("c.pipeline", "pipeline {}"),
    ),
    Condition(
        "OPTED_IN",
        "The author gave consent and has not withdrawn it.",
        "GDPR Articles 6(1)(a) and 7",
        "s.opted_in_since <= {now}",
        Evidence("s.opted_in_month", "given in {}"),
    ),
)
