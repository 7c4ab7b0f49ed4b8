"""Compile a policy to the SQL that enforces it: the views of pages, of offers and of decisions."""

from collections.abc import Iterable, Iterator

from db.policy.condition import Condition, JudgedBy
from db.policy.conditions import CONDITIONS, MAX_PARENTS
from db.policy.document import Policy
from db.policy.evidence import Evidence
from db.policy.grounds import GroundCode, required_of
from db.policy.parameters import (
    CLAIMED_PURPOSE,
    Parameters,
    live_parameters,
    parameters_at_instant,
    text_array,
)
from db.vocabulary import ContentKind

_PAGE_COLUMNS = (
    *("id", "account", "kind", "product", "language", "created_month", "text", "media", "country", "ground"),
)
_NARROWING = "c.language_base, c.language_key"  # of the page view alone: what a filter compares


def conditions_of(policy: Policy) -> tuple[Condition, ...]:
    """Return the conditions that a policy compiles: OPTED_IN only where the policy has that ground."""
    opted_in = GroundCode.OPTED_IN in policy.grounds
    return tuple(condition for condition in CONDITIONS if opted_in or condition.code != "OPTED_IN")


def compiled_views(policy: Policy) -> dict[str, str]:
    """Return the SQL of each view that a policy compiles to, by the view's name in schema `grounds`."""
    return {
        "trainable_content": f"{_permitted_query(policy)}\nORDER BY c.id",
        "offer_derivation": _derivation_query(policy),
        "offered_content": _offered_query(policy),
        "available_content": _available_query(policy),
        "offer_hold": _hold_query(policy),
        "decision": decision_statement(policy),
        "counted_content": _counted_query(policy),
        "own_decision": (
            "SELECT d.* FROM grounds.decision d WHERE d.account = ("
            "SELECT a.id FROM grounds.account a WHERE a.platform_id = grounds.claim('subject'))"
        ),
    }


def evidence_columns(*, examined: bool = True) -> tuple[str, ...]:
    """Return the evidence columns of a policy's compiled views, each once, in the catalogue's order.

    Without `examined`, those are left out that only officers, auditors and the person may read.
    """
    listed = (evidence for evidence in _evidence_of_items() if examined or not evidence.examined)
    return tuple(dict.fromkeys(evidence.column for evidence in listed))


def evidence_fact(column: str) -> str:
    """Return the SQL of an evidence column with the names of a policy's parameters in braces. Raises LookupError."""
    for evidence in _evidence_of_items():
        if evidence.column == column:
            return evidence.fact
    raise LookupError(column)


def _evidence_of_items() -> list[Evidence]:
    """Return the evidence of conditions that differs by item, for the columns of a policy's views."""
    stated = (evidence for c in CONDITIONS for evidence in (c.evidence, c.details))
    return [evidence for evidence in stated if evidence and not evidence.of_policy]


def page_columns(*, with_evidence: bool = True) -> tuple[str, ...]:
    """Return the columns of a policy's compiled page view, in order. They are the same under every policy.

    The columns of evidence come last, so that the others have the same places without them.
    """
    if not with_evidence:
        return _PAGE_COLUMNS
    shown = dict.fromkeys(evidence.column for evidence in _evidence_of_items() if not evidence.examined)
    return (*_PAGE_COLUMNS, *(column for column in shown if column not in _PAGE_COLUMNS))


def bind_predicate(condition: Condition, policy: Policy, *, unclaimed: str = "FALSE") -> str:
    """Write the SQL of a condition's predicate with a policy's parameters.

    `unclaimed` says whether a statement that claims no client counts as a suspended one.
    """
    return f"({condition.predicate.format_map(live_parameters(policy, unclaimed))})"


def _permitted_query(policy: Policy) -> str:
    """Compile a policy to the SQL of permitted items: every condition of the item's ground is TRUE."""
    clauses = _clauses(policy, live_parameters(policy, "TRUE"), JudgedBy)
    return f"SELECT {_page_row(policy)}\n{_item_sources('grounds.account_standing')}\nWHERE {clauses}"


