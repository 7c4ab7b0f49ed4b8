"""Normalise and hash contacts. The platform has to do it in the same way."""

import hashlib
import re
import unicodedata
from typing import Final

_EMAIL: Final = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_SEPARATORS: Final = re.compile(r"\(0\)|[\s().\-/\u2010-\u2015]")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def contact_hash(text: str) -> str | None:
    """Hash an e-mail address or a phone number as SPEC's `contacts` are hashed; None where the text is neither.

    SHA-256 of the normalised text in UTF-8, 64 lower-case hexadecimal digits. An e-mail address is normalised by
    Unicode's NFC, lower case, and no white space around it; nothing else: dots and tags before the @ stay. A phone
    number is E.164: a plus sign and 7 to 15 digits; 00 before it becomes the plus sign, and white space, brackets,
    dots, slashes, hyphens and a trunk prefix written as (0) go. A number without its country is none.
    """
    normalised = normalised_email(text) or normalised_phone(text)
    return hashlib.sha256(normalised.encode()).hexdigest() if normalised else None


def stated_hash(text: str) -> str | None:
    """Return the hash of a contact that is written as an e-mail address, a phone number or such a hash; else None."""
    stated = text.strip()
    return stated if _HASH.fullmatch(stated) else contact_hash(stated)


def normalised_email(text: str) -> str | None:
    """Write an e-mail address in the one way that is hashed; None where it is none."""
    normalised = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).lower())
    return normalised if _EMAIL.fullmatch(normalised) else None


def normalised_phone(text: str) -> str | None:
    """Write a phone number in the one way that is hashed; None where it is none, or lacks its country."""
    digits = _SEPARATORS.sub("", text)
    number = f"+{digits[2:]}" if digits.startswith("00") else digits
    return number if _PHONE.fullmatch(number) else None
