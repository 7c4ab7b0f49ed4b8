"""What schemathesis is told of the gateway: which refusals are meant, and what every answer must look like besides.

Loaded by schemathesis, in its own environment. All of its checks stay on.
"""

from typing import Any

import schemathesis  # type: ignore[import-not-found]  # it is installed where this runs, not here

# Refusals of fields that the role may not read, of arguments that nothing has, and of AVAILABILITY without offers.
MEANT = {"FORBIDDEN", "BAD_USER_INPUT", "UNAVAILABLE"}
# Never answered with data here: it takes a whole policy, a release, published counts, or `grounds verify` to have run.
WITHOUT_DATA = {"simulatePolicy", "ledgerVerification", "release", "coverage"}


def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Keep a failure, unless it is but a refusal that is meant.

    Schemathesis takes an error with a path for a failure of the server, and one without for a good document refused.
    """
    if type(failure).__name__ not in {"GraphQLServerError", "GraphQLClientError"}:
        return True
    return not all(_is_meant(error) for error in failure.errors)


def _is_meant(error: dict[str, Any]) -> bool:
    code = error.get("extensions", {}).get("code")
    # A document that is too deep or too dear is refused before it is executed. No standard rule's sentence ends so.
    refused = code == "GRAPHQL_VALIDATION_FAILED" and "path" not in error
    too_much = refused and error["message"].endswith(")")
    return code in MEANT or too_much


def answer_is_as_specified(context: Any, response: Any, case: Any) -> None:
    """Check the shape of every answer, its errors above all (GraphQL specification, section 7.1)."""
    media = response.headers["content-type"][0].partition(";")[0]
    assert media in {"application/json", "application/graphql-response+json"}, f"the media type is {media}"
    answer = _answer(response)
    assert answer.keys() <= {"data", "errors", "extensions"}, f"the answer has entries {sorted(answer)}"
    assert answer.get("data") is None or isinstance(answer["data"], dict), "data is not a map"
    assert "data" in answer or "errors" in answer, "the answer has neither data nor errors"
    errors = answer.get("errors", [])
    assert isinstance(errors, list), "errors is not a list"
    assert errors or "errors" not in answer, "errors is empty"
    for error in errors:
        _check_error(error)
    if errors:
        begun = any("path" in error for error in errors)  # at a field, so execution had begun
        assert begun == ("data" in answer), "data belongs to an answer whose execution began, and only there"


def _answer(response: Any) -> dict[str, Any]:
    """Read the answer; what is not JSON, or not a map, is a failure by a check of schemathesis's own."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _check_error(error: Any) -> None:
    assert isinstance(error, dict), "an error is not a map"
    assert error.keys() <= {"message", "locations", "path", "extensions"}, f"an error has entries {sorted(error)}"
    assert isinstance(error.get("message"), str), "an error's message is not a string"
    assert isinstance(error.get("extensions", {}), dict), "an error's extensions are not a map"
    for place in error.get("locations", []):
        assert place.keys() == {"line", "column"}, "a location is not a line and a column"
        assert min(place.values()) >= 1, "a location is not counted from 1"
    for step in error.get("path", []):
        assert type(step) in {str, int}, "a path has something else than names and indices"


class EveryFieldIsReached:
    """A check that each root field of Query for this role gave data once; a run with only refusals fails.

    Mutations are sent as well, but few arguments made up at random are good.
    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.answered: set[str] = set()
        self.tried: set[str] = set()
        self.reached: set[str] = set()
        self.forbidden: set[str] = set()

    def after_response(self, context: Any, response: Any, case: Any) -> None:
        """Note what a root field answered."""
        kind, _, field = case.operation.label.partition(".")
        answer = _answer(response)
        errors = answer.get("errors", [])
        if kind == "Query":
            self.tried.add(field)
        if any(value is not None for value in (answer.get("data") or {}).values()) and not errors:
            self.reached.add(field)
            self.answered.add(case.id)
        if any(_code(error) == "FORBIDDEN" and len(error["path"]) == 1 for error in errors):
            self.forbidden.add(field)

    def after_run(self, context: Any) -> None:
        """Compare."""
        missed = self.tried - self.reached - self.forbidden - WITHOUT_DATA
        print(f"{len(self.answered)} cases were answered with data: {', '.join(sorted(self.reached))}")
        assert not missed, f"never answered with data: {', '.join(sorted(missed))}"


def _code(error: dict[str, Any]) -> Any:
    return error.get("extensions", {}).get("code")


schemathesis.hook(filter_failure)
schemathesis.check(answer_is_as_specified)
schemathesis.check(EveryFieldIsReached)
