"""Hostile requests, each named by what it attacks, and random graphs of fragments; the same each time.

A family of documents grows with a number. Two of each are sent: the longest source that is read, and the longest of as
many tokens as are read, which gets further.
"""

import json
import re
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, parse

from app.http.graphql import BODY_LIMIT, SOURCE_LIMIT, TOKEN_LIMIT
from schema.actor import Role
from schema.execution.limits import MAX_VALUES, OperationCost

Family = Callable[[int], str]

TOKEN = re.compile(r'"""[\s\S]*?"""|"(?:\\.|[^"\\])*"|\w+|\.\.\.|#[^\n]*|[^\s\w,]')
ROOM = 16  # characters that are left for attempts to differ in
NODES = "{ nodes { id } }"


@dataclass(frozen=True)
class Attack:
    """A request; `answered` says that it is within the limits, and as expensive as they allow."""

    name: str
    query: str = ""
    variables: dict[str, Any] | None = None
    role: Role = Role.AUDITOR
    raw: bytes | None = None
    answered: bool = False

    def body(self, attempt: int = 0) -> bytes:
        """Write the request; each attempt reads otherwise, so that nothing can be remembered of the one before."""
        if self.raw is not None:
            return self.raw
        request = {"query": " " * attempt + self.query, "variables": self.variables}
        return json.dumps(request, ensure_ascii=False).encode()


def row(opening: str, pattern: str, closing: str = "") -> Family:
    """Repeat a pattern; # is the number of each."""
    numbered = "#" in pattern

    def write(count: int) -> str:
        if not numbered:
            return opening + pattern * count + closing
        return opening + " ".join(pattern.replace("#", str(number)) for number in range(count)) + closing

    return write


def nest(opening: str, level: str, core: str, end: str, closing: str = "") -> Family:
    """Put a level into itself."""
    return lambda count: opening + level * count + core + end * count + closing


def chain(body: str, leaf: str = "viewer { name }", before: str = "{ ...F0 }") -> Family:
    """Let each fragment spread the next, which is # in its body."""

    def write(count: int) -> str:
        fragments = (
            f"fragment F{number} on Query {{ {body.replace('#', f'F{number + 1}')} }}" for number in range(count)
        )
        return " ".join([before, *fragments, f"fragment F{count} on Query {{ {leaf} }}"])

    return write


def clique(count: int) -> str:
    """Let fragments spread each other, all of them."""
    return " ".join(["{ ...F0 }", *(row(f"fragment F{n} on Query {{ ", "...F#", " }")(count) for n in range(count))])


def overlapping(count: int) -> str:
    """Let fragments contradict each other, all of them."""
    spreads = row("{ ", "...F#", " }")(count)
    return spreads + row("", 'fragment F# on Query { x: policy(version: "#") { title } }')(count)


def squared(count: int) -> str:
    """Let aliases spread a fragment of aliases."""
    return row("{ ", "a#: conditions { ...F }", " }")(count) + row(" fragment F on Condition { ", "b#: code", " }")(
        count
    )


