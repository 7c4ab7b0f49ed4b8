"""Objections that came by letter, e-mail or telephone, and are filed from the command line."""

from app.observe import observe
from app.settings import Settings
from db.contacts import contact_hash, stated_hash
from db.objecting import Filed, Filer, Target, file_objection
from db.records import ObjectionChannel, ObjectionScope
from db.session import open_database


class ObjectionError(Exception):
    """Say what is wrong with an objection, and what to do."""


def target_named(account: str | None, person: str | None, contact: str | None, contact_file: str | None) -> Target:
    """Say whom an objection is for; `contact_file` is a file's text, `contact` a hash.

    Raises ObjectionError unless exactly one is named, and well.
    """
    named = {"--account": account, "--person": person, "--contact": contact, "--contact-file": contact_file}
    given = [name for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise ObjectionError("name one of --account, --person, --contact and --contact-file")
    if contact is not None or contact_file is not None:
        digest = contact_hash(contact_file) if contact_file is not None else stated_hash(contact or "")
        if digest is None:
            raise ObjectionError(f"{given[0]}: is no e-mail address, phone number like +353… or SHA-256 (mend it)")
        return Target("CONTACT", digest)
    kind, value = ("ACCOUNT", account) if account is not None else ("PERSON", person)
    if not value or len(value) > 200:
        raise ObjectionError(f"{given[0]}: is empty or longer than 200 characters (write the platform's id)")
    return Target(kind, value)


async def file_by_hand(
    settings: Settings, url: str, target: Target, scope: ObjectionScope, channel: ObjectionChannel
) -> Filed:
    """File an objection as an officer at the command line."""
    async with open_database(url, settings.secret_bytes()) as database:
        filed = await file_objection(Filer.officer(database, "command line"), target, scope, channel)
    observe.objected(channel)
    return filed
