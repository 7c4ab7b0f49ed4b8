"""Evidence of a condition: coarse facts only, such as weeks and months, never a birth date."""

import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """A fact that shows a condition, and its form for readers.

    `fact` is a column of the content or the standing, an expression over them whose column is the `alias`, or a policy
    parameter where `of_policy`. Dates are shown as a month (`2025-04`), or as an ISO 8601 week (`2025-W16`) where
    `weekly`. What is `examined` is shown to officers, auditors and the person alone: it is no column of pages.
    """

    fact: str
    label: str
    weekly: bool = False
    of_policy: bool = False
    alias: str | None = None
    examined: bool = False

    @cached_property
    def column(self) -> str:
        """Return the column of a condition's evidence in a policy's compiled views."""
        return self.alias or self.fact.partition(".")[2]

    def show(self, value: object) -> str | None:
        """Write the evidence of a policy's condition from its SQL value; None if it is unknown."""
        if value is None:
            return None
        if isinstance(value, date):
            year, week, _ = value.isocalendar()
            value = f"{year}-W{week:02}" if self.weekly else f"{value.year:04}-{value.month:02}"
        return self.label.format(value)


@dataclass(frozen=True)
class SignalEvidence(Evidence):
    """The signals that reserve an item: where and when each was seen."""

    def show(self, value: object) -> str | None:
        """Write the evidence of a policy's condition from signals in JSON: each that reserves."""
        kept = json.loads(value) if isinstance(value, str) else []
        named = dict.fromkeys(_named_signal(signal) for signal in kept if signal.get("reserves"))
        return "; ".join(named) or None


@dataclass(frozen=True)
class ObjectionEvidence(Evidence):
    """The objections that exclude an item: the day on which each was received, and its channel."""

    def show(self, value: object) -> str | None:
        """Write the evidence of a policy's condition from objections in JSON, the earliest first."""
        listed = json.loads(value) if isinstance(value, str) else []
        named = dict.fromkeys(_named_objection(*each) for each in listed)
        return "; ".join(named) or None


@dataclass(frozen=True)
class CampaignEvidence(Evidence):
    """The campaign that named an item's use to its author, or the campaigns that could have done so."""

    def show(self, value: object) -> str | None:
        """Write the evidence of a policy's condition from campaigns in JSON: each campaign that named the use."""
        if not isinstance(value, str):
            return None
        stated = json.loads(value)
        purpose, kind, product = stated["use"]
        use = f"{purpose} for {kind} on {product or 'an unknown product'}"
        told, reached = stated["told"] or [], stated["reached"] or []
        counted = [epoch for epoch in reached if epoch in told]
        if counted:
            return f"by campaign {counted[0]}, which named {use}"
        needed = f"the notice of campaign {' or '.join(told)} is needed" if told else "no campaign named this use"
        return f"{use}: {needed}; delivered notices: {', '.join(reached) or 'none'}"


def _named_objection(received_at: str, channel: str | None, withdrawn_at: str | None) -> str:
    """Write one objection as the evidence of a policy's condition."""
    withdrawn = f", withdrawn on {withdrawn_at[:10]}" if withdrawn_at else ""
    return f"objection received on {received_at[:10]} by {channel or 'an unknown channel'}{withdrawn}"


def _named_signal(signal: dict[str, Any]) -> str:
    """Write one signal as the evidence of a policy's condition: its source, place and when it was seen."""
    if "standard" not in signal:
        return f"{signal['source']}, as the platform stated it"
    place = f" at {signal['location']}" if signal["location"] else ""
    path = f" for {signal['path']}" if signal["path"] else ""
    fault = f"; {signal['fault']}" if signal["fault"] else ""
    return f"{signal['source']} ({signal['standard']}{place}{path}, seen {signal['seen_at']}{fault})"
