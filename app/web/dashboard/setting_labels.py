"""The names of a policy's settings in words, for the form and for differences."""

from typing import Final

LABELS: Final = {
    "version": "Version",
    "title": "Title",
    "effective_from": "In force from",
    "effective_until": "In force until",
    "purposes": "Purposes",
    "regions": "Countries",
    "account_kinds": "Kinds of accounts",
    "notice.epoch": "Oldest campaign whose notices count",
    "notice.period_days": "Notice period, in days",
    "dwell.account_days": "Waiting time after the status of an account changed, in days",
    "dwell.audience_days": "Waiting time after an item was made public, in days",
    "dwell.content_hours": "Waiting time after an item was created or edited, in hours",
    "dwell.withdrawal_days": "Waiting time after an objection was withdrawn, in days",
    "dwell.hold_hours": "Waiting time after a hold was lifted, in hours",
    "dwell.taken_back_days": "Waiting time after a protection was removed, in days",
    "retraction.due_hours": "Time in which clients delete retracted items, in hours",
    "names": "Whether the platform must look for names in texts",
    "controller.name": "Controller: name",
    "controller.address": "Controller: address",
    "controller.contact": "Controller: contact",
    "controller.dpo": "Controller: data protection officer",
    "controller.authority": "Controller: authority for complaints",
    "review_by": "Review by",
    "on_overdue": "If the review is overdue",
}
"""The name of each setting in words. Settings of grounds are named by `label_of`."""


def label_of(path: str) -> str:
    """Return the name of a policy's setting in words, for the dashboard."""
    if path.startswith("grounds."):
        _, ground, part = (*path.split("."), "", "")[:3]
        return f"{ground.replace('_', ' ').capitalize()}: {part}"
    return LABELS.get(path, path.replace("_", " ").replace(".", ": "))
