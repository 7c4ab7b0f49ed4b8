"""Small worlds made by hand: in each, one item that is permitted but for one thing, and that about to turn.

Every case has ids of its own. All of them fit one batch, whose instants lie a tick before, at and after the turns.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.promises.oracle import DEFAULT_POLICY
from tests.support.facts import DAY, HASH, NOW, SCANS, fact
from tests.support.worlds import MARK, TICK, Batch, Facts, Hold

POLICY = DEFAULT_POLICY | {
    "version": "with-consent",
    "effective_from": (NOW - TICK).isoformat(),
    "effective_until": (NOW + DAY + TICK).isoformat(),
    "grounds": DEFAULT_POLICY["grounds"] | {"OPTED_IN": {"kinds": ["VIDEO"], "products": ["FACEBOOK"]}},
}
INSTANTS = [NOW, NOW - TICK, NOW + TICK, NOW - 2 * TICK, NOW + DAY, NOW + DAY - TICK, NOW + DAY + TICK]
LONG_AGO, LATELY = NOW - 60 * DAY, NOW - 7 * DAY  # when the facts are loaded
CREATED_AT = "2026-01-01T00:00:00Z"
OTHER_HASH = "b" * 64


@dataclass(frozen=True)
class Case:
    """The facts that are loaded after an item, its account and its notice: long ago, and lately."""

    name: str
    facts: list[Facts]
    lately: list[Facts] = field(default_factory=list)


def at(days: int = 0, ticks: int = 0) -> str:
    return (NOW + days * DAY + ticks * TICK).isoformat()


account, content, notice, objection, consent = (
    partial(fact, record, day=3) for record in ("account", "content", "notice", "objection", "consent")
)
other = partial(account, id="other")
named: Facts = {"references": [{"account": "other", "relation": "TAG"}]}
both_named: Facts = {"references": [*named["references"], {"account": "nobody", "relation": "QUOTE"}]}
depicted: Facts = {"references": [{"contact": HASH, "relation": "DEPICTED"}]}
comment: Facts = {"kind": "COMMENT", "parent": "post"}
prompt: Facts = {"kind": "AI_INTERACTION", "audience": None, "audience_since": None}
photo: Facts = {"kind": "PHOTO"}
caption: Facts = {"id": "caption", "kind": "CAPTION", "parent": "item"}
post = partial(content, id="post")
reserved: Facts = {"rights": [{"source": "C2PA", "train_ai": "n"}]}
medium = {"type": "image/png", "url": "https://media.example.org/1.png"}
window = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}

UNSEEN = SCANS | {"minors": None}
FLAGGED = dict.fromkeys(SCANS, "FLAGGED")


def chain(length: int) -> list[Facts]:
    """Make posts p0, p1 and so on, each under the one before."""
    return [content(id=f"p{number}", parent=f"p{number - 1}" if number else None) for number in range(length)]


OF_ACCOUNTS = [
    Case("nothing else", []),
    Case("an account of a page", [account(kind="PAGE")]),
    Case("a country that is not covered", [account(country="US")]),
    Case("an unknown country, while another is held", [account(country=None)]),
    Case("a country that is held", [account(country="FR")]),
    Case("a country whose hold ends now", [account(country="IT")]),
    Case("a product whose hold ends now", [account(product="INSTAGRAM")]),
    Case("an account whose hold ends now", [account(id="held"), content(account="held"), notice(account="held")]),
    Case("an account that is held", [account(id="barred"), content(account="barred"), notice(account="barred")]),
    Case("a suspended account", [account(status="SUSPENDED")]),
    Case("a status of seven days", [account(status_since=at(-7))]),
    Case("a status of unknown age", [account(status_since=None)]),
    Case("an adult from now on", [account(born_on="2008-06-01")]),
    Case("a minor", [account(born_on="2012-01-01")]),
    Case("an unknown birth date", [account(born_on=None)]),
    Case("a birth date known to the month", [account(born_on="2008-06")]),
    Case("a birth date known to the year", [account(born_on="2008")]),
    Case("made on the 18th birthday", [account(born_on="2006-06-01"), content(created_at="2024-06-01T12:00:00Z")]),
    Case("made before it", [account(born_on="2006-06-01"), content(created_at="2024-06-01T11:59:59.999999Z")]),
    Case("made on a leap day's birthday", [account(born_on="2004-02-29"), content(created_at="2022-03-01T12:00:00Z")]),
    Case("made before that", [account(born_on="2004-02-29"), content(created_at="2022-02-28T12:00:00Z")]),
    Case("a person with a minor's account", [account(person="p"), other(person="p", born_on="2012")]),
    Case("a person whose other account has a birth date", [account(person="p", born_on=None), other(person="p")]),
    Case("a minor's account at the end of a chain", [
        account(person="p"), other(person="p"), other(day=4, person="q"),
        account(id="far", person="q", born_on="2012"),
    ]),
    Case("made when a compromise ended", [account(compromised=[{"to": CREATED_AT}])]),
    Case("made when a compromise began", [account(compromised=[{"from": CREATED_AT}])]),
    Case("made after a compromise", [account(compromised=[{"to": "2025-12-31T23:59:59.999999Z"}])]),
    Case("an author who is not known", [content(id="orphan", account="nobody")]),
    Case("an author who is not known and objected",
         [content(id="orphan", account="nobody"), objection(account="nobody")]),
]  # fmt: skip
OF_NOTICES = [
    Case("a period that ends tomorrow", [notice(delivered_at="2026-05-02T09:59:59.999999Z")]),
    Case("a period that ends the day after", [notice(delivered_at="2026-05-02T10:00:00Z")]),
    Case("a period that would end on a Sunday", [notice(delivered_at="2026-05-01T09:00:00Z")]),
    Case("a period that would end on a Saturday", [notice(delivered_at="2026-04-30T09:00:00Z")]),
    Case("a notice delivered now", [notice(delivered_at=at())]),
    Case("a notice that bounced", [notice(bounced_at=at(90))]),
    Case("a notice of an earlier epoch", [notice(epoch="2025-03")]),
    Case("a notice that was not delivered", [notice(delivered_at=None)]),
    Case("a second notice lately", [notice(id="again", delivered_at=at(-3))]),
    Case("a notice to another account", [other(), notice(account="other")]),
    Case("consent", [content(kind="VIDEO"), consent()]),
    Case("consent from now on", [content(kind="VIDEO"), consent(given_at=at())]),
    Case("consent withdrawn", [content(kind="VIDEO"), consent(withdrawn_at=at(-1))]),
    Case("consent of which a bad line came", [content(kind="VIDEO"), consent(), consent(day=4, given_at="soon")]),
    Case("consent given when another was withdrawn",
         [content(kind="VIDEO"), consent(), consent(id="old", withdrawn_at=CREATED_AT)]),
    Case("consent for another product", [account(product="INSTAGRAM"), content(kind="VIDEO"), consent()]),
    Case("consent beside an objection", [content(kind="VIDEO"), consent(), objection(account="author")]),
    Case("no consent", [content(kind="VIDEO")]),
]  # fmt: skip
OF_OBJECTIONS = [
    Case("an objection", [objection(account="author")]),
    Case("an objection withdrawn fourteen days ago", [objection(account="author", withdrawn_at=at(-14))]),
    Case("one withdrawn before it was received", [objection(account="author", withdrawn_at="2024-06-09T00:00:00Z")]),
    Case("one to prompts", [objection(account="author", scope="AI_INTERACTIONS")]),
    Case("one to prompts, and a prompt", [content(**prompt), objection(account="author", scope="AI_INTERACTIONS")]),
    Case("one to public content", [objection(account="author", scope="PUBLIC_CONTENT")]),
    Case("one to public content, and a prompt",
         [content(**prompt), objection(account="author", scope="PUBLIC_CONTENT")]),
    Case("one by a person", [account(person="p"), objection(person="p")]),
    Case("one by a person since unlinked", [account(person="p"), account(day=4), objection(person="p")]),
    Case("one by a person of a stale line", [account(), account(day=1, person="p"), objection(person="p")]),
    Case("one by the person's other account", [account(person="p"), other(person="p"), objection(account="other")]),
    Case("one by a contact", [account(contacts=[HASH]), objection(contact=HASH)]),
    Case("one by a contact stated later",
         [account(contacts=[HASH]), account(day=4, contacts=[HASH, OTHER_HASH]), objection(contact=OTHER_HASH)]),
    Case("one by a contact of the person's other account",
         [account(person="p"), other(person="p", contacts=[HASH]), objection(contact=HASH)]),
    Case("one that named another later", [objection(account="author"), objection(day=4, account="nobody")]),
    Case("one that names the author later", [objection(account="nobody"), objection(day=4, account="author")]),
    Case("one withdrawn and one not",
         [objection(account="author", withdrawn_at=at(-90)), objection(id="second", account="author")]),
    Case("one whose withdrawal was taken back",
         [objection(account="author", withdrawn_at=at(-90)), objection(day=4, account="author")]),
    Case("a bad one", [objection(account="author", scope="SOME")]),
    Case("a bad one, and later a good one that is withdrawn",
         [objection(account="author", scope="SOME"), objection(day=4, account="nobody", withdrawn_at=at(-90))]),
    Case("a withdrawn one, and later a bad one",
         [objection(account="author", withdrawn_at=at(-90)), objection(day=4, scope="SOME")]),
    Case("an objector named", [content(**named), other(), objection(account="other")]),
    Case("an objector to prompts named",
         [content(**named), other(), objection(account="other", scope="AI_INTERACTIONS")]),
    Case("an objector who withdrew named",
         [content(**named), other(), objection(account="other", withdrawn_at=at(-14))]),
    Case("a minor named", [content(**named), other(born_on="2012")]),
    Case("somebody whose person has a minor's account named",
         [content(**named), other(person="p"), account(id="young", person="p", born_on="2012")]),
    Case("somebody adult from now on named", [content(**named), other(born_on="2008-06-01")]),
    Case("somebody of unknown age named", [content(**named), other(born_on=None)]),
    Case("an adult named", [content(**named), other()]),
    Case("somebody who is not known named", [content(**named)]),
    Case("an adult and somebody who is not known named", [content(**both_named), other()]),
    Case("an adult named, then a minor too",
         [content(**named), other(), content(day=4, **both_named), account(id="nobody", born_on="2012")]),
    Case("a minor named, then only an adult",
         [content(**both_named), other(), content(day=4, **named), account(id="nobody", born_on="2012")]),
]  # fmt: skip
OF_ITEMS = [
    Case("a prompt", [content(**prompt)]),
    Case("a prompt on Messenger", [account(product="MESSENGER"), content(**prompt)]),
    Case("a post on Messenger", [account(product="MESSENGER")]),
    Case("a private message", [content(kind="PRIVATE_MESSAGE")]),
    Case("a message to a business", [content(kind="BUSINESS_MESSAGE")]),
    Case("an audience of friends", [content(audience="FRIENDS")]),
    Case("an unknown audience", [content(audience=None)]),
    Case("an audience of seven days", [content(audience_since=at(-7))]),
    Case("an audience of unknown age", [content(audience_since=None)]),
    Case("a comment under a public post", [content(**comment), content(id="post")]),
    Case("one under a post for friends", [content(**comment), content(id="post", audience="FRIENDS")]),
    Case("one under a deleted post", [content(**comment), content(id="post", deleted_at=at(-1))]),
    Case("one under a post that is not known", [content(**comment)]),
    Case("one under nothing", [content(kind="COMMENT")]),
    Case("a deletion to come", [content(deleted_at=at(90))]),
    Case("made a day ago", [content(created_at=at(-1))]),
    Case("edited a day ago", [content(edited_at=at(-1))]),
    Case("a reservation", [content(**reserved)]),
    Case("a signal that reserves nothing", [content(rights=[{"source": "C2PA", "train_ai": "unknown"}])]),
    Case("not scanned", [content(scans=None)]),
    Case("flagged as special", [content(scans={"special_category": "FLAGGED", "safety": "CLEAR"})]),
    Case("flagged as unsafe", [content(scans={"special_category": "CLEAR", "safety": "FLAGGED"})]),
    Case("a picture de-identified", [content(text=None, media=[medium | {"deidentified": True}])]),
    Case("a picture not de-identified", [content(media=[medium | {"deidentified": False}])]),
    Case("a picture not looked at", [content(media=[medium | {"deidentified": True}, medium])]),
    Case("nothing in it", [content(text="")]),
    Case("a bad line", [content(audience="PUBLIK")]),
    Case("a bad line and a good one of its instant", [content(audience="PUBLIK"), content()]),
    Case("a bad line and a good one later", [content(audience="PUBLIK"), content(day=4)]),
    Case("a bad line of the account", [account(country="Ireland")]),
    Case("a bad line of the notice", [notice(epoch="spring")]),
    Case("a bad line of the notice, and later a good one to another",
         [notice(id="n", epoch="spring"), other(), notice(id="n", day=4, account="other")]),
    Case("a bad line of a consent", [consent(given_at="soon")]),
    Case("two lines of one instant", [content(), content(text="Another text.")]),
    Case("the same again at a later instant", [
        content(), content(text="Another text."), content(day=4, text="A third."), content(day=4, text="Another text."),
    ]),
    Case("a stale line", [content(day=1, audience="FRIENDS")]),
]  # fmt: skip
OF_RELATIVES = [
    Case("a prompt in a group", [content(**prompt, conversation="GROUP")]),
    Case("a prompt of an unknown conversation", [content(**prompt, conversation=None)]),
    Case("unlisted", [content(audience="UNLISTED")]),
    Case("a photo under a post for friends", [content(**photo, parent="post"), post(audience="FRIENDS")]),
    Case("a caption of a photo under a post for friends", [
        content(kind="CAPTION", parent="photo"), content(id="photo", **photo, parent="post"), post(audience="FRIENDS"),
    ]),
    Case("a caption of a photo under a public post",
         [content(kind="CAPTION", parent="photo"), content(id="photo", **photo, parent="post"), post()]),
    Case("under a post of which a bad line came", [content(parent="post"), post(), post(day=4, audience="PUBLIK")]),
    Case("a caption of nothing", [content(kind="CAPTION")]),
    Case("a comment under a comment on nothing", [content(**comment), post(kind="COMMENT")]),
    Case("a comment under itself", [content(kind="COMMENT", parent="item")]),
    Case("a circle", [content(parent="post"), post(parent="item")]),
    Case("a circle of what is deleted", [content(parent="post"), post(parent="item", deleted_at=at(-1))]),
    Case("under 64 items", [content(parent="p63"), *chain(64)]),
    Case("under 65 items", [content(parent="p64"), *chain(65)]),
    Case("a photo not scanned for minors", [content(**photo, scans=UNSEEN)]),
    Case("a post not scanned for minors", [content(scans=UNSEEN)]),
    Case("a picture not scanned for minors", [content(scans=UNSEEN, media=[medium | {"deidentified": True}])]),
    Case("flagged for minors", [content(scans=SCANS | {"minors": "FLAGGED"})]),
    Case("a contact that nobody has named", [content(**depicted)]),
    Case("a contact of an adult named", [content(**depicted), other(contacts=[HASH])]),
    Case("a contact of a minor named", [content(**depicted), other(contacts=[HASH], born_on="2012")]),
    Case("a contact of a minor's person named",
         [content(**depicted), other(person="p", contacts=[HASH]), account(id="young", person="p", born_on="2012")]),
    Case("a contact of somebody of unknown age named", [content(**depicted), other(contacts=[HASH], born_on=None)]),
    Case("a contact of an adult and of a minor named",
         [content(**depicted), other(contacts=[HASH]), account(id="young", born_on="2012", contacts=[HASH])]),
    Case("a contact of an adult and of somebody of unknown age named",
         [content(**depicted), other(contacts=[HASH]), account(id="young", born_on=None, contacts=[HASH])]),
    Case("a contact of an adult and of a minor's person named", [
        content(**depicted), other(contacts=[HASH]), account(id="second", person="p", contacts=[HASH]),
        account(id="young", person="p", born_on="2012"),
    ]),
    Case("a contact of an objector named", [content(**depicted), other(contacts=[HASH]), objection(account="other")]),
    Case("a contact that objected named", [content(**depicted), objection(contact=HASH)]),
    Case("a contact that objected to prompts named",
         [content(**depicted), objection(contact=HASH, scope="AI_INTERACTIONS")]),
    Case("a contact of an account in doubt named",
         [content(**depicted), other(contacts=[HASH]), other(day=4, born_on="soon")]),
    Case("a photo whose caption names a minor", [content(**photo), content(**caption, **named), other(born_on="2012")]),
    Case("a photo whose caption names an adult", [content(**photo), content(**caption, **named), other()]),
    Case("one whose caption names an objector",
         [content(**photo), content(**caption, **named), other(), objection(account="other")]),
    Case("one whose caption is reserved", [content(**photo), content(**caption, **reserved)]),
    Case("one whose deleted caption is reserved",
         [content(**photo), content(**caption, **reserved, deleted_at=at(-1))]),
    Case("one whose caption was not scanned", [content(**photo), content(**caption, scans=None)]),
    Case("one whose caption is flagged", [content(**photo), content(**caption, scans=FLAGGED)]),
    Case("one whose caption is in doubt", [content(**photo), content(**caption, audience="PUBLIK")]),
    Case("one whose known caption is in doubt",
         [content(**photo), content(**caption), content(**caption, text="Other.")]),
    Case("one whose caption went elsewhere", [
        content(**photo), content(**caption, **reserved), post(),
        content(**caption | {"parent": "post"}, **reserved, day=4),
    ]),
    Case("a caption that was a post", [content(**photo), content(id="caption", scans=FLAGGED),
                                       content(**caption, day=4, scans=FLAGGED)]),
]  # fmt: skip
OF_TAKING_BACK = [
    Case("a flag for minors", [content(scans=SCANS | {"minors": "FLAGGED"})], [content(day=4)]),
    Case("a flag of a caption", [content(**photo), content(**caption, scans=SCANS | {"safety": "FLAGGED"})],
         [content(**caption, day=4)]),
    Case("a deletion", [content(deleted_at=at(-90))], [content(day=4)]),
    Case("a reservation", [content(**reserved)], [content(day=4)]),
    Case("a flag for special categories", [content(scans={"special_category": "FLAGGED"})], [content(day=4)]),
    Case("a flag for safety", [content(scans={"safety": "FLAGGED"})], [content(day=4)]),
    Case("a minor's birth date", [account(born_on="2012")], [account(day=4)]),
    Case("a minor's birth date of the person's other account",
         [account(person="p"), other(person="p", born_on="2012")], [other(day=4, person="p")]),
    Case("a compromise in part", [account(compromised=[window])],
         [account(day=4, compromised=[window | {"from": "2026-03-02T00:00:00Z"}])]),
    Case("a compromise not at all", [account(compromised=[window])],
         [account(day=4, compromised=[window, {"from": "2026-05-01T00:00:00Z"}])]),
    Case("the account's deletion", [account(status="DELETION_PENDING")], [account(day=4)]),
    Case("a bounce", [notice(bounced_at=at(-90))], [notice(day=4)]),
    Case("an audience", [content(audience="FRIENDS")], [content(day=4)]),
    Case("a deletion that comes late", [content(day=4)], [content(deleted_at=at(-90))]),
    Case("a country that comes late", [account(day=4)], [account(country="US")]),
    Case("a bounce that comes late", [notice(day=4)], [notice(bounced_at=at(-90))]),
    Case("a reference", [content(**named), other()], [content(day=4)]),
    Case("a private message", [content(kind="PRIVATE_MESSAGE"), content(day=4)]),
    Case("a private message that comes late", [content(day=4), content(kind="PRIVATE_MESSAGE")]),
    Case("a bounce of an account that is not known",
         [content(id="orphan", account="nobody"), notice(id="n", account="nobody", bounced_at=at(-90))],
         [notice(id="n", day=4, account="nobody")]),
    Case("a bounce of a notice that was another account's meanwhile", [notice(bounced_at=at(-90)), other()],
         [notice(day=4, account="other"), notice(day=5)]),
    Case("a bounce long ago", [notice(bounced_at=at(-90)), notice(day=4)], [notice(day=5, channel="EMAIL")]),
    Case("a photo that left its captions", [content(**photo), content(**caption, scans=FLAGGED), post()],
         [content(day=4, kind="CAPTION", parent="post")]),
    Case("a caption that stays under its photo as a comment",
         [content(**caption | {"id": "item", "parent": "photo"}), content(id="photo", **photo)],
         [content(day=4, kind="COMMENT", parent="photo")]),
    Case("a post that lost a caption and then is one itself", [content(**caption), post()],
         [content(**caption | {"parent": "post"}, day=4), content(day=4, text="Another text."),
          content(day=5, kind="CAPTION", parent="post")]),
]  # fmt: skip
OF_NEWS = [
    Case("a caption that names a minor at last", [content(**photo), other(born_on="2012")],
         [content(**caption, **named)]),
    Case("a minor with a contact that is named", [content(**depicted)], [other(contacts=[HASH], born_on="2012")]),
    Case("an objection by a contact that is named", [content(**depicted)], [objection(contact=HASH)]),
    Case("an objection by an account with a contact that is named", [content(**depicted), other(contacts=[HASH])],
         [objection(account="other")]),
    Case("another country", [], [account(country="US")]),
    Case("a minor's other account", [account(person="p")], [other(person="p", born_on="2012")]),
    Case("a link to a minor's account", [other(person="p", born_on="2012")], [account(day=4, person="p")]),
    Case("a link to a person who objected", [objection(person="p")], [account(person="p")]),
    Case("a link in a stale line", [objection(person="p")], [account(day=1, person="p")]),
    Case("a contact in a stale line", [objection(contact=HASH)], [account(day=1, contacts=[HASH])]),
    Case("a contact that objected", [objection(contact=HASH)], [account(contacts=[HASH])]),
    Case("a notice at last", [notice(delivered_at=None)], [notice(id="n", delivered_at="2025-05-01T00:00:00Z")]),
    Case("a bounce of the notice", [], [notice(bounced_at=at(-90))]),
    Case("a consent at last", [content(kind="VIDEO")], [consent()]),
    Case("a consent withdrawn", [content(kind="VIDEO"), consent()], [consent(day=4, withdrawn_at=at(-1))]),
    Case("an objection at last", [], [objection(account="author")]),
    Case("a withdrawal at last", [objection(account="author")], [
        objection(day=4, account="author", withdrawn_at=at(-14)),
    ]),
    Case("a good notice to another account at last", [notice(id="n", epoch="spring"), other()], [
        notice(id="n", day=4, account="other"),
    ]),
    Case("a bad line of the account at last", [], [account(country="Ireland")]),
    Case("a bad line of the item at last", [], [content(audience="PUBLIK")]),
]  # fmt: skip
CASES = [*OF_ACCOUNTS, *OF_NOTICES, *OF_OBJECTIONS, *OF_ITEMS, *OF_RELATIVES, *OF_TAKING_BACK, *OF_NEWS]


def batch_of_cases() -> Batch:
    """Lay the cases out as one batch."""
    stages: list[tuple[Any, list[bytes]]] = [(LONG_AGO, []), (LATELY, [])]
    holds = [
        Hold("GLOBAL", None, NOW - 90 * DAY, NOW - DAY - TICK),
        Hold("COUNTRY", "FR", NOW - 90 * DAY, None),
        Hold("COUNTRY", "IT", NOW - 90 * DAY, NOW - DAY),
        Hold("PRODUCT", "INSTAGRAM", NOW - 90 * DAY, NOW - DAY),
    ]
    for number, case in enumerate(CASES):
        tag = f"{MARK}{number:04x}"
        first = [fact("account"), fact("content"), fact("notice")]
        stages[0][1].extend(_lines([*first, *case.facts], tag))
        stages[1][1].extend(_lines(case.lately, tag))
        accounts = {each["id"] for each in [*case.facts, *case.lately] if each.get("record") == "account"}
        holds += [  # one for an unknown account is refused
            Hold("ACCOUNT", f"{tag}.{name}", NOW - 90 * DAY, lifted_at)
            for name, lifted_at in (("held", NOW - DAY), ("barred", None))
            if name in accounts
        ]
    return Batch(0, POLICY, stages, holds, INSTANTS, campaigns=(_told_of_consent(),))


def _told_of_consent() -> bytes:
    """Return a campaign that told of the uses that need consent: a policy for untold uses is refused."""
    told = {"purposes": POLICY["purposes"], **POLICY["grounds"]["OPTED_IN"]}
    return json.dumps(fact("campaign", id="2025-06", told=[told], texts={})).encode()


def _lines(facts: list[Facts], tag: str) -> Iterator[bytes]:
    for stated in facts:
        yield json.dumps(_tagged(stated, tag)).encode()


def _tagged(stated: Facts, tag: str) -> Facts:
    """Mark a record's ids and hashes as those of one case."""
    changed = dict(stated)
    for name in ("id", "account", "person", "parent"):
        if changed.get(name):
            changed[name] = f"{tag}.{changed[name]}"
    if changed.get("contact"):
        changed["contact"] = tag + changed["contact"][len(tag) :]
    if "contacts" in changed:
        changed["contacts"] = [tag + contact[len(tag) :] for contact in changed["contacts"]]
    if "references" in changed:
        changed["references"] = [_tagged(reference, tag) for reference in changed["references"]]
    return changed
