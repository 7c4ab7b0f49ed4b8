"""Errors for clients. Each error says what was wrong, where, and what to do."""

from graphql import GraphQLError


class BadInput(GraphQLError):
    """An argument that cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "BAD_USER_INPUT"})


class CursorLost(BadInput):
    """A cursor from before the database was restored."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.extensions = {"code": "CURSOR_LOST"}


class ReasonRequired(GraphQLError):
    """An operation that reads people's data for staff, sent without the reason that this gateway requires."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "REASON_REQUIRED"})


class Forbidden(GraphQLError):
    """A field that the role may not read; the schema says so too, so nothing is disclosed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "FORBIDDEN"})


class FeatureUnavailable(GraphQLError):
    """A feature that this gateway does not have, or not at this moment."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "UNAVAILABLE"})