NESTED = ("{ viewer ", "{ account { contents(first: 1) { nodes ", "{ id }", "} } }", " }")
FILTERED = "{ trainableContent(first: 1, filter: "
NAMED = "{ contents(first: 1, platformIds: "
FAMILIES: dict[str, Family] = {
    "levels": nest("", "{ a ", "", "}"),
    "levels that exist": nest(*NESTED),
    "pages of pages": nest(*(part.replace("1", "100") for part in NESTED)),
    "levels of inline fragments": nest("", "{ ... ", "{ viewer { name } }", "}"),
    "levels of inline fragments with directives": nest("", "{ ... @include(if: true) ", "{ a }", "}"),
    "levels of type conditions": nest('{ node(id: "x") ', "{ ... on Account { ... on Node ", "{ id }", "} }", " }"),
    "aliases": row("{ ", "a#: viewer { name }", " }"),
    "aliases in one object": row("{ viewer { ", "a#: name", " } }"),
    "aliases of statements": row("{ ", 'a#: eligibility(contentId: "item-1-#") { permitted }', " }"),
    "aliases of a fragment of aliases": squared,
    "aliases of what is unknown": row("{ ", "a#: nothing", " }"),
    "directives": row("{ viewer { name ", "@skip(if: false) ", " } }"),
    "directives that do not exist": row("{ viewer { name ", "@d#", " } }"),
    "directives with a variable": row(
        "query Q($x: Boolean!) { viewer { ", "name @skip(if: $x) @include(if: $x) ", "}}"
    ),
    "a field repeated": row("{ viewer { ", "name ", "} }"),
    "an object repeated": row("{ ", "viewer { name } ", "}"),
    "fields that do not exist": row("{ ", "field#", " }"),
    "fields without a selection": row("{ ", "viewer ", "}"),
    "fragment doublings": chain("...# ...#"),
    "fragment doublings to an unknown one": chain("...# ...#", "...Unknown"),
    "fragment doublings beneath fields": chain("viewer { ...# ...# }"),
    "fragment doublings to variables": chain(
        "...# ...#", f"contents(first: $w) {NODES}", "query Q($v: Int!) { ...F0 }"
    ),
    "fragments spread eight times": chain("...# " * 8),
    "fragments unused": row("{ viewer { name } } ", "fragment F# on Query { viewer { name } }"),
    "fragments of one name": row("{ ...F } ", "fragment F on Query { viewer { name } } "),
    "fragments that all spread each other": clique,
    "fragments that all contradict each other": overlapping,
    "a circle of fragments": chain("...#", "...F0"),
    "a circle of doublings": chain("...# ...#", "...F0 ...F1"),
    "overlapping arguments": row("{ ", 'x: policy(version: "#") { title }', " }"),
    "overlapping arguments in depth": row("{ ", f"viewer {{ account {{ contents(first: #) {NODES} }} }}", " }"),
    "overlapping objects": row("{ ", 'trainableContent(first: 1, filter: {products: ["#"]}) { nodes { id } }', " }"),
    "overlapping aliases": row("{ viewer { ", "a: name a: role b#: name", " } }"),
    "type conditions": row(
        '{ node(id: "x") { ', "... on Account { id } ... on Content { id } ... on Node { id } ", "} }"
    ),
    "type conditions on nothing": row("{ ", "... on Type# { id }", " }"),
    "a list": row(NAMED + "[", '"a", ', f"]) {NODES} }}"),
    "a list of wrong things": row(NAMED + "[", "1 ", f"]) {NODES} }}"),
    "a list of numbers without end": row(NAMED + "[", "1e999 ", f"]) {NODES} }}"),
    "a list of values that do not exist": row(FILTERED + "{kinds: [", "KIND#", f"]}}) {NODES} }}"),
    "lists in lists": nest(NAMED, "[", "", "]", f") {NODES} }}"),
    "an object": row(FILTERED + "{", "a#: 1", f"}}) {NODES} }}"),
    "an object of one field": row(FILTERED + "{", "kinds: [POST] ", f"}}) {NODES} }}"),
    "objects in objects": nest(FILTERED, "{kinds: ", "1", "}", f") {NODES} }}"),
    "objects in a default": nest(
        "query Q($f: TrainableContentFilter = ", "{kinds: ", "[]", "}", f") {FILTERED}$f) {NODES} }}"
    ),
    "arguments that do not exist": row("{ viewer(", "a#: #", ") { name } }"),
    "an argument repeated": row("{ contents(", "first: 1 ", f") {NODES} }}"),
    "variables unused": row("query Q(", "$v#: Int", ") { viewer { name } }"),
    "variables of one name": row("query Q(", "$v: Int ", ") { viewer { name } }"),
    "variables undeclared": row("{ ", f"contents(first: $v#) {NODES}", " }"),
    "variables of unknown types": row("query Q(", "$v#: T#", ") { viewer { name } }"),
    "a variable of lists in lists": nest("query Q($v: ", "[", "Int", "]", ") { viewer { name } }"),
    "operations of long names": lambda count: f"query {'Q' * count} {{ a }} query R {{ a }}",
    "operations without a name": row("", "{ viewer { name } } "),
    "operations of which none is meant": row("", "query Q# { viewer { name } }"),
    "operations of one name": row("", "query Q { viewer { name } } "),
    "a subscription": row("subscription { ", "a#: viewer { name }", " }"),
    "a mutation": row("mutation { ", "a#: viewer { name }", " }"),
    "definitions of types": row("{ viewer { name } } ", "type T# { a: Int }"),
    "introspection in depth": nest("{ __schema { types { fields { type ", "{ ofType ", "{ name }", "}", " } } } }"),
    "introspection in circles": nest("{ __schema { types ", "{ fields { type ", "{ name }", "} }", " } }"),
    "introspection in width": row("{ __schema { ", "a#: types { name description }", " } }"),
    "introspection by fragments": chain("...# ...#", "__schema { types { fields { name } } }"),
    "introspection by name": row("{ ", 'a#: __type(name: "Query") { fields { name } }', " }"),
    "introspection of __typename": row("{ ", "__typename ", "}"),
    "a long name": row("{ ", "a", " }"),
    "a long name of a fragment": row("{ ...", "F", " }"),
    "a long alias": row("{ ", "a", ": viewer { name } }"),
    "a long string": row('{ node(id: "', "a", '") { id } }'),
    "a long string of escapes": row('{ node(id: "', "\\u{1F600}", '") { id } }'),
    "a long string of four bytes each": row('{ node(id: "', "\N{GRINNING FACE}", '") { id } }'),
    "a long block string": row('{ node(id: """', "\n   a\n", '""") { id } }'),
    "a long number": row("{ contents(first: ", "1", f") {NODES} }}"),
    "a long description": row('"', "a", '" query Q { viewer { name } }'),
    "a long comment": row("{ viewer { name } } #", "x"),
    "comments": lambda count: "#\n" * count + "{ viewer { name } }",
    "commas": row("", ",", "{ viewer { name } }"),
    "brackets": row("", "{"),
}


