"""The life of a request, on one screen: where it comes in, who answers, what stands behind."""

import asyncpg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.auth import Authenticator
from app.dashboard import dashboard_routes
from app.dashboard.reading import operations
from app.documents import open_documents
from app.edges import Edges, compressed, ide_page, with_origins
from app.events import RetractionEvents
from app.http import GraphQLEndpoint, prefers_page, refused
from app.intake import IngestEndpoint
from app.pages import page_routes
from app.settings import Settings
from db.session import Busy, Database, connection
from db.stager import Stager
from schema.build import build_schema
from schema.context import Gateway


def build(
    database: Database,
    stager: Stager,
    secret: bytes,
    authenticator: Authenticator,
    settings: Settings,
    hosts: frozenset[str],
) -> ASGIApp:
    """Construct the application over open pools; everything it needs is made here and handed on.

    Raises SettingsError when a trusted document is not what it must be.
    """
    gateway = Gateway(database, secret)
    schema = build_schema(introspection=settings.introspection)
    documents = open_documents(settings.documents, settings.documents_only, schema, operations().values())
    graphql = GraphQLEndpoint(schema, documents, gateway, authenticator)
    ingest = IngestEndpoint(database, stager, authenticator)
    events = RetractionEvents(gateway, authenticator)
    page = ide_page() if settings.graphiql else None

    async def ask(request: Request) -> Response:
        return page if page and prefers_page(request) else await graphql(request)

    async def take_in(request: Request) -> Response:
        return await ingest(request)

    async def stream(request: Request) -> Response:
        return await events(request)

    async def ready(_: Request) -> Response:
        return await _ready(database)

    routes = Starlette(
        routes=[
            Route("/graphql", ask, methods=["GET", "POST"]),
            Route("/ingest", take_in, methods=["POST"]),
            Route("/retractions", stream),
            Route("/health", _healthy),
            Route("/ready", ready),
            *page_routes(gateway, authenticator),
            *dashboard_routes(graphql, authenticator, secret, settings),
        ],
        exception_handlers={HTTPException: refused},
    )
    return Edges(compressed(with_origins(routes, settings.origins)), hosts)


async def _healthy(_: Request) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "healthy"})


async def _ready(database: Database) -> Response:
    """Say whether requests can be answered: the database is reached and a policy is in force."""
    try:
        async with connection(database.dashboard) as borrowed:
            version = await borrowed.fetchval("SELECT version FROM grounds.policy WHERE active")
    except (OSError, Busy, asyncpg.PostgresError, asyncpg.InterfaceError):
        return JSONResponse({"status": "not ready", "reason": "the database does not answer"}, 503)
    if version is None:
        return JSONResponse({"status": "not ready", "reason": "no policy is in force"}, 503)
    return JSONResponse({"status": "ready", "policy": version})
