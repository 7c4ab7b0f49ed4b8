"""The report for an authority, signed."""

import json
from datetime import date, timedelta
from typing import Annotated, Final

import strawberry

from db.oversight.report import read_report, sign_report
from schema.context import Info
from schema.errors import BadInput
from schema.governed import EXAMINERS, governed

MAX_DAYS: Final = 3660


@strawberry.type(description="A report for an authority, with a signature that everyone can check.")
class AuthorityReport:
    document: str = governed(
        EXAMINERS, description="The figures as JSON; The signed document; `app/README.md` explains each figure."
    )
    signature: str = governed(EXAMINERS, description="The Ed25519 signature of the figures, in hexadecimal.")
    public_key: str = governed(EXAMINERS, description="The Ed25519 public key of the gateway, in hexadecimal.")


async def resolve_authority_report(
    info: Info,
    first_day: Annotated[date, strawberry.argument(description="The first day of the report, in UTC.")],
    last_day: Annotated[date, strawberry.argument(description="The last day of the report, in UTC.")],
) -> AuthorityReport:
    """Resolve `authorityReport` for officers and auditors: the figures of some days, signed."""
    if not first_day <= last_day <= first_day + timedelta(days=MAX_DAYS):
        raise BadInput(f"lastDay: must be 0 to {MAX_DAYS} days after firstDay (request a shorter report)")
    context = info.context
    signed = sign_report(await read_report(context.reader, first_day, last_day), context.gateway.secret)
    document = json.dumps(signed.report, ensure_ascii=False)
    return AuthorityReport(document=document, signature=signed.signature, public_key=signed.public_key)
