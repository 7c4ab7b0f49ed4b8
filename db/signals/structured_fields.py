"""Dictionaries of Structured Fields (RFC 9651), as much of them as a vocabulary of tokens needs.

Every kind of value is recognised, since one that cannot be parsed makes the whole field fail; only tokens are given.
"""

import re

_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*"  # noqa: S105 - a kind of value, no password
_BARE_ITEM = re.compile(
    rf"(?P<token>{_TOKEN})"
    r"|-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])|@?-?[0-9]{1,15}(?![0-9.])"
    r'|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    r"|:[A-Za-z0-9+/=]*:|\?[01]"
    r'|%"(?:[\x20-\x21\x23-\x24\x26-\x7e]|%[0-9a-f]{2})*"'
)
_PARAMETER = re.compile(r"; *")
_SPACES = re.compile(r" *")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


class StructuredFieldError(ValueError):
    """A field that is no dictionary of RFC 9651, and the character at which that shows."""


def parse_dictionary(field: str) -> dict[str, str | None]:
    """Parse a signal's structured field (RFC 9651) into tokens by key, None for any other value; the last counts.

    Raises StructuredFieldError.
    """
    text = field.strip(" ")
    members: dict[str, str | None] = {}
    position = 0
    while position < len(text):
        key, position = _matched(_KEY, text, position)
        if text.startswith("=", position):
            value, position = _member_value(text, position + 1)
        else:
            value = None  # a key alone is the boolean true
        position = _after_parameters(text, position)
        members.pop(key, None)
        members[key] = value
        if position == len(text):
            break
        _, position = _matched(_COMMA, text, position)
        if position == len(text):
            raise StructuredFieldError(f"ends with a comma at character {position}")
    return members


def _matched(pattern: re.Pattern[str], text: str, position: int) -> tuple[str, int]:
    """Match a part of a signal's structured field. Raises StructuredFieldError."""
    found = pattern.match(text, position)
    if found is None:
        raise StructuredFieldError(f"cannot be parsed: the error is at character {position + 1}")
    return found[0], found.end()


def _member_value(text: str, position: int) -> tuple[str | None, int]:
    """Parse a member of a signal's structured field; an inner list is no token."""
    if not text.startswith("(", position):
        return _bare_item(text, position)
    position = _matched(_SPACES, text, position + 1)[1]
    while not text.startswith(")", position):
        _, position = _bare_item(text, position)
        position = _after_parameters(text, position)
        after = _matched(_SPACES, text, position)[1]
        if after == position and not text.startswith(")", position):
            raise StructuredFieldError(f"cannot be parsed: the error is at character {position + 1}")
        position = after
    return None, position + 1


def _bare_item(text: str, position: int) -> tuple[str | None, int]:
    """Parse a bare item of a signal's structured field."""
    found = _BARE_ITEM.match(text, position)
    if found is None:
        raise StructuredFieldError(f"cannot be parsed: the error is at character {position + 1}")
    return found["token"], found.end()


def _after_parameters(text: str, position: int) -> int:
    """Return where the parameters of a signal's structured field end."""
    while text.startswith(";", position):
        _, position = _matched(_PARAMETER, text, position)
        _, position = _matched(_KEY, text, position)
        if text.startswith("=", position):
            _, position = _bare_item(text, position + 1)
    return position
