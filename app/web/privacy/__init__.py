"""The pages that the gateway serves to everyone, and to those whose data it is: plain HTML and no script.

Only a link to the own data sets a cookie, which ties the link to its browser.
"""

from starlette.routing import Route

from app.auth.authenticator import Authenticator
from app.auth.signed_links import LinkAction
from app.campaigns.notice_text import INFORMATION_PATH
from app.http.graphql import GraphQLEndpoint
from app.settings import Settings
from app.web.privacy.my_data import MyDataPage
from app.web.privacy.objection_form import ObjectingPages
from app.web.privacy.public_data import PublicData
from app.web.privacy.public_pages import CHECKPOINTS_PATH, PUBLIC_PATH, TRANSPARENCY_PATH, PublicPages
from app.web.privacy.rendering import LOGO, STYLESHEET, Page, logo, site_of, stylesheet, with_site_name
from schema.context import Gateway


def page_routes(
    gateway: Gateway, endpoint: GraphQLEndpoint, authenticator: Authenticator, settings: Settings
) -> list[Route]:
    """Return the routes of the public pages and of the privacy pages. Raises SettingsError."""
    public = PublicPages(PublicData(endpoint), site_of(settings), settings)
    objecting, me = ObjectingPages(gateway, settings), MyDataPage(gateway, endpoint, authenticator, settings)

    def named(page: Page) -> Page:
        """Show the operator's name on top of a page."""
        return with_site_name(public.name_site, page)

    return [
        Route(PUBLIC_PATH, named(public.home)),
        Route(INFORMATION_PATH, named(public.information)),
        Route(TRANSPARENCY_PATH, public.data),
        Route(CHECKPOINTS_PATH, public.checkpoints),
        Route(LinkAction.OBJECT, named(objecting.form), methods=["GET", "POST"]),
        Route(LinkAction.RECEIPT, named(objecting.receipt)),
        Route(LinkAction.ME, named(me.show), methods=["GET", "POST"]),
        Route(STYLESHEET, stylesheet),
        Route(LOGO, logo),
    ]
