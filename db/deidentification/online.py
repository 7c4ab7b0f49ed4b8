"""Identifiers of the network: addresses of the web and of mail, handles, profiles, devices and hosts.

Choices
- A URL is replaced as a whole when it carries an identifier, and otherwise stays. Carrying one means: an @, a query or
  any parameter, seven digits in a row or nine with separators, an IP address as host, a token (letters and digits
  mixed: 16 long, or 8 long with both cases), a profile path (/in/…, /user/…, /~…), any path on a social network, a
  subdomain of a host where people are subdomains, or a host that is named like a person (first-last, without a path). A
  domain with a path is a URL without its scheme, too.
- A handle may follow a word directly (RT@name), unless it is shorter than three characters (tod@s), begins with a digit
  or is an ending of German (Kolleg@innen). The time in "@5pm" stays. Chains, and @name@instance.example, are one.
- Handles without @ are those of u/name, name.bsky.social, did:plc:…, name#1234, and what follows "insta: ".
- "name (at) example (dot) org" is caught in brackets, in the languages of the EU, and " dot " after an @; bare " at "
  is too ordinary a word.
- MAC addresses and IMEIs are [DEVICE]. Four numbers up to 255 are an IP address, unless a v or a word for a version
  stands before them, or they number a heading (2.1.3.1 at the head of a line); IPv6 needs five hexadecimal digits, so
  ::1 stays.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from db.deidentification.cues import Cue, cue_before, words_of
from db.deidentification.national_numbers import DEVICE
from db.deidentification.spans import Span

EMAIL, HANDLE, IP, URL = "[EMAIL]", "[HANDLE]", "[IP]", "[URL]"
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
    (?:about|fb|m|paypal|signal|t|telegram|wa)\.me | keybase\.io | orcid\.org | matrix\.to | steamcommunity\.com
    | (?:bsky|cash)\.app | discord\.gg | linktr\.ee | (?:ok|vk)\.(?:com|ru)
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
    | (?:^|//)(?!www\.)[^/.]+\.(?:{_SUBDOMAINS})(?![^/:])
    | (?:^|//)(?:www\.)?[a-z]{{3,12}}-[a-z]{{3,14}}\.[a-z]{{2,8}}/?$""",
    re.VERBOSE,
)
_RUN = re.compile("[0-9A-Za-z_]{8,}")


