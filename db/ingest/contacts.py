"""Read, normalise and hash addresses of people. The platform has to normalise them in the same way.

One reading serves the form, the officers' tools and files: whatever a person types is an e-mail address, a phone
number, a user name (or the address of a profile), or is refused. Only hashes leave this module.
"""

import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from db.ingest.contact_emails import email_writings
from db.ingest.contact_phones import PhoneReading, read_phone

_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SCHEME: Final = re.compile(r"(mailto|tel|sms|callto|whatsapp|acct)\s*:\s*(?://)?", re.I | re.ASCII)
_PLAIN_NAME: Final = re.compile(r"[a-z0-9_\-](?:[a-z0-9_.\-]{0,98}[a-z0-9_\-])?", re.ASCII)
MAX_LENGTH: Final = 500
_LIKE_PHONE: Final = re.compile(r"[\d\s()\[\].\-/+\u2010-\u2015\u2212\u00b7\u2022]+")
_ADDRESS: Final = re.compile(r"(?:https?://)?(?:[\w\-]+\.)+[a-z]{2,24}(?::\d+)?/\S*", re.I)
_HOST_ONLY: Final = re.compile(r"https?://\S*", re.I)
_SHORT: Final = re.compile(r"/?(?:u|user)/([^\s/]+)", re.I)
_NAME: Final = re.compile(r"[^\s@/\\:;,?&=<>()\[\]{}\"'|^`]{1,100}")
_FEDERATED: Final = re.compile(rf"({_NAME.pattern})@((?:[\w\-]+\.)+[^\W\d_]{{2,24}})")
_BEFORE_NAME: Final = frozenset({"u", "user", "users", "in", "profile", "people", "stories", "_u", "c", "ap"})
_NO_PROFILE: Final = frozenset(
    {"p", "reel", "reels", "post", "posts", "status", "statuses", "photo", "photo.php", "photos", "video", "videos"}
    | {"watch", "groups", "pages", "explore", "events", "hashtag", "tags", "tv", "share", "story.php", "permalink.php"}
)
_NUMBERED: Final = ("profile.php", "people")
_QUOTES: Final = "\"'`\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a"
_BEFORE: Final = f"<([{{*{_QUOTES}"
_BEHIND: Final = f">)]}}*.,;:!?\u2026\u3002{_QUOTES}"
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]")
_BEGINS_NUMBER: Final = re.compile(r"[(\[]\s*[+0-9]")
_IN_ANGLES: Final = re.compile(r"[^<>]*<([^<>]+)>[\s.,;]*")
_WIDE_SIGNS: Final = str.maketrans({"\uff20": "@", "\ufe6b": "@", "\uff1a": ":"})
_WORDS: Final = (
    *("instagram", "insta", "ig", "facebook", "fb", "messenger", "threads", "whatsapp", "signal", "telegram", "tiktok"),
    *(
        "twitter",
        "x",
        "mastodon",
        "bluesky",
        "e-?mail(?:[ -]?(?:address|adresse))?",
        "mail",
        "adresse",
        "address",
        "mél",
    ),
    *("courriel", "correo(?: electrónico)?", "posta", "indirizzo", "tel", "fon", "phone", "telephone", "telefon"),
    *("téléphone", "teléfono", "telefono", "handy", "mobile?", "móvil", "portable", "cell", "cellulare"),
    *("user(?: ?name)?", "benutzername", "nutzername", "nom d['\u2019]utilisateur", "nombre de usuario", "usuario"),
    *("nome utente", "utente", "account", "konto", "compte", "cuenta", "handle", "profile?", "perfil", "profilo"),
    "nick(?:name)?",
)
"""Words that people write before a contact, such as "phone" or "instagram", in the languages of the pages."""
_LABEL: Final = re.compile(rf"(?:(?:{'|'.join(_WORDS)})(?:\.?\s*:\s*|\.?\s+|\.(?=[+(0-9]))){{1,2}}(?=\S)", re.I)


class ContactKind(StrEnum):
    """The kinds of addresses of people."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    USER_NAME = "USER_NAME"
    HASH = "HASH"


class ContactProblem(StrEnum):
    """The reasons why a text is no address of a person."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    COUNTRY = "COUNTRY"
    NAME = "NAME"


