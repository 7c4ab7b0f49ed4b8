"""The pages that the gateway serves to the people whose data it is: plain HTML, no script, no cookie."""

from starlette.routing import Route

from app.auth.authenticator import Authenticator
from app.auth.signed_links import LinkAction
from app.campaigns.notice_text import INFORMATION_PATH
from app.http.graphql import GraphQLEndpoint
from app.settings import Settings
from app.web.privacy.information import InformationPage
from app.web.privacy.my_data import MyDataPage
from app.web.privacy.objection_form import ObjectingPages
from app.web.privacy.rendering import STYLESHEET, stylesheet
from schema.context import Gateway


def page_routes(
    gateway: Gateway, endpoint: GraphQLEndpoint, authenticator: Authenticator, settings: Settings
) -> list[Route]:
    """Return the routes of the privacy pages, for the people whose data it is."""
    objecting, me = ObjectingPages(gateway, settings), MyDataPage(gateway, endpoint, authenticator, settings)
    return [
        Route(LinkAction.OBJECT, objecting.form, methods=["GET", "POST"]),
        Route(LinkAction.RECEIPT, objecting.receipt),
        Route(LinkAction.ME, me.show, methods=["GET", "POST"]),
        Route(INFORMATION_PATH, InformationPage(gateway).show),
        Route(STYLESHEET, stylesheet),
    ]