def longest(family: Family, fits: Callable[[str], bool]) -> str:
    """Write the longest document of a family that fits."""
    most = 1
    while fits(family(most)):
        most *= 2
    return family(bisect(range(1, most), False, key=lambda count: not fits(family(count))))


def is_short_enough(document: str) -> bool:
    """Return whether a document is short enough to be read."""
    return len(document) <= SOURCE_LIMIT - ROOM and len(document.encode()) <= BODY_LIMIT - 200


def has_few_tokens(document: str) -> bool:
    """Return whether a document has no more tokens than are read."""
    return is_short_enough(document) and len(TOKEN.findall(document)) < TOKEN_LIMIT


def is_shallow_enough(document: str) -> bool:
    """Return whether a document is not nested too deeply either."""
    try:
        parse(document)
    except GraphQLError as error:
        return has_few_tokens(document) and "too deeply" not in error.message
    return has_few_tokens(document)


def documents() -> Iterator[Attack]:
    """Write the longest documents of each family."""
    for name, family in FAMILIES.items():
        by_tokens, by_length = longest(family, has_few_tokens), longest(family, is_short_enough)
        yield Attack(name, by_tokens, {"x": True, "v": 1})
        if by_length != by_tokens:
            yield Attack(f"{name}, of more tokens", by_length)
        if not is_shallow_enough(by_tokens):
            yield Attack(f"{name}, as deep as is read", longest(family, is_shallow_enough))


PAGE = """query Page($first: Int!, $filter: TrainableContentFilter) {
  trainableContent(first: $first, filter: $filter) { nodes { id } }
}"""
FIRST = '{"query": "{ viewer { name } }", "variables": '