def _derivation_query(policy: Policy) -> str:
    """Compile a policy to the SQL of offers: each item that is permitted now, or once time has passed.

    An offer holds from the latest instant of all comparisons with the clock. The rules themselves are then asked at
    that instant, or now where it has passed: an instant that were too early would offer nothing.
    """
    parameters = parameters_at_instant(policy)
    clocks = [
        f"CASE WHEN NOT ({_exempt(policy, condition)}) THEN {clock.format_map(parameters)} END"
        for condition in conditions_of(policy)
        for clock in condition.clocks
    ]
    clauses = _clauses(policy, parameters, {JudgedBy.OFFER, JudgedBy.BOTH})
    listed = ",\n        ".join(clocks)
    return f"""SELECT {_page_row(policy)}, s.country AS author_country, s.product AS author_product,
    due.permitted_from, {_DEPENDENCIES} AS depends_on
{_item_sources("grounds.account_standing")}
CROSS JOIN LATERAL (
    SELECT latest.permitted_from, greatest(latest.permitted_from, grounds.decision_time()) AS instant
    FROM (SELECT coalesce(greatest(
        {listed}), '-infinity') AS permitted_from OFFSET 0) latest OFFSET 0) due
WHERE due.permitted_from < 'infinity' AND {clauses}"""


_OFFER_STANDING = """CROSS JOIN LATERAL (
    SELECT o.author_country AS country, o.author_product AS product, TRUE AS is_known,
        timestamptz '-infinity' AS held_until) s"""
_SERVING_SET = (
    f"o.offer_set = (SELECT t.id FROM grounds.offer_set t WHERE t.purpose = {CLAIMED_PURPOSE} AND t.state = 'SERVING')"
)


def _offered_query(policy: Policy) -> str:
    """Compile a policy to the SQL of the offers that are valid now and are not marked as changed."""
    columns = ", ".join(f"o.{column}" for column in page_columns())
    return f"""SELECT {columns}, o.language_base, o.language_key
FROM grounds.offer o {_OFFER_STANDING}
WHERE {_SERVING_SET}
  AND {_offer_clauses(policy)}
ORDER BY o.id"""


def _offer_clauses(policy: Policy) -> str:
    """Compile what a policy's page asks of an offer `o`: its instant has come, no mark, and what pages judge."""
    clauses = _clauses(policy, live_parameters(policy, "TRUE"), {JudgedBy.PAGE, JudgedBy.BOTH}, "o")
    return f"""o.permitted_from <= (SELECT grounds.decision_time())
  AND NOT EXISTS (SELECT FROM grounds.offer_mark m WHERE m.place = ANY (o.depends_on) OFFSET 0)
  AND {clauses}"""


_COMPARED_COLUMNS = ("id", "kind", "product", "created_month", "country", "ground")


def _available_query(policy: Policy) -> str:
    """Compile a policy to the SQL of offers in the order in which they became available.

    An offer that no page may show now has a row too, so that a page can say that it passed it over: of such a row, only
    words of fixed lists, the month and the id are not NULL.
    """
    columns = ", ".join(
        f"o.{column}" if column in _COMPARED_COLUMNS else f"CASE WHEN clear.is_clear THEN o.{column} END AS {column}"
        for column in (*page_columns(), "language_base", "language_key")
    )
    return f"""SELECT a.position, clear.is_clear, {columns}
FROM grounds.availability a
CROSS JOIN LATERAL (SELECT * FROM grounds.offer o WHERE o.id = a.item AND {_SERVING_SET} OFFSET 0) o
{_OFFER_STANDING}
CROSS JOIN LATERAL (SELECT (
  NOT EXISTS (
    SELECT FROM grounds.availability_ended e
    WHERE e.purpose = a.purpose AND e.segment = o.id >> 10 AND o.id = ANY (e.items) OFFSET 0)
  AND {_offer_clauses(policy)}
) IS TRUE AS is_clear OFFSET 0) clear
WHERE a.purpose = (SELECT {CLAIMED_PURPOSE})
ORDER BY a.position"""


def _hold_query(policy: Policy) -> str:
    """Compile a policy to the SQL of the countries and products that holds cover now, in one row."""
    held = live_parameters(policy, "FALSE")
    covered = ", ".join(
        f"ARRAY(SELECT DISTINCT v FROM unnest({held[f'held_{name}']}) v ORDER BY v) AS {name}"
        for name in ("countries", "products")
    )
    return f"SELECT {covered}"


