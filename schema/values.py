"""Enumerations and scalars of the API whose words are the facts' own."""

from typing import NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from db.policy.grounds import GroundCode
from db.records import (
    AccountKind,
    AccountStatus,
    Audience,
    ContentKind,
    NoticeChannel,
    ObjectionChannel,
    ObjectionScope,
)
from schema.actor import Role

strawberry.enum(Role, description="What a bearer of a token may be here.")
strawberry.enum(GroundCode, name="Ground", description="On what an item can qualify.")
strawberry.enum(ContentKind, description="What an item is.")
strawberry.enum(Audience, description="Who can see an item on the platform.")
strawberry.enum(AccountKind, description="What an account is.")
strawberry.enum(AccountStatus, description="The state of an account on the platform.")
strawberry.enum(NoticeChannel, description="How a notice was sent.")
strawberry.enum(ObjectionScope, description="What an objection covers.")
strawberry.enum(ObjectionChannel, description="How an objection came in.")

Region = NewType("Region", str)

SCALARS: dict[object, ScalarDefinition] = {
    Region: strawberry.scalar(
        name="Region", description="A country by its code of ISO 3166-1 alpha-2.", serialize=str, parse_value=str
    )
}

__all__ = [
    "SCALARS",
    "AccountKind",
    "AccountStatus",
    "Audience",
    "ContentKind",
    "GroundCode",
    "NoticeChannel",
    "ObjectionChannel",
    "ObjectionScope",
    "Region",
    "Role",
]