class ContactError(ValueError):
    """A text that is no address: the problem, and the countries in which it is a phone number."""

    def __init__(self, problem: ContactProblem, countries: tuple[str, ...] = ()) -> None:
        super().__init__(_REASONS[problem].format(countries=", ".join(countries)))
        self.problem = problem
        self.countries = countries


_REASONS = {
    ContactProblem.EMAIL: "must be a complete e-mail address (write it like name@example.org)",
    ContactProblem.PHONE: "must be a phone number with its country code (write it like +353 1 234 5678, or put an @ "
    "before a user name of digits)",
    ContactProblem.COUNTRY: "could be a phone number in {countries} (write it with its country code, or state the "
    "country)",
    ContactProblem.NAME: "must be an e-mail address, a phone number, a user name, or the SHA-256 of one of these "
    "(correct it)",
}


class Contact(NamedTuple):
    """An address of a person: its kind, its hashes, and the calling code of a phone number.

    There is more than one hash where platforms write the same address in more than one way, such as a domain in
    Unicode and in ASCII. The first is the writing that `contact_hash` gives.
    """

    kind: ContactKind
    hashes: tuple[str, ...]
    calling_code: int | None = None


def read_contact(text: str, country: str | None = None, language: str | None = None) -> Contact:
    """Read a contact as people type it, for ingest and objections. Raises ContactError if the text is not a contact.

    A phone number without its country code is read for `country`. Without one it has to be a number in one country
    only, and this one of the language; otherwise ContactError names the countries.
    """
    if len(text) > MAX_LENGTH:
        raise ContactError(ContactProblem.NAME)
    said = _clean(_in_angles(text))
    if _HASH.fullmatch(said.lower()):
        return Contact(ContactKind.HASH, (said.lower(),))
    if scheme := _SCHEME.match(said):
        return _read_scheme(scheme[1].lower(), unquote(said[scheme.end() :]), country, language)
    return _read_address(_clean(_without_label(said)), country, language)


def _read_scheme(scheme: str, rest: str, country: str | None, language: str | None) -> Contact:
    """Read a contact that is typed as a link: mailto:, acct: or tel:."""
    said = _clean(rest.partition("?")[0])
    if scheme == "mailto":
        return _email(said)
    if scheme == "acct":
        return _user_name(f"@{said.removeprefix('@')}")
    return _phone(said, country, language)


def _read_address(said: str, country: str | None, language: str | None) -> Contact:
    """Read a contact by its look: a phone number, an e-mail address, a profile or a user name."""
    if (digits := _profile_phone(said)) is not None:
        return _phone(f"+{digits}", country, language)
    if (name := _profile_name(said)) is not None:
        return _user_name(f"@{name}")
    if _looks_like_phone(said):
        return _phone(said, country, language)
    return _email(said) if "@" in said and not said.startswith("@") else _user_name(said)


def _email(said: str) -> Contact:
    """Hash a typed e-mail address in each way that ingest hashes it. Raises ContactError."""
    writings = email_writings(said)
    if not writings:
        raise ContactError(ContactProblem.EMAIL)
    return Contact(ContactKind.EMAIL, _hashes(writings))


def _phone(said: str, country: str | None, language: str | None) -> Contact:
    """Hash a typed phone number in each way that ingest hashes it. Raises ContactError."""
    found = read_phone(said, country, language) if _looks_like_phone(said) else ()
    if isinstance(found, PhoneReading):
        return Contact(ContactKind.PHONE, _hashes(found.writings), found.calling_code)
    raise ContactError(ContactProblem.COUNTRY if found else ContactProblem.PHONE, found)


def _user_name(said: str) -> Contact:
    """Hash a typed user name in each way that ingest hashes it. Raises ContactError."""
    writings = _user_name_writings(said)
    if not writings:
        raise ContactError(ContactProblem.NAME)
    return Contact(ContactKind.USER_NAME, _hashes(writings))


def _hashes(writings: tuple[str, ...]) -> tuple[str, ...]:
    """Hash each way to write a contact, as ingest does."""
    return tuple(hashlib.sha256(writing.encode()).hexdigest() for writing in writings)


