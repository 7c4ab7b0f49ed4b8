"""Render a page in the reader's language: its texts, its template, its headers, and the operator's name and logo."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.http.negotiation import preferred_language
from app.presentation import LOGO_TYPES
from app.settings import Settings, SettingsError
from app.texts.catalogue import Catalogue, Texts, open_catalogue
from app.texts.formatting import LocalFormat, own_name
from app.web.pages import Templates, html_response

Page = Callable[[Request], Awaitable[Response]]
"""A function that answers a request with a page."""

STYLESHEET: Final = "/pages/grounds.css"
LOGO: Final = "/pages/logo"
MAX_LOGO_BYTES: Final = 256 * 1024
_TEMPLATES: Final = Templates("app.web.privacy", stylesheet=STYLESHEET, logo=LOGO)


@dataclass
class Site:
    """What all pages for people have in common: texts, the operator's name, logo and colour."""

    catalogue: Catalogue = field(default_factory=lambda: open_catalogue(None))
    name: str | None = None
    """The name of the site that the operator set; None means the name of the controller."""
    controller: str | None = None
    """The name of the controller in the policy, as last read from the database."""
    colour: str | None = None
    logo: tuple[bytes, str] | None = None
    """The picture and its media type."""


_SITE: Final = Site()


def site_of(settings: Settings) -> Site:
    """Make the site of the pages for people from the settings, and use it from now on. Raises SettingsError."""
    _SITE.catalogue, _SITE.name, _SITE.colour = open_catalogue(settings.texts), settings.site_name, settings.colour
    _SITE.logo, _SITE.controller = None, None
    if settings.logo is not None:
        try:
            picture = settings.logo.read_bytes()
        except OSError as error:
            raise SettingsError(f"GROUNDS_LOGO: {settings.logo}: {error.strerror} (name a readable file)") from None
        if len(picture) > MAX_LOGO_BYTES:
            raise SettingsError(f"GROUNDS_LOGO: is larger than {MAX_LOGO_BYTES} bytes (use a smaller picture)")
        _SITE.logo = picture, LOGO_TYPES[settings.logo.suffix.lower()]
    return _SITE


def languages_offered() -> tuple[str, ...]:
    """Return the languages in which the pages for people are offered, English first."""
    return _SITE.catalogue.languages


def texts_of(language: str) -> Texts:
    """Return every sentence of the privacy pages in a language."""
    return _SITE.catalogue[language]


def language_of(request: Request) -> str:
    """Choose the language of a privacy page: the one that the address names, else the reader's first that there is."""
    named = request.query_params.get("lang", "")
    if named in languages_offered():
        return named
    return preferred_language(request, languages_offered())


def privacy_page(
    request: Request, template: str, *, status: int = 200, retry: int | None = None, **values: Any
) -> Response:
    """Respond with a privacy page in the reader's language; `values` are what its template names.

    `retry` says after how many seconds to try again.
    """
    language = language_of(request)
    body = render_page(request, template, **values)
    response = html_response(body, status, retry=retry)
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
    return response


def render_page(request: Request, template: str, **values: Any) -> str:
    """Render the HTML of a privacy page in the reader's language; `values` are what its template names."""
    language = language_of(request)
    kept = {name: value for name, value in request.query_params.items() if name in ("t", "after")}
    offered = sorted((own_name(each), each) for each in languages_offered())
    return _TEMPLATES.render(
        template,
        language=language,
        language_name=own_name(language),
        texts=texts_of(language),
        write=LocalFormat(language),
        switches=[(each, name, f"?{urlencode(kept | {'lang': each})}") for name, each in offered],
        site_name=_SITE.name or _SITE.controller,
        has_logo=_SITE.logo is not None,
        **values,
    )


def read_stylesheet() -> Markup:
    """Return the stylesheet of the privacy pages, in the operator's colour."""
    css = (resources.files("app.web.privacy") / "static" / "grounds.css").read_text(encoding="utf-8")
    if _SITE.colour:
        css += f"@media (prefers-color-scheme: light) {{ :root {{ --accent: {_SITE.colour}; }} }}\n"
    return Markup(css)  # noqa: S704 - the file is ours, and the colour was checked


def with_site_name(name_site: Callable[[], Awaitable[None]], page: Page) -> Page:
    """Return a page that shows the operator's name, which `name_site` reads. An objection does not wait."""

    async def respond(request: Request) -> Response:
        """Respond with the page, and read the operator's name before a page is shown."""
        if request.method != "POST":
            await name_site()
        return await page(request)

    return respond


async def stylesheet(_: Request) -> Response:
    """Respond with the stylesheet of the privacy pages."""
    return Response(str(read_stylesheet()), media_type="text/css")


async def logo(_: Request) -> Response:
    """Respond with the operator's logo of the privacy pages. It is a picture only: a script in it does not run."""
    picture, media_type = _SITE.logo or (b"", "image/png")
    return Response(picture, 200 if picture else 404, media_type=media_type)
