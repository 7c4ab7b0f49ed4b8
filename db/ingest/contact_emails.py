"""The spellings of an e-mail address that platforms hash."""

import re
import unicodedata
from typing import Final

import idna

_LOCAL: Final = r"[^\s@<>()\[\],;:\\\"]{1,64}"
_DOMAIN_LABEL: Final = r"[^\s.@<>()\[\]{},;:\\\"/?#&=%]{1,63}"
_EMAIL: Final = re.compile(rf"{_LOCAL}@(?:{_DOMAIN_LABEL}\.)+(?![0-9]+$){_DOMAIN_LABEL}")
_MAX_LENGTH: Final = 254


def email_writings(text: str) -> tuple[str, ...]:
    """Return the ways in which ingest can hash an e-mail address, as written first; none for no address.

    An international domain has a writing in Unicode and one in ASCII by each of the two standards (IDNA 2008, RFC 5891;
    IDNA 2003, RFC 3490), which differ for ß, ς and joiners.
    """
    written = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).lower())
    wide = unicodedata.normalize("NFKC", written).lower().replace("。", ".")
    found = [each for each in (written, wide) if _EMAIL.fullmatch(each) and len(each) <= _MAX_LENGTH]
    writings = [f"{local}@{each}" for local, domain in map(_parts, found) for each in (domain, *_domains(domain))]
    return tuple(dict.fromkeys(writings))


def _parts(address: str) -> tuple[str, str]:
    """Cut an e-mail address that ingest hashes into its local part and its domain."""
    local, _, domain = address.rpartition("@")
    return local, domain


def _domains(domain: str) -> list[str]:
    """Return the other ways to write an international domain that ingest can hash."""
    if domain.isascii() and "xn--" not in domain:
        return []
    writings = []
    for write in (_ascii_2008, _ascii_2003, _unicode):
        try:
            writings.append(write(domain).lower())
        except UnicodeError:  # which idna's errors are, too
            continue
    return writings


def _ascii_2008(domain: str) -> str:
    """Write a contact's international domain in ASCII by IDNA 2008, as ingest can hash it."""
    return idna.encode(domain, uts46=True).decode()


def _ascii_2003(domain: str) -> str:
    """Write a contact's international domain in ASCII by IDNA 2003, as ingest can hash it."""
    return domain.encode("idna").decode()


def _unicode(domain: str) -> str:
    """Write a contact's international domain in Unicode, as ingest can hash it."""
    return idna.decode(domain, uts46=True)
