"""What a client is told when a request cannot be answered: what was wrong, where, and what to do."""

from graphql import GraphQLError


class BadInput(GraphQLError):
    """Say that an argument cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "BAD_USER_INPUT"})


class Forbidden(GraphQLError):
    """Say that a field is not for the role that asks; the schema says so too, so nothing is given away."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "FORBIDDEN"})
