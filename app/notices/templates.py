"""Write a notice in somebody's language: templates with the words that they need, all proved before anybody is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from app.links import Purpose, link_path, sign_link
from app.settings import SettingsError
from db.policy.document import Policy
from db.policy.grounds import GroundCode
from db.records import ContentKind

LINK_LIFE = timedelta(days=3 * 365)
"""How long a link opens the form; whose link is over objects there by the e-mail address."""
SUBJECT = "Subject:"


@dataclass(frozen=True, slots=True)
class Text:
    """Hold a notice as it is read."""

    language: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Writer:
    """Write notices of one channel under the policy in force."""

    templates: Mapping[str, tuple[Template, Template]]
    words: Mapping[str, Mapping[str, str]]
    policy: Policy
    secret: bytes = field(repr=False)
    public_url: str

    def write(self, account: str, product: str, wanted: str | None, now: datetime) -> Text:
        """Write to an account, by the platform's id, in the language that is wanted as nearly as there is one."""
        language = self.language(wanted)
        until = now + LINK_LIFE
        object_link, me_link = (
            self.public_url + link_path(sign_link(self.secret, account, purpose, until), purpose, language)
            for purpose in (Purpose.OBJECT, Purpose.ME)
        )
        return self._render(language, product, object_link, me_link)

    def example(self, product: str, wanted: str | None) -> Text:
        """Write to nobody, with links that open nothing."""
        language = self.language(wanted)
        return self._render(
            language, product, *(f"{self.public_url}{purpose}?t=EXAMPLE" for purpose in (Purpose.OBJECT, Purpose.ME))
        )

    def language(self, wanted: str | None) -> str:
        """Choose the language of a text: the one that is wanted, its base language, or English."""
        name = (wanted or "en").lower()
        return next(found for found in (name, name.partition("-")[0], "en") if found in self.templates)

    def _render(self, language: str, product: str, object_link: str, me_link: str) -> Text:
        words = self.words[language]
        said = {
            "product": product.title(),
            "kinds": ", ".join(words[kind] for kind in _kinds(self.policy, product)),
            "purpose": ", ".join(words[purpose] for purpose in self.policy.purposes),
            "period_days": self.policy.notice.period_days,
            "since": self.policy.effective_from,
            "object_link": object_link,
            "me_link": me_link,
        }
        subject, body = self.templates[language]
        return Text(language, " ".join(subject.render(said).split()), body.render(said).strip() + "\n")


def open_writer(folder: Path | None, channel: str, policy: Policy, secret: bytes, public_url: str) -> Writer:
    """Read the templates of a channel, the shipped ones or a folder's: `de.txt`, or `de.email.txt` and `de.in_app.txt`.

    Raises SettingsError with one line a fault; each template is proved on every product of the policy.
    """
    shipped = resources.files("app.notices") / "templates"
    sources = _sources(folder or shipped, channel)
    words = _words(shipped)
    for language, said in (_words(folder) if folder else {}).items():
        words[language] = words.get(language, {}) | said
    faults = [] if "en" in sources else ["en.txt: is missing (it is what people of other languages read)"]
    templates: dict[str, tuple[Template, Template]] = {}
    writer = Writer(templates, words, policy, secret, public_url)
    for language, (name, source) in sources.items():
        try:
            templates[language] = _parsed(source)
            _prove(writer, language)
        except (TemplateError, ValueError, TypeError, AttributeError) as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise SettingsError("\n".join(faults))
    return writer


def _prove(writer: Writer, language: str) -> None:
    products = {product for coverage in writer.policy.grounds.values() for product in coverage.products}
    codes = {*writer.policy.purposes, *(kind for product in products for kind in _kinds(writer.policy, product))}
    missing = sorted(codes - writer.words.get(language, {}).keys())
    if missing:
        raise ValueError(f"there are no words for {', '.join(missing)} (write them into words.json under {language})")
    for product in products:
        text = writer.example(product, language)
        if not text.subject:
            raise ValueError("the subject is empty (write it after Subject:)")
        link = f"{writer.public_url}{Purpose.OBJECT}?t=EXAMPLE"
        if link not in text.body.split():
            raise ValueError(
                "the link to the objection form is missing ({{ object_link }}, with white space around it)"
            )


def _sources(folder: Path | Traversable, channel: str) -> dict[str, tuple[str, str]]:
    """Read the template of each language, a channel's own before one for both: language -> name, source."""
    found: dict[str, tuple[str, str]] = {}
    own = f".{channel.lower()}.txt"
    try:
        files = sorted(folder.iterdir(), key=lambda file: file.name.endswith(own))
        for file in files:
            language, _, rest = file.name.partition(".")
            if f".{rest}" in (".txt", own):
                found[language.lower()] = (file.name, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror} (name a folder of templates with --template)") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{folder}: a template is not UTF-8 (save it as such)") from None
    return found


def _words(folder: Path | Traversable) -> dict[str, dict[str, str]]:
    file = folder / "words.json"
    if not file.is_file():
        return {}
    try:
        words: Any = json.loads(file.read_text(encoding="utf-8"))
        return {language: {code: str(said) for code, said in known.items()} for language, known in words.items()}
    except (ValueError, AttributeError):
        raise SettingsError(f'{file}: is no object of objects (write {{"en": {{"POST": "public posts"}}}})') from None


def _parsed(source: str) -> tuple[Template, Template]:
    subject, _, body = source.partition("\n")
    if not subject.startswith(SUBJECT):
        raise ValueError("does not begin with its subject (write Subject: ... into the first line)")
    # Plain text: there is no markup to escape. Sandboxed, as a template is no program.
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(subject.removeprefix(SUBJECT)), environment.from_string(body)


def _kinds(policy: Policy, product: str) -> list[str]:
    """Name the kinds that are used on a product unless somebody objects, what people publish first."""
    used = {
        kind
        for ground, coverage in policy.grounds.items()
        if ground is not GroundCode.OPTED_IN and product in coverage.products
        for kind in coverage.kinds
    }
    return [kind for kind in ContentKind if kind in used]