def contact_hash(text: str) -> str | None:
    """Hash a contact as the `contacts` of ingest are hashed; None where the text is none.

    SHA-256 of the normalised text in UTF-8, 64 lower-case hexadecimal digits. An e-mail address is normalised by
    Unicode's NFC and lower case; dots and tags before the @ stay. A phone number is E.164: a plus sign and 7 to 15
    digits. A user name is normalised by NFKC and lower case, without an @ before it.
    """
    try:
        return read_contact(text).hashes[0]
    except ContactError:
        return None


def contact_of_id(platform_id: str) -> str | None:
    """Hash an account's platform id as the user name that ingest hashes; None where it cannot be one."""
    if _PLAIN_NAME.fullmatch(platform_id):
        return hashlib.sha256(platform_id.encode()).hexdigest()
    said = _clean(platform_id)
    name = _profile_name(said)
    writings = email_writings(said) or _user_name_writings(said if name is None else name)
    return _hashes(writings)[0] if writings else None


def _looks_like_phone(text: str) -> bool:
    """Return whether a typed contact has digits and the signs of a phone number, and nothing else."""
    written = unicodedata.normalize("NFKC", text)
    return bool(_LIKE_PHONE.fullmatch(written)) and any(character.isdecimal() for character in written)


def _user_name_writings(text: str) -> tuple[str, ...]:
    """Return the ways in which ingest can hash a user name; none where it is none.

    A name with its server, `@jane@server.example`, is known with it on some platforms and without it on others.
    """
    name = _fold(_clean(text)).removeprefix("@").strip()
    if federated := _FEDERATED.fullmatch(name):
        return (name, federated[1])
    return (name,) if _is_name(name) else ()


def _profile_name(text: str) -> str | None:
    """Return the user name in a profile's address, as ingest hashes it; empty for none, None for no address."""
    if short := _SHORT.fullmatch(text):
        return short[1]
    if not (_ADDRESS.fullmatch(text) or _HOST_ONLY.fullmatch(text)):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:
        return ""
    segments = [each for each in unquote(parts.path).split("/") if each]
    if segments and segments[0].lower() in _NUMBERED:
        numbers = [*parse_qs(parts.query).get("id", []), *(each for each in segments if each.isdigit())]
        if numbers:
            return numbers[0]
    while segments and segments[0].lower() in _BEFORE_NAME:
        segments = segments[1:]
    name = segments[0].removeprefix("@") if segments else ""
    return "" if name.lower() in _NO_PROFILE or name.endswith(".php") else name


def _profile_phone(text: str) -> str | None:
    """Return the digits of a contact's phone number in the address of a chat, such as wa.me/491705550119."""
    found = re.fullmatch(
        r"(?:https?://)?(?:wa\.me/|api\.whatsapp\.com/send/?\?phone=)\+?(\d{7,15})(?:[/?&#]\S*)?", text, re.I
    )
    return found[1] if found else None


def _is_name(name: str) -> bool:
    """Return whether a typed contact can be a user name."""
    return bool(_NAME.fullmatch(name)) and name.isprintable() and any(c.isalnum() for c in name)


def _clean(text: str) -> str:
    """Remove invisible characters and surrounding signs from a typed contact."""
    said = _leave_visible(text).strip()
    while True:
        kept = said.rstrip(_BEHIND).rstrip()
        if not _BEGINS_NUMBER.match(kept):
            kept = kept.lstrip(_BEFORE).lstrip()
        if kept == said:
            return said
        said = kept


def _in_angles(text: str) -> str:
    """Return the contact in angle brackets behind a name, as mail programs write it; else the whole text."""
    found = _IN_ANGLES.fullmatch(_leave_visible(text))
    return found[1] if found else text


def _without_label(text: str) -> str:
    """Leave out words before a typed contact, such as `Tel.:`."""
    found = _LABEL.match(text)
    return text[found.end() :] if found else text


def _fold(text: str) -> str:
    """Write a contact's letters and digits in their one ordinary form (NFKC), in lower case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def _leave_visible(text: str) -> str:
    """Leave out the invisible characters of a typed contact."""
    seen = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) != "Cf")
    return _INVISIBLE.sub("", seen).translate(_WIDE_SIGNS)