# What an offer depends on, as grounds.offer_mark names it: the item and every item that it stands under, its account,
# and each account and contact that it or its family references. What a family says is marked at its medium, which is
# the item itself or stands above it.
_DEPENDENCIES = f"""ARRAY[c.id * 4, c.account * 4 + 1]
    || CASE WHEN c.parent IS NOT NULL THEN ARRAY(
        WITH RECURSIVE above AS (
            SELECT p.id, p.parent, 1 AS place FROM grounds.content p WHERE p.platform_id = c.parent
            UNION ALL
            SELECT a.id, a.parent, u.place + 1 FROM above u JOIN grounds.content a ON a.platform_id = u.parent
            WHERE u.place < {MAX_PARENTS}
        )
        SELECT u.id * 4 FROM above u) END
    || CASE WHEN c.has_references OR f.reference_count > 0 THEN ARRAY(
        SELECT coalesce(r.account * 4 + 1, r.contact * 4 + 2)
        FROM grounds.content_reference r WHERE r.content = c.id
        UNION SELECT coalesce(r.account * 4 + 1, r.contact * 4 + 2)
        FROM (SELECT m.id FROM grounds.content m
              WHERE m.family = c.family AND m.concerns_family AND m.has_references OFFSET 0) m
        JOIN grounds.content_reference r ON r.content = m.id) END"""


def _clauses(policy: Policy, parameters: Parameters, judged_by: Iterable[JudgedBy], item: str = "c") -> str:
    """Compile conditions to SQL clauses, each for the kinds that need it under a policy.

    Each condition is a top-level AND, without a wrapper, because the planner proves the partial indexes from it.
    """
    clauses = [f"{item}.kind IN ({text_array(_covered_kinds(policy))})"]
    for condition in conditions_of(policy):
        exempt = _exempt(policy, condition, item)
        if condition.judged_by in set(judged_by) and exempt != "TRUE":
            rule = f"({condition.predicate.format_map(parameters)})"
            clauses.append(rule if exempt == "FALSE" else f"({exempt} OR {rule})")
    return "\n  AND ".join(clauses)


def _exempt(policy: Policy, condition: Condition, item: str = "c") -> str:
    """Write the SQL that an item's kind does not need a condition under a policy; TRUE or FALSE where all are alike."""
    exempt = [k for g, cov in policy.grounds.items() for k in cov.kinds if condition.code not in required_of(g, k)]
    if len(exempt) in (0, len(_covered_kinds(policy))):
        return "TRUE" if exempt else "FALSE"
    return f"{item}.kind IN ({text_array(exempt)})"


def _covered_kinds(policy: Policy) -> list[ContentKind]:
    """Return the kinds of items that a policy's grounds cover."""
    return [kind for coverage in policy.grounds.values() for kind in coverage.kinds]


def _page_row(policy: Policy) -> str:
    """Write the SQL columns of a policy's compiled page view."""
    evidence = "".join(
        f", {_evidence_source(column, policy)}" for column in page_columns() if column not in _PAGE_COLUMNS
    )
    return (
        "c.id, c.account, c.kind, c.product, c.language, c.created_month, c.text, c.media, c.country,"
        f" {ground_expression(policy)} AS ground{evidence}, {_NARROWING}"
    )


def decision_statement(policy: Policy, standing: str = "grounds.account_standing") -> str:
    """Compile a policy to the SQL of decisions: every condition as TRUE, FALSE or NULL, and the verdict.

    An author's account always has a standing, though nothing may be known of it yet. OFFSET 0 keeps each condition one
    expression that the verdict and the shortfall share: without it, planning takes three times as long.
    """
    columns = "".join(f',\n  {bind_predicate(c, policy)} AS "{c.code}"' for c in CONDITIONS)
    evidence = "".join(f", {_evidence_source(column, policy)}" for column in evidence_columns() if column != "kind")
    verdicts = " ".join(
        f"WHEN {judged} THEN {' AND '.join(f'd.{_quoted(code)}' for code in codes)}"
        for judged, codes in judged_conditions(policy, "d")
    )
    return (
        f"SELECT d.*, coalesce(CASE {verdicts} END, FALSE) AS permitted,\n"
        f"  {_failed_codes_expression(policy, 'd')} AS shortfall\n"
        f"FROM (SELECT c.id, c.account, c.kind, judged.*\n{_item_sources(standing)}\nCROSS JOIN LATERAL ("
        f"SELECT {ground_expression(policy)} AS ground{evidence}{columns} OFFSET 0) judged) d"
    )