def find_urls(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find the URLs in a text that carry an identifier (RFC 3986; mailto: RFC 6068, tel: RFC 3966)."""
    for match in _URL.finditer(text):
        url = match[0].rstrip(_URL_END)
        plain = unquote(url) if "%" in url else url
        if _IDENTIFYING.search(plain.lower()) or any(_is_token(run) for run in _RUN.findall(plain)):
            yield Span(match.start(), match.start() + len(url), URL)


def _is_token(run: str) -> bool:
    """Return whether a part of a URL in a text is a random token, which identifies a person."""
    if run.isalpha() or run.isdigit() or not any(character.isdigit() for character in run):
        return False
    return len(run) >= 16 or not (run.islower() or run.isupper())


_AT_WORD = words_of("AT")
_DOT_WORD = words_of("DOT")
_AT = (
    r"(?:@[ \t]?|[ \t]@[ \t]|[ \t]@(?=[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|info|eu|example|[a-z]{2})(?![\w.]|-))"
    rf"|[ \t]{{0,2}}[(\[{{<][ \t]?{_AT_WORD}[ \t]?[)\]}}>][ \t]{{0,2}})"
)
DOT = rf"(?:\.|[ \t]?[(\[{{<][ \t]?{_DOT_WORD}[ \t]?[)\]}}>][ \t]?|[ \t]dot[ \t])"
_WORD_OR_EMAIL = re.compile(
    rf"[\w.%+&'-]++(?P<at>{_AT})?(?(at)(?:[\w-]++{DOT})+(?P<top>xn--[\w-]+|[^\W\d_]{{2,}}))", re.IGNORECASE
)


def find_emails(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find e-mail addresses in a text (RFC 5321, RFC 6531), also with spaces or bracketed words for the signs.

    Every word is matched and most are dropped: so none is read twice, however long, and none hides the next.
    """
    for match in _WORD_OR_EMAIL.finditer(text):
        if match["at"] is None:
            continue
        if match["at"] == " @" and not re.search("[._0-9-]", match[0].partition(" ")[0]):
            continue
        is_place = match["at"].strip() == "@" != match["at"] and not match["top"].islower()
        if text[match.start() - 1 : match.start()] == "@":
            yield Span(match.start() - 1, match.end(), HANDLE)
        elif not is_place:
            yield Span(match.end() - len(match[0].lstrip(".%+&'-")), match.end(), EMAIL)


_HANDLE = re.compile(r"(?:@\w++(?>(?:[.-]\w++)*)(?::[a-z0-9-]++(?>(?:\.[a-z0-9-]++)+))?)+|@\[[0-9]+:[^\[\]\n]{1,100}\]")
_TIME = re.compile("@[0-9]{1,2}(?:[.h][0-9]{0,2})?(?:am|pm|h|uhr|st|nd|rd|th)?|@[0-9]{1,3}", re.IGNORECASE)


_ENDING = re.compile("@(?:in|innen|inn?en[a-zäöü]{0,12}|ern|eur|rix|des|dos|das|nos|nas|res|ras)")


def find_handles(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find handles in a text: @name, @name:server.example, chains of them, and mentions written @[number:…]."""
    for match in _HANDLE.finditer(text):
        before = text[match.start() - 1 : match.start()]
        is_part_of_word = (before.isalnum() or before == "_") and (
            len(match[0]) < 4 or match[0][1].isdigit() or _ENDING.fullmatch(match[0]) is not None
        )
        if not is_part_of_word and not _TIME.fullmatch(match[0]):
            yield Span(match.start(), match.end(), HANDLE)


_PAIR, _QUAD = "[0-9a-f]{2}", "[0-9a-f]{1,4}"
_MAC = re.compile(
    rf"(?<![0-9a-z])(?<!{_PAIR}[:-])(?:{_PAIR}(?P<sign>[:-])(?:{_PAIR}(?P=sign)){{4}}{_PAIR}(?!(?P=sign){_PAIR})"
    r"|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})(?![0-9a-z])",
    re.IGNORECASE,
)
_BYTE = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9Vv])(?<![0-9]\.)(?:{_BYTE}\.){{3}}{_BYTE}(?![0-9]|\.[0-9]{{1,9}}(?![0-9A-Za-z:]))")
_DOTTED = rf"(?:{_BYTE}\.){{3}}{_BYTE}"
_IPV6 = re.compile(
    rf"(?<![0-9a-z])(?P<address>(?:(?:{_QUAD}:){{6}}|(?:(?:{_QUAD}:){{1,5}}|:):(?:{_QUAD}:){{0,5}}){_DOTTED}"
    rf"|(?:{_QUAD}:){{7}}{_QUAD}|(?:{_QUAD}:){{1,6}}(?::{_QUAD}){{1,6}}|(?:{_QUAD}:){{1,7}}:|:(?::{_QUAD}){{1,7}})"
    r"(?:%[0-9a-z]+)?(?![0-9a-z])",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?:[1-9]|[1-4][0-9])(?:\.(?:[1-9]|[1-4][0-9])){3}(?:\.(?![\w])|[ \t]+[^\W\d_]|[ \t]*\Z)")


def _counts_parts(text: str, start: int) -> bool:
    """Return whether four numbers in a text are a version or a heading's number, rather than an IP address."""
    if cue_before(Cue.VERSION, text, start, 16) is not None:
        return True
    return text[start - 1 : start] in ("", "\n") and _HEADING.match(text, start) is not None


def find_mac_addresses(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find MAC addresses in a text, in pairs or in Cisco's groups of four."""
    return (Span(match.start(), match.end(), DEVICE) for match in _MAC.finditer(text))


def find_ip_addresses(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find IPv4 and IPv6 addresses in a text (RFC 4291)."""
    for match in _IPV4.finditer(text):
        if not _counts_parts(text, match.start()):
            yield Span(match.start(), match.end(), IP)
    for match in _IPV6.finditer(text):
        if sum(map(str.isalnum, match["address"])) >= 5 and any(map(str.isdigit, match["address"])):
            yield Span(match.start(), match.end(), IP)


_NETWORK = (
    "insta(?:gram)?|ig|snap(?:chat)?|discord|tiktok|twitter|telegram|skype|threads|bluesky|steam|psn|twitch|reddit|kik"
)
_STARTS = r"(?<![\w/.:-])"
_BARE_HANDLES = (
    ("u/", re.compile(rf"{_STARTS}/?u/[A-Za-z0-9_-]{{3,20}}(?![\w/])")),
    (".bsky.", re.compile(rf"{_STARTS}[A-Za-z0-9-]{{1,40}}(?:\.[A-Za-z0-9-]{{1,40}}){{0,3}}\.bsky\.social")),
    ("did:", re.compile(rf"{_STARTS}did:(?:plc:[a-z2-7]{{24}}|web:[\w.%-]+)")),
    ("#", re.compile(rf"{_STARTS}(?P<tag>[\w.]{{2,32}})#[0-9]{{4}}(?![\w])")),
)
"""The forms of handles without @, each with a sign. If the sign is not in a text, the text contains no handle of this
form."""
_NAMED_HANDLE = re.compile(rf"{_STARTS}(?i:{_NETWORK})\ ?[:=]\ ?(?P<name>[A-Za-z][\w.]{{2,29}})")
_NO_NAME = re.compile("(?i:bug|issue|pr|no|nr|ticket|case|task|room|page|item|number|#)s?")


def find_bare_handles(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find handles without @ in a text: of Reddit, Bluesky and Discord, and names behind a network's name."""
    for sign, pattern in _BARE_HANDLES:
        if sign not in text:
            continue
        for match in pattern.finditer(text):
            tag = match.groupdict().get("tag")
            if not (tag and (_NO_NAME.fullmatch(tag) or tag.isdigit())):
                yield Span(match.start(), match.end(), HANDLE)
    for match in _NAMED_HANDLE.finditer(text):
        if re.search("[0-9_.]", match["name"].rstrip(".")):
            yield Span(match.start("name"), match.end("name") - match["name"].endswith("."), HANDLE)
