"""Which notices count, and when their period has elapsed."""

from datetime import datetime, timedelta, timezone

from tests.promises.oracle.facts import Facts
from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.policies import DEFAULT_POLICY, Policy
from tests.promises.oracle.records import NOON, Record
from tests.promises.oracle.verdicts import Verdict

FIRST_ZONE = timezone(timedelta(hours=14))  # where a day begins first; it has ended everywhere at the next noon
Told = frozenset[tuple[str, str, str]]  # purpose, kind and product
SHIPPED = {
    "2025-04": frozenset(
        ("GENAI_TRAINING", kind, product)
        for ground in DEFAULT_POLICY["grounds"].values()
        for kind in ground["kinds"]
        for product in ground["products"]
    )
}


class Notices:
    """The notices and campaigns at one instant."""

    def __init__(self, facts: Facts, policy: Policy, features: Features, now: datetime) -> None:
        self._facts, self._features, self._now = facts, features, now
        self._rule, self._policy = policy.document["notice"], policy
        self._told: dict[str, Told] = {}

    def verdicts(self, account: str, purpose: str, kind: str, product: str) -> dict[str, Verdict]:
        """Judge both conditions for an account, and for what is to be trained on for which purpose.

        A notice that is to be delivered in the future has a period, and that has not elapsed.
        """
        earliest = min(
            (
                notice["delivered_at"]
                for notice in self._facts.of_account["notice", account].values()
                if notice["delivered_at"] and self._counts(notice) and self._tells(notice, purpose, kind, product)
            ),
            default=None,
        )
        if earliest is None or earliest > self._now:
            return {"NOTICE_DELIVERED": False, "NOTICE_PERIOD_ELAPSED": None if earliest is None else False}
        last_day = earliest.astimezone(FIRST_ZONE).date() + timedelta(days=self._rule["period_days"])
        last_day += timedelta(days={5: 2, 6: 1}.get(last_day.weekday(), 0))
        ended_at = datetime.combine(last_day + timedelta(days=1), NOON)
        return {"NOTICE_DELIVERED": True, "NOTICE_PERIOD_ELAPSED": ended_at <= self._now}

    def _counts(self, notice: Record) -> bool:
        set_aside = Feature.NOTICES_SET_ASIDE in self._features and self._facts.is_set_aside(("notice", notice["id"]))
        return notice["epoch"] >= self._rule["epoch"] and not notice["bounced_at"] and not set_aside

    def _tells(self, notice: Record, purpose: str, kind: str, product: str) -> bool:
        if Feature.CAMPAIGNS not in self._features:
            return True
        return (purpose, kind, product) in self.told(notice["epoch"])

    def told(self, campaign: str) -> Told:
        """Return what a campaign told of: what every version of it says; nothing while a bad line of it stands."""
        if campaign not in self._told:
            versions = [
                frozenset(
                    (purpose, kind, product)
                    for purposes, kinds, products in version["told"]
                    for purpose in purposes
                    for kind in kinds
                    for product in products
                )
                for version in self._facts.stated["campaign", campaign]
            ]
            versions += [SHIPPED[campaign]] if campaign in SHIPPED else []
            set_aside = self._facts.is_set_aside(("campaign", campaign))
            told = frozenset.intersection(*versions) if versions and not set_aside else frozenset()
            self._told[campaign] = told
        return self._told[campaign]

    def untold(self) -> set[tuple[str, str, str]]:
        """Return the purposes, kinds and products of the policy that no campaign of its epoch or later told of."""
        campaigns = {*SHIPPED, *self._facts.stored.get("campaign", {})}
        told = {triple for campaign in campaigns if campaign >= self._rule["epoch"] for triple in self.told(campaign)}
        return {
            (purpose, kind, product)
            for purpose in self._policy.document["purposes"]
            for ground in self._policy.grounds.values()
            for kind in ground["kinds"]
            for product in ground["products"]
        } - told