def _counted_query(policy: Policy) -> str:
    """Compile a policy to the SQL of what coverage counts of each item, with the conditions that exclude it as bits.

    `failing` has a bit for each condition, in the catalogue's order; `failing_of_author` only those that exclude the
    item by the data about its author. Reading an item takes half the time that it takes through the view of decisions.
    """
    columns = "".join(f',\n  {bind_predicate(c, policy)} AS "{c.code}"' for c in CONDITIONS)
    of_author = "".join(
        f',\n  ({c.predicate_of_author.format_map(live_parameters(policy, "FALSE"))}) AS "{c.code} BY AUTHOR"'
        for c in CONDITIONS
        if c.predicate_of_author is not None
    )
    bits = [_failing_bits_expression(policy, by_author=by_author) for by_author in (False, True)]
    return (
        "SELECT d.id, d.account, d.kind, d.product, d.country, d.language_key, d.created_month, d.parent,"
        f" d.has_references, d.ground,\n  {bits[0]} AS failing,\n  {bits[1]} AS failing_of_author\n"
        "FROM (SELECT c.id, c.account, c.kind, c.product, s.country, c.language_key, c.created_month, c.parent,"
        f" c.has_references, judged.*\n{_item_sources('grounds.account_standing')}\nCROSS JOIN LATERAL ("
        f"SELECT {ground_expression(policy)} AS ground{columns}{of_author} OFFSET 0) judged) d"
    )


def _failing_bits_expression(policy: Policy, *, by_author: bool) -> str:
    """Write the SQL of the conditions that exclude an item `d` under a policy, as bits in the catalogue's order."""
    cases = []
    for judged, codes in judged_conditions(policy, "d"):
        failing = " + ".join(
            f"CASE WHEN d.{_quoted(c.code)} IS NOT TRUE"
            + (f' AND d."{c.code} BY AUTHOR" IS NOT TRUE' if by_author and c.predicate_of_author is not None else "")
            + f" THEN {1 << place} ELSE 0 END"
            for place, c in enumerate(CONDITIONS)
            if c.code in codes
        )
        cases.append(f"WHEN {judged} THEN {failing}")
    return f"(CASE {' '.join(cases)} END)::bigint"


def _item_sources(standing: str) -> str:
    """Write the SQL that a compiled policy reads an item from: its content, its author's standing, its family."""
    return (
        f"FROM grounds.content c JOIN {standing} s ON s.account = c.account"
        " LEFT JOIN grounds.family f ON f.id = c.family"
    )


def _failed_codes_expression(policy: Policy, decision: str) -> str:
    """Write the SQL of the codes of the conditions that exclude an item under a policy."""
    cases = []
    for judged, codes in judged_conditions(policy, decision):
        failing = ", ".join(f"CASE WHEN {decision}.{_quoted(code)} IS NOT TRUE THEN '{code}' END" for code in codes)
        cases.append(f"WHEN {judged} THEN array_remove(ARRAY[{failing}], NULL)")
    return f"CASE {' '.join(cases)} END"


def judged_conditions(policy: Policy, decision: str) -> Iterator[tuple[str, list[str]]]:
    """Return each case of the conditions that an item needs under a policy: its SQL test, and the codes."""
    for ground in dict.fromkeys((*policy.grounds, GroundCode.PUBLIC_CONTENT)):
        test = f"{decision}.ground = '{ground}'"
        kinds = policy.grounds[ground].kinds if ground in policy.grounds else ()
        if ground is GroundCode.OPTED_IN and ContentKind.AI_INTERACTION in kinds:
            of_prompts = f"{test} AND {decision}.kind = '{ContentKind.AI_INTERACTION}'"
            yield of_prompts, _needed(policy, ground, ContentKind.AI_INTERACTION)
        yield test, _needed(policy, ground, ContentKind.POST)


def _needed(policy: Policy, ground: GroundCode, kind: ContentKind) -> list[str]:
    """Return the codes of the conditions that a policy requires of a kind under a ground."""
    return [c.code for c in conditions_of(policy) if c.code in required_of(ground, kind)]


def _quoted(code: str) -> str:
    """Write a condition's code as an SQL column of a compiled policy."""
    return f'"{code}"'


def _evidence_source(column: str, policy: Policy) -> str:
    """Return the SQL from which an evidence column of a compiled policy comes."""
    return f"{evidence_fact(column).format_map(live_parameters(policy, 'FALSE'))} AS {column}"


def ground_expression(policy: Policy) -> str:
    """Write the SQL of an item's ground under a policy; a kind of no ground is judged as PUBLIC_CONTENT."""
    cases = " ".join(
        f"WHEN c.kind IN ({text_array(coverage.kinds)}) THEN '{ground}'" for ground, coverage in policy.grounds.items()
    )
    return f"CASE {cases} ELSE '{GroundCode.PUBLIC_CONTENT}' END"
