"""Validate the literal values of a document, and name the argument of each wrong one as the schema does."""

from typing import Any

from graphql import ArgumentNode, GraphQLError, GraphQLInputType, ValueNode
from graphql.language.visitor import SKIP, VisitorAction
from graphql.utilities.validate_input_value import validate_input_literal
from graphql.validation import ValuesOfCorrectTypeRule


class NamedValuesRule(ValuesOfCorrectTypeRule):
    """The rule of GraphQL (5.6.1) for literal values, whose errors name the argument, the field within, and the place.

    graphql-core's own rule leaves out both where a scalar refuses a value.
    """

    _argument: str | None = None

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        """Note the argument of a GraphQL document to which the next values belong."""
        self._argument = node.name.value

    def leave_argument(self, *_: Any) -> None:
        """Forget the argument of a GraphQL document whose values were validated."""
        self._argument = None

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Report what is wrong with one literal value of a GraphQL document."""

        def on_error(error: GraphQLError, path: list[str | int]) -> None:
            """Report one error of a literal value, with the names that lead to it."""
            names = [part for part in (self._argument, *path) if isinstance(part, str)]
            message = ": ".join([*([".".join(names)] if names else []), error.message])
            self.report_error(GraphQLError(message, error.nodes or node, original_error=error.original_error))

        if input_type:
            validate_input_literal(node, input_type, on_error, None, None, self.context.hide_suggestions)
        return SKIP
