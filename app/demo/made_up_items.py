"""The items of the made-up platform: posts, comments, captions, media, messages and prompts, with their rights."""

from collections import defaultdict, deque
from datetime import datetime
from hashlib import sha256

from app.demo import phrases
from app.demo.draws import DAY, Author, FactDraws, Record, address_hash
from app.demo.frequencies import (
    AUDIENCES,
    DEIDENTIFIED,
    KINDS,
    MEDIA,
    MESSAGE_AUDIENCES,
    RELATIONS,
    SCANNERS,
    SOURCES,
    WITH_MEDIA,
    WORDLESS,
)
from app.demo.media_files import MEDIA_ORIGIN, made_up_file
from app.demo.phrases import choose


class ItemGenerator(FactDraws):
    """A generator of the items that authors write."""

    def __init__(self, items: int, midnight: datetime, seed: int) -> None:
        super().__init__(items, midnight, seed)
        self.contents = 0
        self.posts: dict[tuple[str, str], deque[tuple[str, int]]] = defaultdict(lambda: deque(maxlen=24))
        self.shown: dict[tuple[str, str], deque[tuple[str, int]]] = defaultdict(lambda: deque(maxlen=6))

    def content(self, author: Author) -> Record:
        """Draw the content record of an item that a made-up author wrote."""
        draw = self.draw
        number = self.contents
        self.contents += 1
        item = f"content-{number}"
        language = "en" if draw() < 0.03 else choose(draw, author.languages)
        kind = choose(draw, KINDS[author.product])
        created = int((400 if kind == "AI_INTERACTION" else 3_300) * DAY * draw() ** 2)
        kind, parent, created = self._placed(kind, (author.product, language), number, created)
        audience, audience_since = self._audience(kind, created)
        edited = int(created * draw()) if draw() < 0.06 else None
        deleted = int(created * draw()) if draw() < 0.035 else None
        record = {
            "record": "content",
            "id": item,
            "account": author.id,
            "kind": kind,
            "audience": audience,
            "audience_since": self.maybe_at(audience_since),
            "conversation": self._conversation(kind),
            **self._wording(kind, language, author.country),
            "created_at": self.at(created),
            "edited_at": self.maybe_at(edited),
            "deleted_at": self.maybe_at(deleted),
            "parent": parent,
            "references": self._references(kind) if draw() < 0.07 else [],
            "scans": self._scans() if draw() < 0.06 else dict.fromkeys(SCANNERS, "CLEAR"),
            "observed_at": self.observed(created, audience_since, edited, deleted),
        }
        # A platform may leave out what it would state as null.
        return {name: value for name, value in record.items() if value is not None} if draw() < 0.02 else record

    def _placed(self, kind: str, among: tuple[str, str], number: int, created: int) -> tuple[str, str | None, int]:
        """Put a made-up comment under a post and a caption under a medium; where there is none, make it one itself."""
        posts, shown = self.posts[among], self.shown[among]
        parent = None
        if kind in ("COMMENT", "CAPTION"):
            parents = posts if kind == "COMMENT" else shown
            if parents:
                parent, created = self._parent(number, parents)
            else:
                kind = "POST" if kind == "COMMENT" else "PHOTO"
        if kind in WITH_MEDIA:
            posts.append((f"content-{number}", created))
        if kind in MEDIA or kind == "PHOTO":
            shown.append((f"content-{number}", created))
        return kind, parent, created

    def _parent(self, number: int, posts: deque[tuple[str, int]]) -> tuple[str | None, int]:
        """Draw the parent of a made-up comment or caption, and when it was written; some parents do not exist."""
        parent, posted = choose(self.draw, posts)
        created = max(0, posted - int(40 * DAY * self.draw() ** 4))
        u = self.draw()
        if u < 0.02:
            return None, created
        if u < 0.05:
            return f"content-{self.items + number}", created
        return (f"content-{number + self.ago(1, 30)}" if u < 0.08 else parent), created

    def _audience(self, kind: str, created: int) -> tuple[str | None, int | None]:
        """Draw the audience of a made-up item, and since when it has it."""
        if kind == "AI_INTERACTION":
            return None, None
        if kind.endswith("MESSAGE"):
            return choose(self.draw, MESSAGE_AUDIENCES), created
        u = self.draw()
        if u > 0.1:
            since: int | None = created
        elif u > 0.015:
            since = int(created * self.draw())
        else:
            since = None if u < 0.005 else self.ago(0, min(created, 7 * DAY))
        return (None if self.chance(0.003) else choose(self.draw, AUDIENCES)), since

    def _conversation(self, kind: str) -> str | None:
        """Draw whether a made-up prompt was written to the AI assistant alone or in a group."""
        if kind != "AI_INTERACTION" or self.chance(0.01):
            return None
        return "GROUP" if self.chance(0.06) else "ASSISTANT_ONLY"

    def _wording(self, kind: str, language: str, country: str | None) -> Record:
        """Draw the text, language, media and rights statements of a made-up item."""
        draw = self.draw
        text: str | None = None
        if draw() >= WORDLESS.get(kind, 0.003):
            text = (
                phrases.compose_text(kind, language, draw)
                if draw() < 0.999
                else phrases.compose_long_text(language, draw)
            )
        rights = self._rights() if draw() < 0.05 else []
        if text and any(right["source"] == "NATURAL_LANGUAGE" for right in rights):
            text = f"{text} {phrases.phrasebooks()[language].reservation}"
        tag = f"{language}-{country}" if country and draw() < 0.02 else language
        return {
            "language": None if text is None or draw() < 0.01 else tag,
            "text": text,
            "media": self._media(kind) if draw() < WITH_MEDIA.get(kind, 0) else [],
            "rights": rights,
        }

    def _rights(self) -> list[Record]:
        """Draw the rights statements of a made-up item."""
        sources = {choose(self.draw, SOURCES) for _ in range(choose(self.draw, (1, 1, 1, 2)))}
        return [
            {
                "source": source,
                "train_ai": "n" if source == "NATURAL_LANGUAGE" else choose(self.draw, ("y", "n", "n", "unknown")),
            }
            for source in sorted(sources)
        ]

    def _media(self, kind: str) -> list[Record]:
        """Draw the media of a made-up item."""
        media_type, suffix = MEDIA.get(kind, ("image/png", "png"))
        count = 1 if kind in MEDIA else choose(self.draw, (1, 1, 1, 1, 2, 3))
        return [self._medium(media_type, suffix) for _ in range(count)]

    def _medium(self, media_type: str, suffix: str) -> Record:
        """Draw a medium of a made-up item, whose file the demo's store makes from its name."""
        name = f"{self.random.getrandbits(256):064x}.{suffix}"
        return {
            "type": media_type,
            "url": f"{MEDIA_ORIGIN}/{name}",
            "sha256": sha256(made_up_file(name)).hexdigest(),
            "deidentified": choose(self.draw, DEIDENTIFIED),
        }

    def _references(self, kind: str) -> list[Record]:
        """Draw which accounts a made-up item refers to; private messages and prompts refer to none."""
        if kind.endswith("MESSAGE") or kind == "AI_INTERACTION":
            return []
        return [self._reference() for _ in range(choose(self.draw, (1, 1, 1, 2, 3)))]

    def _reference(self) -> Record:
        """Draw one reference of a made-up item to an account or an address."""
        # The last few percent name accounts that never arrive, and some addresses belong to no account.
        number = int(self.accounts * 1.03 * self.draw())
        relation = choose(self.draw, RELATIONS)
        if number % 8 == 0:
            return {"contact": address_hash(number, 0), "relation": relation}
        return {"account": f"account-{number}", "relation": relation}

    def _scans(self) -> Record:
        """Draw what each scanner found in a made-up item; some scanners state nothing."""
        return {
            scanner: finding
            for scanner in SCANNERS
            if (finding := choose(self.draw, ("CLEAR", "CLEAR", "FLAGGED", None)))
        }
