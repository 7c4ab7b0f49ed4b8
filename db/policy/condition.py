"""The parts of a condition: its rule, and the times from which the parts of the rule pass."""

from dataclasses import dataclass
from enum import Enum

from db.policy.evidence import Evidence

MAX_FAMILY_REFERENCES = 50


@dataclass(frozen=True, slots=True)
class Since:
    """A comparison with the clock that is true from an instant on, and stays true as time passes.

    `wait` names the waiting time after the instant, if there is one. `comparison` is the SQL, where it is another.
    """

    instant: str
    wait: str | None = None
    comparison: str | None = None

    @property
    def predicate(self) -> str:
        """Write the SQL of a condition's rule that compares an instant with the clock."""
        return self.comparison or f"{self.instant} <= {{{f'{self.wait}_cutoff' if self.wait else 'now'}}}"

    @property
    def clock(self) -> str:
        """Write the SQL of the instant from which a condition's rule holds; NULL where there is none."""
        return f"({self.instant} + {{{self.wait}_dwell}})" if self.wait else f"({self.instant})"


class JudgedBy(Enum):
    """What judges a condition of an offered item: its offer when that is derived, the page's statement, or both."""

    OFFER = 1
    PAGE = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class Referenced:
    """A rule for each account and contact that the item or a member of its family references.

    A family that references very many is unknown: each of its members would have to look at all of them.
    """

    rule: tuple[str | Since, ...]

    @property
    def predicate(self) -> str:
        """Write the SQL of a condition's rule about each account that an item references."""
        rule = _all_of(self.rule)
        return f"""(NOT c.has_references OR TRUE = ALL ({_of_each(rule, "c.id")}))
    AND (f.id IS NULL OR f.reference_count = c.reference_count OR CASE
        WHEN f.reference_count <= {MAX_FAMILY_REFERENCES} THEN TRUE = ALL (
            SELECT o.value
            FROM {_REFERRING_MEMBERS}
            CROSS JOIN LATERAL ({_of_each(rule, "m.id")}) o)
        END)"""

    @property
    def clock(self) -> str:
        """Write the SQL of the instant from which a condition's rule holds for all that an item references."""
        clocks = ", ".join(part.clock for part in self.rule if not isinstance(part, str))
        instant = f"greatest({clocks})"
        return f"""greatest(
        CASE WHEN c.has_references THEN (SELECT max(o.value) FROM ({_of_each(instant, "c.id")}) o) END,
        CASE WHEN f.reference_count BETWEEN c.reference_count + 1 AND {MAX_FAMILY_REFERENCES} THEN (
            SELECT max(o.value)
            FROM {_REFERRING_MEMBERS}
            CROSS JOIN LATERAL ({_of_each(instant, "m.id")}) o) END)"""


_REFERRING_MEMBERS = """(SELECT m.id FROM grounds.content m
                  WHERE m.family = c.family AND m.concerns_family AND m.has_references OFFSET 0) m"""


def _of_each(value: str, item: str) -> str:
    """Write the SQL of a condition that asks for each account and contact that an item references."""
    return f"""
        SELECT {value} AS value FROM grounds.content_reference r
        JOIN grounds.account_standing o ON o.account = r.account WHERE r.content = {item}
        UNION ALL SELECT {value} FROM grounds.content_reference r
        JOIN grounds.referenced_contact o ON o.id = r.contact WHERE r.content = {item}"""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: its rule, its legal source, and its evidence.

    `sentence` is for people, `source` is the legal source, `parts` the rule, `evidence` the coarse fact shown. What
    changes without a fact of the item, such as who asks, is `judged_by` the page. `details` are what officers, auditors
    and the person read beside the evidence. `of_author` are the parts of the rule that data about the author decide, if
    these are not all: published counts use only these, so that no other person can change where an item counts.
    """

    code: str
    sentence: str
    source: str
    parts: tuple["str | Since | Referenced", ...]
    evidence: Evidence | None = None
    judged_by: JudgedBy = JudgedBy.OFFER
    details: Evidence | None = None
    of_author: tuple["str | Since", ...] | None = None

    @property
    def predicate(self) -> str:
        """Write the SQL of a condition's rule: every part must be true."""
        return _all_of(self.parts)

    @property
    def predicate_of_author(self) -> str | None:
        """Write the SQL of what data about the author decide of a condition; None if it is the whole rule."""
        return None if self.of_author is None else _all_of(self.of_author)

    @property
    def clocks(self) -> tuple[str, ...]:
        """Write the SQL of the instants from which the parts of a condition that wait hold."""
        return tuple(part.clock for part in self.parts if not isinstance(part, str))


def _all_of(parts: tuple["str | Since | Referenced", ...]) -> str:
    """Join the parts of a condition's rule to SQL that is true if all parts are true."""
    return " AND ".join(part if isinstance(part, str) else part.predicate for part in parts)
