"""Registered texts, in which each person's own links replace the placeholders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.auth.signed_links import LinkAction, link_path, sign_link
from app.settings import SettingsError
from db.policy.document import Policy
from db.vocabulary import MessageKind

LINK_LIFETIME = timedelta(days=3 * 365)
"""The time for which a link opens the objection form. After this time, the form asks for an e-mail address instead."""
SUBJECT_PREFIX = "Subject:"
INFORMATION_PATH = "/information"
"""The path of the page with the full information, which everyone can open."""
OBJECT_LINK, INFORMATION_LINK = "{{ object_link }}", "{{ information_link }}"
"""The placeholders for links in a registered text. The first link is for one person, and opens the objection form
only."""
_MISSING_LINKS = {
    OBJECT_LINK: "the link to the objection form is missing (write {{ object_link }} with white space around it)",
    INFORMATION_LINK: "the link to the full information is missing"
    " (write {{ information_link }} with white space around it)",
}


@dataclass(frozen=True, slots=True)
class NoticeText:
    """The subject and text of a message."""

    language: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class NoticeWriter:
    """The writer of a campaign's messages: `texts` has each registered text by its language."""

    texts: Mapping[str, str]
    secret: bytes = field(repr=False)
    public_url: str

    def write(self, account: str, language: str, now: datetime) -> NoticeText:
        """Write a campaign's notice to an account, by the platform's id, in a language that there is."""
        token = sign_link(self.secret, account, LinkAction.OBJECT, now + LINK_LIFETIME)
        return self._with_path(language, link_path(token, LinkAction.OBJECT, language))

    def example(self, language: str) -> NoticeText:
        """Write an example of a campaign's notice, whose links open nothing."""
        return self._with_path(language, f"{LinkAction.OBJECT}?t=EXAMPLE")

    def _with_path(self, language: str, object_path: str) -> NoticeText:
        """Write a campaign's text with the path of an objection form."""
        information = f"{self.public_url}{INFORMATION_PATH}?lang={language}"
        links = {OBJECT_LINK: self.public_url + object_path, INFORMATION_LINK: information}
        return with_links(language, self.texts[language], links)


def with_links(language: str, text: str, links: Mapping[str, str]) -> NoticeText:
    """Put signed links into a campaign's text; raise ValueError for one that does not begin with its subject."""
    if not text.startswith(SUBJECT_PREFIX):
        raise ValueError("the subject is missing (begin the text with a line Subject: ...)")
    subject, body = split_subject(text)
    for name, link in links.items():
        body = body.replace(name, link)
    return NoticeText(language, subject, body.strip() + "\n")


def split_subject(text: str) -> tuple[str, str]:
    """Split a campaign's text into its subject and its body."""
    subject, _, body = text.partition("\n")
    return " ".join(subject.removeprefix(SUBJECT_PREFIX).split()), body.strip()


def check_text(language: str, text: str, message: MessageKind, policy: Policy) -> None:
    """Raise ValueError if a campaign's text lacks a required part, such as a link or the controller.

    A notice and a reminder name the controller, its contact, its data protection officer and the authority (GDPR
    Article 13(1)(a), 13(1)(b) and 13(2)(d)), and have the links to the objection form and to the whole information.
    """
    links = {name: f"https://example.org/{place}" for place, name in enumerate(_MISSING_LINKS)}
    written = with_links(language, text, links)
    if not written.subject:
        raise ValueError("the subject is empty (write the subject after Subject:)")
    if message is MessageKind.EDUCATION:
        return
    words = written.body.split()
    for name, missing in _MISSING_LINKS.items():
        if links[name] not in words:
            raise ValueError(missing)
    for part in ("name", "contact", "dpo", "authority"):
        if getattr(policy.controller, part) not in written.body:
            raise ValueError(f"the controller's {part} is missing (write {{{{ controller.{part} }}}})")


def check_controller(policy: Policy) -> None:
    """Raise SettingsError if a policy names no controller: a campaign's notice has to name one."""
    if policy.controller is None:
        raise SettingsError(
            f"policy {policy.version}: has no controller, but a notice must name one according to GDPR Article"
            " 13(1)(a) (activate a policy that names the controller)"
        )
