"""Write the texts of a campaign from templates. All recipients get the same text, except for their own links."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from app.campaigns.notice_text import INFORMATION_LINK, OBJECT_LINK, check_controller, check_text
from app.settings import SettingsError
from app.texts.catalogue import Catalogue, open_catalogue
from app.texts.formatting import LocalFormat
from db.policy.document import Policy, Use
from db.policy.grounds import GroundCode
from db.vocabulary import ContentKind, MessageKind


def write_texts(
    folder: Path | None,
    message: MessageKind,
    policy: Policy,
    told: Iterable[Use],
    now: datetime,
    catalogue: Catalogue | None = None,
) -> dict[str, str]:
    """Write a campaign's text in each language from a folder's templates, such as `de.txt`, or from the shipped one.

    The shipped template has a text in each language of the catalogue. A template of a folder names the campaign's uses
    and the policy's facts; one that names none is the text as it stands. Raises SettingsError with one line a fault.
    """
    check_controller(policy)
    catalogue = catalogue or open_catalogue(None)
    told = list(told)
    if folder is None:
        _raise_if_consent_is_asked(policy, told)
    sources = _template_sources(folder) if folder else _shipped_sources(catalogue, message)
    words = {language: dict(catalogue[language]["kinds"]) for language in catalogue.languages}
    for language, said in (_translated_words(folder) if folder else {}).items():
        words[language] = words.get(language, {}) | said
    faults = [] if "en" in sources else ["en.txt: is missing (add it; it is sent to people whose language has no text)"]
    texts = {}
    uses = sorted(told)
    for language, source in sources.items():
        try:
            named = uses if "uses" in source or "purposes" in source else []  # a text as it stands needs no words
            uses_in_words = _translated_uses(named, words.get(language, {}), language)
            shipped: dict[str, Any] = {}
            if folder is None:
                shipped = {"texts": catalogue[language], "is_reminder": message is MessageKind.REMINDER}
            texts[language] = _render(source, policy, language, uses_in_words, now, shipped)
            check_text(language, texts[language], message, policy)
        except (TemplateError, ValueError, TypeError, AttributeError) as error:
            faults.append(f"{language}.txt: {error}")
    if faults:
        raise SettingsError("\n".join(faults))
    return texts


def _raise_if_consent_is_asked(policy: Policy, told: Iterable[Use]) -> None:
    """Raise SettingsError if a policy asks for consent to a campaign's use: the shipped texts state another basis."""
    consented = policy.grounds.get(GroundCode.OPTED_IN)
    kinds = sorted({use.kind for use in told if consented and use.kind in consented.kinds})
    if kinds:
        raise SettingsError(
            f"--template: is missing, but policy {policy.version} asks for consent to use {', '.join(kinds)}, and the"
            " shipped texts do not ask for consent (pass a folder with your own texts)"
        )


def _shipped_sources(catalogue: Catalogue, message: MessageKind) -> dict[str, str]:
    """Return the shipped template of a campaign's message for each language; SettingsError if none is shipped."""
    if message is MessageKind.EDUCATION:
        raise SettingsError(
            "--template: is missing (pass a folder with the texts, because no education texts are shipped)"
        )
    source = (resources.files("app.campaigns") / "templates" / "message.txt").read_text(encoding="utf-8")
    return dict.fromkeys(catalogue.languages, source)


def _render(
    source: str, policy: Policy, language: str, uses: list[dict[str, str]], now: datetime, said: Mapping[str, Any]
) -> str:
    """Render the template of a campaign's text with the policy's notice period and the uses that it names.

    `said` has the texts in the language, for the shipped template.
    """
    # Plain text: there is no markup to escape. Sandboxed, as a template is no program.
    environment = SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    purposes = list(dict.fromkeys(use["purposes"] for use in uses))
    stated = [policy.controller.statements_in(each) for each in ("en", language)] if policy.controller else [{}, {}]
    statements = stated[0] | stated[1]
    return environment.from_string(source).render(
        uses=uses,
        purposes=", ".join(purposes),
        several_purposes=len(purposes) > 1,
        period_days=policy.notice.period_days,
        begins=policy.effective_from if policy.effective_from > now else None,
        controller=policy.controller,
        recipients=statements.get("recipients"),
        storage=statements.get("storage"),
        transfers=statements.get("transfers"),
        object_link=OBJECT_LINK,
        information_link=INFORMATION_LINK,
        write=LocalFormat(language),
        said=said["texts"]["notice"] if said else {},
        **said,
    )


def _translated_uses(told: list[Use], words: Mapping[str, str], language: str) -> list[dict[str, str]]:
    """Describe in a campaign's language which kinds on which products are used for which purposes; merge equal ones."""
    missing = sorted({code for use in told for code in (use.purpose, use.kind)} - words.keys())
    if missing:
        raise ValueError(f"there are no words for {', '.join(missing)} (add them to words.json under {language})")
    kinds: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for use in told:
        kinds[use.purpose, use.product].add(use.kind)
    products: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (purpose, product), used in kinds.items():
        products[purpose, tuple(kind for kind in ContentKind if kind in used)].append(product.title())
    return [
        {"purposes": words[purpose], "kinds": ", ".join(words[kind] for kind in used), "products": ", ".join(named)}
        for (purpose, used), named in products.items()
    ]


def _template_sources(folder: Path) -> dict[str, str]:
    """Read the template of a campaign's text in each language."""
    try:
        return {
            file.name.removesuffix(".txt").lower(): file.read_text(encoding="utf-8")
            for file in sorted(folder.iterdir(), key=lambda file: file.name)
            if file.name.endswith(".txt")
        }
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror} (pass a folder of templates with --template)") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{folder}: a template is not UTF-8 (save it as UTF-8)") from None


def _translated_words(folder: Path) -> dict[str, dict[str, str]]:
    """Read the words for purposes, kinds and products that a campaign's templates use, by language."""
    file = folder / "words.json"
    if not file.is_file():
        return {}
    try:
        words: Any = json.loads(file.read_text(encoding="utf-8"))
        return {language: {code: str(said) for code, said in known.items()} for language, known in words.items()}
    except (ValueError, AttributeError):
        raise SettingsError(
            f"{file}: must be a JSON object with an object for each language"
            ' (write {"en": {"POST": "public posts"}})'
        ) from None
