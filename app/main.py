"""The routes of the gateway: the code that runs for every request, and the endpoint of each path."""

from functools import partial

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from app.auth.authenticator import Authenticator
from app.auth.sessions import Sessions
from app.auth.signed_links import LinkAction
from app.campaigns.notice_text import INFORMATION_PATH
from app.http.boundary import ErrorBoundary, check_host, with_compression, with_content_policy, with_origins
from app.http.graphiql import with_graphiql
from app.http.graphql import Documents, GraphQLEndpoint, render_graphql_error
from app.http.health import HEALTH, READY, Readiness, respond_alive
from app.http.ingest import IngestEndpoint, render_ingest_error
from app.http.media import MediaEndpoint
from app.http.media_store import open_store
from app.http.metrics import metrics_routes
from app.http.persisted_documents import open_documents
from app.http.retraction_stream import RetractionStreamEndpoint
from app.releases.download import RELEASE, ReleaseEndpoint
from app.server.status import ServerStatus
from app.settings import Settings
from app.telemetry import observe
from app.web.dashboard import dashboard_routes
from app.web.dashboard.layout import HOME, error_page
from app.web.pages import load_operations
from app.web.privacy import page_routes
from app.web.privacy.my_data import my_data_error
from app.web.privacy.objection_form import objection_error
from app.web.privacy.public_pages import PUBLIC_PATH, public_error
from db.connection import Database
from db.ingest.staging import Stager
from schema.build import GatewaySchema, build_schema
from schema.context import Gateway
from schema.training.media import MEDIA_PATH

ERROR_RENDERERS = {  # how an error looks, by the path that it happens on
    "/graphql": render_graphql_error,
    "/ingest": render_ingest_error,
    LinkAction.OBJECT: objection_error,
    LinkAction.ME: my_data_error,
    HOME: error_page,
    PUBLIC_PATH: public_error,
    INFORMATION_PATH: public_error,
}


def build_app(
    database: Database,
    stager: Stager,
    secret: bytes,
    authenticator: Authenticator,
    settings: Settings,
    hosts: frozenset[str],
    status: ServerStatus,
) -> ASGIApp:
    """Construct the app over open pools: every route and what surrounds it.

    Raises SettingsError when a trusted document, a text or the logo is not what it must be.
    """
    gateway = _make_gateway(database, secret, settings)
    schema = build_schema(introspection=settings.introspection)
    graphql = GraphQLEndpoint(schema, _read_documents(settings, schema), gateway, authenticator)
    status.reload = partial(_reload_documents, graphql, settings, schema)
    ask = with_graphiql(graphql.respond) if settings.graphiql else graphql.respond
    sessions = Sessions(secret, database.staff, path=HOME, secure=(settings.public_url or "").startswith("https:"))
    routes = [
        Route("/graphql", ask, methods=["GET", "POST"]),  # what may be trained on, and every other question about it
        # What the platform says happened.
        Route("/ingest", IngestEndpoint(database, stager, authenticator).respond, methods=["POST"]),
        # What training clients take as files.
        Route(RELEASE, ReleaseEndpoint(gateway, authenticator, settings.release_folder).respond),
        Route(f"{MEDIA_PATH}{{address}}", MediaEndpoint(gateway, authenticator, open_store(settings)).respond),
        # What training clients have to delete.
        Route("/retractions", RetractionStreamEndpoint(gateway, authenticator).respond),
        # Whether this process answers, and whether it can answer the others.
        Route(HEALTH, respond_alive),
        Route(READY, Readiness(database, status).respond),
        # What an operator measures.
        *metrics_routes(database, settings.metrics_token),
        # Everyone: what is used, under which rules. The people whose data it is: object, and read what is known.
        *page_routes(gateway, graphql, authenticator, settings),
        # Officers and auditors.
        *dashboard_routes(graphql, authenticator, sessions, secret, settings),
    ]
    answered = ErrorBoundary(check_host(with_compression(Router(routes)), hosts), ERROR_RENDERERS)
    return with_content_policy(with_origins(answered, settings.origins))


def _read_documents(settings: Settings, schema: GatewaySchema) -> Documents:
    """Read the documents that the app trusts: those of the file, and its own. Raises SettingsError."""
    return open_documents(settings.documents, settings.documents_only, schema, load_operations().values())


def _reload_documents(graphql: GraphQLEndpoint, settings: Settings, schema: GatewaySchema) -> None:
    """Let the app trust the documents that the file contains now. Raises SettingsError, and keeps those before."""
    graphql.documents = _read_documents(settings, schema)


def _make_gateway(database: Database, secret: bytes, settings: Settings) -> Gateway:
    """Make the state that all requests of the app share."""
    return Gateway(
        database,
        secret,
        webhook_networks=settings.webhook_networks,
        on_delivered=observe.delivered,
        offers=settings.offers,
        items_per_shard=settings.release_items,
        reason_required=settings.reason_required,
        public_url=settings.public_url or "",
    )
