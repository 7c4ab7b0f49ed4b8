"""The schema, put together and checked."""

import strawberry
from graphql import GraphQLError, GraphQLSchema
from strawberry.extensions import AddValidationRules, DisableIntrospection
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.account import Account
from schema.compiled import CompilingExecutionContext
from schema.content import Content
from schema.governed import check_governance
from schema.limits import DocumentLimits
from schema.mutation import Mutation
from schema.query import Query
from schema.trainable import TrainableContent
from schema.validation import Validation
from schema.values import SCALARS


class _Limits(AddValidationRules):
    """Refuse documents that ask for too much."""

    def __init__(self) -> None:
        super().__init__([DocumentLimits])


class GatewaySchema(strawberry.Schema):
    """Execute without a word to the log: strawberry would write the query's text beside each error."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave errors to `app.http`, which answers and observes them."""

    @property
    def core(self) -> GraphQLSchema:
        """Give graphql-core's schema."""
        return self._schema


def build_schema(*, introspection: bool = True) -> GatewaySchema:
    """Build the schema. Raises TypeError when a field does not declare who may read it.

    Without `introspection`, documents that ask for `__schema` or `__type` are not valid.
    """
    schema = GatewaySchema(
        query=Query,
        mutation=Mutation,
        types=[TrainableContent, Content, Account],
        extensions=[
            Validation,
            _Limits,
            *(() if introspection else (DisableIntrospection,)),
        ],
        execution_context_class=CompilingExecutionContext,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    check_governance(schema.core)
    return schema
