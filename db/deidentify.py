"""De-identify text: every direct identifier in it becomes a typed placeholder, such as [EMAIL].

Detectors run in a fixed order, each on what the earlier ones left: URLs, e-mail addresses, handles, device and network
addresses, IBANs, national numbers with letters, then the numbers of digits (`identifiers` says which, and how doubt is
settled). A cheap gate stands before each group of detectors, and one before all, because most texts hold no identifier.

They read a folded copy: invisible characters and combining marks left out, digits, letters, spaces and signs that look
alike (NFKC) in ASCII. So a zero-width joiner or a full-width @ hides nothing, while the text itself keeps every
character that is not replaced. What is found is over-written in the copy by brackets, as its placeholder will be.

Choices
- A URL is replaced as a whole when it carries an identifier, and otherwise stays. Carrying one means: an @, a query or
  any parameter, seven digits in a row or nine with separators, an IP address as host, a token (letters and digits
  mixed: 16 long, or 8 long with both cases), a profile path (/in/…, /user/…, /~…), any path on a social network, or a
  subdomain of a host where people are subdomains. A domain with a path is a URL without its scheme, too.
- A handle may follow a word directly (RT@name), unless it is shorter than three characters (tod@s) or begins with a
  digit. The time in "@5pm" stays. Chains, and @name@instance.example, are one handle.
- "name (at) example (dot) org" is caught in brackets, and " dot " after an @; bare " at " is too ordinary a word.
- MAC addresses and IMEIs are [DEVICE]. Four numbers up to 255 are an IP address even if they count a version's parts,
  unless a v stands before them; IPv6 needs five hexadecimal digits, so ::1 stays.
- Names of people, postal addresses and nicknames without @ are not looked for.
- A text that is built so that identifiers keep appearing as others go is withheld: all of it becomes [WITHHELD].
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

from db.identifiers import DEVICE, Span, find_ibans, find_lettered, find_numbers

PIPELINE_VERSION: int = 1
EMAIL, HANDLE, IP, URL, WITHHELD = "[EMAIL]", "[HANDLE]", "[IP]", "[URL]", "[WITHHELD]"
_ROUNDS = 8

Detector = Callable[[str], Iterator[Span]]


def _folding() -> dict[int, str | None]:
    """Map each character that imitates an ASCII one to that one, and each invisible or combining one to None."""
    folding: dict[int, str | None] = {}
    for code in (*range(0x80, 0x20000), *range(0xE0000, 0xE01F0)):
        character = chr(code)
        category = unicodedata.category(character)
        plain = unicodedata.normalize("NFKC", character)
        if category in {"Cf", "Mn", "Mc", "Me"} or character in "\u115f\u1160\u3164\uffa0":
            folding[code] = None
        elif category == "Nd":
            folding[code] = str(unicodedata.decimal(character))
        elif category == "Zs":
            folding[code] = " "
        elif category == "Pd" or character == "\u2212":
            folding[code] = "-"
        elif len(plain) == 1 and plain.isascii():
            folding[code] = plain
    return folding


def _characters(codes: Iterable[int]) -> str:
    return "".join(re.escape(chr(code)) for code in codes if code < 0x10000)


_FOLDING = _folding()
_FOLDABLE = re.compile(f"[{_characters(_FOLDING)}\U00010000-\U0001efff\U0001fb00-\U000fffff]")
_LOOKALIKES = _characters(code for code, plain in _FOLDING.items() if plain and plain in "0123456789@/=([{")
_MAY_IDENTIFY = re.compile(rf"[\d@/=(\[{{:{_LOOKALIKES}](?:(?<!:)|(?<=\w:)\S)")

_URL = re.compile(
    r"""(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,15})?://[^\s<>"]+
    | (?<!\w)[Ww]{3}[0-9]?\.[^\s<>"]+
    | (?<![A-Za-z])(?i:mailto|sips?|skype|xmpp):[^\s<>"]+
    | (?<![A-Za-z])(?i:tel|sms|fax|callto|whatsapp):\+?(?:[()./-]{0,2}[0-9]){8,}(?:;[^\s<>"]*)?
    | (?<![\w@-])(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?::[0-9]{1,5})?/[^\s<>"]+""",
    re.VERBOSE,
)
_URL_END = ".,;:!?'*_~)]}\u2026\u2019\u201d\u00bb"
_NETWORKS = r"""
    (?:about|fb|m|paypal|t|telegram|wa)\.me | (?:bsky|cash)\.app | discord\.gg | linktr\.ee | (?:ok|vk)\.(?:com|ru)
    | (?:behance|slideshare|threads)\.net | last\.fm | nk\.pl | pinterest\.[a-z.]{2,6} | twitch\.tv | vero\.co
    | (?:bandcamp|deviantart|facebook|fb|flickr|github|gitlab|instagram|ko-fi|linkedin|medium|messenger|myspace
        |onlyfans|patreon|quora|reddit|snapchat|soundcloud|strava|threads|tiktok|twitter|venmo|viadeo|vimeo|x|xing
        |youtube)\.com | youtu\.be"""
_SUBDOMAINS = r"""
    (?:blogspot|carrd|deviantart|jimdo|livejournal|medium|substack|tumblr|weebly|wixsite|wordpress)\.[a-z]{2,4}
    | (?:github|gitlab)\.io"""
_IDENTIFYING = re.compile(
    rf"""[@?=&] | ^(?!https?:|ftps?:|www)[a-z]+:(?!//)
    | [0-9]{{7}} | (?:[0-9][._-]?){{9}}
    | //\[[0-9a-f:] | (?:^|//)[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}
    | /(?:~|accounts?/|authors?/|channel/|id/|in/|members?/|people/|person/|profil(?:es?)?/|users?/|u/)[^/]
    | (?:^|[/.])(?:{_NETWORKS})(?::[0-9]+)?/[^/]
    | (?:^|//)(?!www\.)[^/.]+\.(?:{_SUBDOMAINS})(?![^/:])""",
    re.VERBOSE,
)
_RUN = re.compile("[0-9A-Za-z_]{8,}")


def find_urls(text: str) -> Iterator[Span]:
    """Find the URLs that carry an identifier (RFC 3986; mailto: RFC 6068, tel: RFC 3966)."""
    for match in _URL.finditer(text):
        url = match[0].rstrip(_URL_END)
        plain = unquote(url) if "%" in url else url
        if _IDENTIFYING.search(plain.lower()) or any(_is_token(run) for run in _RUN.findall(plain)):
            yield Span(match.start(), match.start() + len(url), URL)


def _is_token(run: str) -> bool:
    if run.isalpha() or run.isdigit() or not any(character.isdigit() for character in run):
        return False
    return len(run) >= 16 or not (run.islower() or run.isupper())


_AT = r"(?:@[ \t]?|[ \t]@[ \t]|[ \t]{0,2}[(\[{][ \t]?(?:@|at|ät|arroba|arobase)[ \t]?[)\]}][ \t]{0,2})"
_DOT = r"(?:\.|[ \t]?[(\[{][ \t]?(?:\.|dot|punkt|point|punto|ponto)[ \t]?[)\]}][ \t]?|[ \t]dot[ \t])"
_WORD_OR_EMAIL = re.compile(
    rf"[\w.%+&'-]++(?P<at>{_AT})?(?(at)(?:[\w-]++{_DOT})+(?P<top>xn--[\w-]+|[^\W\d_]{{2,}}))", re.IGNORECASE
)


def find_emails(text: str) -> Iterator[Span]:
    """Find e-mail addresses (RFC 5321, RFC 6531), also with spaces or bracketed words for the signs.

    Every word is matched and most are dropped: so none is read twice, however long, and none hides the next.
    """
    for match in _WORD_OR_EMAIL.finditer(text):
        if match["at"] is None:
            continue
        is_place = match["at"].strip() == "@" != match["at"] and not match["top"].islower()
        if text[match.start() - 1 : match.start()] == "@":
            yield Span(match.start() - 1, match.end(), HANDLE)
        elif not is_place:
            yield Span(match.end() - len(match[0].lstrip(".%+&'-")), match.end(), EMAIL)


_HANDLE = re.compile(r"(?:@\w++(?:[.-]\w++)*+(?::[a-z0-9-]++(?:\.[a-z0-9-]++)++)?)+|@\[[0-9]+:[^\[\]\n]{1,100}\]")
_TIME = re.compile("@[0-9]{1,2}(?:[.h][0-9]{0,2})?(?:am|pm|h|uhr|st|nd|rd|th)?|@[0-9]{1,3}", re.IGNORECASE)


def find_handles(text: str) -> Iterator[Span]:
    """Find @name, @name:server.example, chains of them, and mentions written @[number:…]."""
    for match in _HANDLE.finditer(text):
        before = text[match.start() - 1 : match.start()]
        is_part_of_word = (before.isalnum() or before == "_") and (len(match[0]) < 4 or match[0][1].isdigit())
        if not is_part_of_word and not _TIME.fullmatch(match[0]):
            yield Span(match.start(), match.end(), HANDLE)


_PAIR, _QUAD = "[0-9a-f]{2}", "[0-9a-f]{1,4}"
_MAC = re.compile(
    rf"(?<![0-9a-z])(?:{_PAIR}(?P<sign>[:-])(?:{_PAIR}(?P=sign)){{4}}{_PAIR}|(?:[0-9a-f]{{4}}\.){{2}}[0-9a-f]{{4}})(?![0-9a-z])",
    re.IGNORECASE,
)
_BYTE = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9Vv])(?<![0-9]\.)(?:{_BYTE}\.){{3}}{_BYTE}(?![0-9]|\.[0-9]{{1,9}}(?![0-9A-Za-z:]))")
_IPV6 = re.compile(
    rf"(?<![0-9a-z])(?P<address>(?:{_QUAD}:){{7}}{_QUAD}|(?:{_QUAD}:){{1,6}}(?::{_QUAD}){{1,6}}|(?:{_QUAD}:){{1,7}}:|:(?::{_QUAD}){{1,7}})"
    r"(?:%[0-9a-z]+)?(?![0-9a-z])",
    re.IGNORECASE,
)


def find_devices(text: str) -> Iterator[Span]:
    """Find MAC addresses, in pairs or in Cisco's groups of four."""
    return (Span(match.start(), match.end(), DEVICE) for match in _MAC.finditer(text))


def find_addresses(text: str) -> Iterator[Span]:
    """Find IPv4 and IPv6 addresses (RFC 4291)."""
    for match in _IPV4.finditer(text):
        yield Span(match.start(), match.end(), IP)
    for match in _IPV6.finditer(text):
        if sum(map(str.isalnum, match["address"])) >= 5 and any(map(str.isdigit, match["address"])):
            yield Span(match.start(), match.end(), IP)


class Stage:
    """Hold detectors behind a gate: one of some characters in some surroundings, without which they find nothing."""

    def __init__(self, characters: str, surroundings: str, *detectors: Detector) -> None:
        self.characters, self.surroundings, self.detectors = characters, surroundings, detectors
        self.gate = re.compile(f"[{re.escape(characters)}](?:{surroundings})")


_SEVEN_DIGITS = "(?<=[0-9])(?:[^0-9]{0,4}[0-9]){6}"
_CODICE_FISCALE = "(?:(?<=[A-Za-z]{3}[0-9])|(?<=[A-Za-z]{3}[ -][0-9]))[0-9L-Vl-v][A-Ta-t][0-9L-Vl-v]{2}"
STAGES = (
    Stage(":/=", r"(?<=[A-Za-z]:)\S|(?<=\w/)\S|(?<=//)\S|(?<==)", find_urls),
    Stage("@([{", rf"(?<=@)[ \t]?[\w-]++(?i:{_DOT})|(?<=[(\[{{])[ \t]?[aAäÄ@]", find_emails),
    Stage("@", "(?<=@)", find_handles),
    Stage(
        ".:-",
        "(?<=:)[0-9A-Fa-f]{0,4}:|(?<=-)[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-"
        r"|(?<=\.)(?:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]{4}\.)",
        find_devices,
        find_addresses,
    ),
    Stage("0123456789", f"{_SEVEN_DIGITS}|{_CODICE_FISCALE}", find_ibans, find_lettered, find_numbers),
)
_ANY_GATE = Stage("".join(stage.characters for stage in STAGES), "|".join(stage.surroundings for stage in STAGES)).gate


def deidentify(text: str) -> str:
    """Replace every identifier in the text by its placeholder; return the very same object when there is none.

    Pure, never raises, idempotent, and linear in the length of the text. A replacement may lay bare what stood against
    it, so this repeats until nothing is found: twice, as a rule. A text made to need many rounds is withheld whole.
    """
    for _ in range(_ROUNDS):
        if not text.isascii() and not _MAY_IDENTIFY.search(text):
            return text
        folded, places = _fold(text)
        if not _ANY_GATE.search(folded) or not (spans := _find(folded)):
            return text
        end, pieces = 0, list[str]()
        for span in spans:
            start, stop = (places[span.start], places[span.end]) if places else (span.start, span.end)
            pieces += text[end:start], span.placeholder
            end = stop
        text = "".join(pieces) + text[end:]
    return WITHHELD


def _find(folded: str) -> list[Span]:
    """Run the detectors, each on what the earlier ones left, and put in order what they found."""
    found: list[Span] = []
    for stage in STAGES:
        if stage.gate.search(folded):
            for detector in stage.detectors:
                if spans := _disjoint(detector(folded)):
                    folded = _over_written(folded, spans)
                    found += spans
    return sorted(found)


def _fold(text: str) -> tuple[str, list[int]]:
    """Return the folded text and, if it is shorter, the place in the text of each of its characters, and of its end."""
    if text.isascii() or not _FOLDABLE.search(text):
        return text, []
    folded = text.translate(_FOLDING)
    if len(folded) == len(text):
        return folded, []
    places = [place for place, character in enumerate(text) if _FOLDING.get(ord(character), "") is not None]
    return folded, [*places, len(text)]


def _disjoint(spans: Iterable[Span]) -> list[Span]:
    disjoint: list[Span] = []
    for span in sorted(spans):
        if not disjoint or span.start >= disjoint[-1].end:
            disjoint.append(span)
    return disjoint


def _over_written(text: str, spans: list[Span]) -> str:
    """Put brackets, as long as what was found, in its place."""
    last, pieces = 0, list[str]()
    for start, end, _ in spans:
        pieces += text[last:start], "[", "\0" * (end - start - 2), "]"
        last = end
    return "".join(pieces) + text[last:]
