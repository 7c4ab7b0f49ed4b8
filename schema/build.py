"""Build the schema and check that each field declares its readers."""

import strawberry
from graphql import GraphQLError, GraphQLSchema
from strawberry.extensions import DisableIntrospection
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.enums import SCALARS
from schema.execution.operations import CompilingExecutionContext, Validation
from schema.governed import check_governance
from schema.mutation import Mutation
from schema.query import Query
from schema.records.account import Account
from schema.records.content import Content
from schema.training.trainable_content import TrainableContent


class GatewaySchema(strawberry.Schema):
    """A schema that logs nothing: strawberry would write the query's text beside each error."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave the errors of the GraphQL API to `app.http.graphql`, which answers and observes them."""

    @property
    def core(self) -> GraphQLSchema:
        """Return graphql-core's form of the GraphQL API's schema."""
        return self._schema


def build_schema(*, introspection: bool = True) -> GatewaySchema:
    """Build the schema of the GraphQL API. Raises TypeError when a field does not declare its readers.

    Without `introspection`, documents that ask for `__schema` or `__type` are not valid.
    """
    schema = GatewaySchema(
        query=Query,
        mutation=Mutation,
        types=[TrainableContent, Content, Account],
        extensions=[Validation, *(() if introspection else (DisableIntrospection,))],
        execution_context_class=CompilingExecutionContext,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    check_governance(schema.core)
    return schema
