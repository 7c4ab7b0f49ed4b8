"""The pages that the gateway serves to the people whose data it is: plain HTML, no script, no cookie."""

from starlette.routing import Route

from app.auth import Authenticator
from app.links import Purpose
from app.pages.mydata import MyDataPage
from app.pages.objecting import ObjectingPages
from app.pages.page import STYLESHEET, stylesheet
from schema.context import Gateway


def page_routes(gateway: Gateway, authenticator: Authenticator) -> list[Route]:
    """Give the pages' routes."""
    objecting, me = ObjectingPages(gateway), MyDataPage(gateway, authenticator)
    return [
        Route(Purpose.OBJECT, objecting.form, methods=["GET", "POST"]),
        Route(Purpose.RECEIPT, objecting.receipt),
        Route(Purpose.ME, me.show),
        Route(STYLESHEET, stylesheet),
    ]