def variables() -> Iterator[Attack]:
    """Attack by variables, of which there may be more than of the document."""
    room = BODY_LIMIT - 500
    yielded: dict[str, Any] = {
        "a list": {"first": 1, "filter": {"kinds": ["POST"] * (room // 8)}},
        "a list of wrong things": {"first": 1, "filter": {"kinds": [1] * (room // 3)}},
        "a list of values that do not exist": {"first": 1, "filter": {"kinds": [f"K{n}" for n in range(room // 10)]}},
        "an object": {"first": 1, "filter": {f"field{n}": n for n in range(room // 20)}},
        "an object for a number": {"first": {f"a{n}": n for n in range(room // 16)}},
        "a list for a number": {"first": list(range(room // 7))},
        "a long string for a number": {"first": "1" * room},
        "a number without end": {"first": 1e300},
        "a long number": {"first": 10**4000},
        "a negative number": {"first": -(2**31)},
        "a page too large": {"first": 2**31 - 1},
        "names that nobody declared": {"first": 1, **{f"v{n}": None for n in range(room // 16)}},
        "NUL": {"first": 1, "filter": {"products": ["\0" * 1000]}},
    }
    for name, given in yielded.items():
        yield Attack(f"variables: {name}", PAGE, given, Role.TRAINING_CLIENT)


def bodies() -> Iterator[Attack]:
    """Attack by bodies that are no requests."""
    room = BODY_LIMIT - 500
    raw: dict[str, bytes] = {
        "a batch": b"[" + b",".join([b'{"query": "{ viewer { name } }"}'] * 1500) + b"]",
        "lists in depth": b"[" * room,
        "lists in depth as variables": FIRST.encode() + b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
        "objects in depth": FIRST.encode() + b'{"a":' * (room // 6) + b"1" + b"}" * (room // 6) + b"}",
        "objects as deep as JSON may be": FIRST.encode() + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
        "wrong UTF-8": b'{"query": "{ viewer { name } } #' + b"\xff" * room + b'"}',
        "UTF-16": FIRST.encode("utf-16"),
        "half a character": b'{"query": "{ viewer { name } } # \\ud800"}',
        "NUL": b'{"query": "{ viewer { name } }\\u0000"}',
        "NUL bytes": b"\0" * room,
        "a number without end": FIRST.encode() + b'{"a": 1e999}}',
        "a long number": FIRST.encode() + b'{"a": ' + b"9" * room + b"}}",
        "one key many times": b'{"query": "{ viewer { name } }"' + b', "query": "{ a }"' * (room // 20) + b"}",
        "spaces": b" " * room + b"{}",
        "more than is read": b" " * (BODY_LIMIT + 1),
        "a long operationName": b'{"query": "{ viewer { name } }", "operationName": "' + b"Q" * room + b'"}',
        "a long extension": b'{"query": "{ viewer { name } }", "extensions": {"a": "' + b"x" * room + b'"}}',
    }
    for name, content in raw.items():
        yield Attack(f"the body: {name}", raw=content)


EVERY_FIELD = """id kind product language createdMonth text media { type url sha256 __typename } author { id region
  __typename } reason { ground legalBasis { title iri __typename } summary policyVersion decidedAt receipt
  conditions { code outcome required evidence __typename } __typename } __typename"""
WHOLE_PAGE = f"(first: 1000) {{ edges {{ cursor node {{ {EVERY_FIELD} }} __typename }} __typename }}"
ELIGIBILITY = """eligibility { permitted ground legalBasis { title iri } summary policyVersion decidedAt
  conditions { code outcome required evidence } }"""
ITEM = f"id platformId kind product audience language createdAt deletedAt textSha256 {ELIGIBILITY}"
CONSENT = """consent { position notices { id channel epoch sentAt deliveredAt } objections { id scope receivedAt }
  events(first: 100) { nodes { id kind occurredAt } } }"""
MULTIPLIED = {
    "multiplied": "{ accounts(first: 100) { nodes { contents(first: 100) { nodes { id } } } } }",
    "multiplied by fragments": """{ ...A } fragment A on Query { accounts(first: 100) { ...B } }
      fragment B on AccountConnection { edges { node { contents(first: 100) { nodes { id } } } } }""",
    "negative beside large": """{ contents(first: -2147483648) { nodes { id } }
      accounts(first: 100) { nodes { contents(first: 100) { nodes { id } } } } }""",
    "by default": "query Q($n: Int = 100) { accounts(first: $n) { nodes { contents(first: $n) { nodes { id } } } } }",
}
DEAREST = {
    "items with their decisions": f"contents(first: 100) {{ nodes {{ {ITEM} }} }}",
    "decisions": row("contents(first: 100) { nodes { ", "e#: eligibility { permitted }", " } }")(5),
    "conditions": row("contents(first: 100) { nodes { eligibility { ", "c#: conditions { code }", " } } }")(12),
    "authors": row("contents(first: 100) { nodes { ", "a#: account { id }", " } }")(7),
    "accounts": "accounts(first: $n) { nodes { id product kind status adult region consent { position since } } }",
    "items of accounts": "accounts(first: $n) { nodes { contents(first: 100) { nodes { id } } } }",
    "an item of accounts": "accounts(first: $n) { nodes { contents(first: 1) { nodes { id } } } }",
    "items of authors": "contents(first: $n) { nodes { account { contents(first: 100) { nodes { id kind } } } } }",
    "decisions of accounts": "accounts(first: $n) { nodes { contents(first: 9) { nodes { eligibility { ground } }}}}",
    "positions": f"accounts(first: $n) {{ nodes {{ {CONSENT} }} }}",
    "notices": "accounts(first: $n) { nodes { consent { a: notices { id } b: notices { id } } } }",
    "events": "accounts(first: $n) { nodes { consent { events(first: 100) { nodes { id } } } } }",
}


def pages() -> Iterator[Attack]:
    """Attack by the size of what is asked for: too much, and as much as the limits let pass."""
    client = Role.TRAINING_CLIENT
    two = f"{{ a: trainableContent{WHOLE_PAGE} b: trainableContent{WHOLE_PAGE} }}"
    yield Attack("pages: two at once", two, role=client)
    for name, query in MULTIPLIED.items():
        yield Attack(f"pages: {name}", query)
    yield Attack("pages: by variables", MULTIPLIED["by default"], {"n": 100.0})
    yield Attack("a whole page", f"{{ trainableContent{WHOLE_PAGE} }}", role=client, answered=True)
    of_items = "{ trainableContent(first: 1000) { nodes { "
    lists = row(of_items + "reason { ", "c#: conditions { code outcome required evidence }", " } } } }")
    yield Attack("a page of lists", lists(7), role=client, answered=True)
    yield Attack("a page of texts", row(of_items, "t#: text", " } } }")(15), role=client, answered=True)
    for name, selection in DEAREST.items():
        query = f"query Q($n: Int!) {{ {selection} }}" if "$n" in selection else f"{{ {selection} }}"
        size = bisect([values_asked(query, {"n": size}) for size in range(1, 101)], MAX_VALUES)
        yield Attack(f"a page of {name}", query, {"n": size}, answered=True)


def values_asked(query: str, values: dict[str, Any]) -> int:
    """Count as the limit does."""
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return OperationCost(document, values).of(operation)


def corpus() -> list[Attack]:
    """Write every attack."""
    return [*documents(), *variables(), *bodies(), *pages()]


def fragment_graph(random: Random) -> str:
    """Write fragments that spread each other at random: downwards, or in circles too; with fields between or none."""
    size, degree = random.randint(2, 120), random.choice([1, 2, 2, 3, 8])
    down, name = random.random() < 0.7, "F" * random.choice([1, 1, 1, 40])
    on, opening, between, leaf = random.choice(
        [
            ("Query", "{ # }", "#", "viewer { name }"),
            ("Account", "{ viewer { account { # } } }", "#", "id"),
            ("Account", "{ viewer { account { # } } }", "contents(first: 1) { nodes { account { # } } }", "id"),
        ]
    )

    def spreads(number: int) -> str:
        chosen = random.choices(range(number if down else 0, size), k=random.randint(0, degree))
        return " ".join(f"...{name}{each}" for each in [number, *chosen])

    while True:
        bodies = [between.replace("#", spreads(number)) for number in range(1, size)]
        fragments = (f"fragment {name}{number} on {on} {{ {body} }}" for number, body in enumerate([*bodies, leaf]))
        text = " ".join([opening.replace("#", spreads(0)), *fragments])
        if has_few_tokens(text):
            return text
        size = size * 4 // 5


def fragment_graphs(count: int, seed: int = 3) -> Iterator[Attack]:
    """Write random graphs of fragments."""
    random = Random(seed)
    for number in range(count):
        yield Attack(f"fragment graph {number}", fragment_graph(random), role=Role.DATA_SUBJECT)
