"""Send requests to a gateway with a valid token. Repeat them while the gateway is busy or the connection breaks."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx

Answer = TypeVar("Answer")
TokenProvider = Callable[[], str]
_BUSY: Final = frozenset({429, 502, 503, 504})
_BUSY_CODE: Final = "TIMEOUT"
_LONGEST_PAUSE: Final = 30.0


class GatewayError(Exception):
    """An error that the gateway returned. `code` is the code of the GraphQL error, or the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class _TryAgainError(Exception):
    """A request that can be repeated, and after how many seconds, if the gateway says so."""

    def __init__(self, error: Exception, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


class GatewayConnection:
    """A connection to a gateway for one client. `patience` is the number of seconds for which a request is repeated."""

    def __init__(self, url: str, token: str | TokenProvider, patience: float, timeout: float) -> None:
        self._token = token if callable(token) else lambda: token
        self._patience = patience
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout)

    def close(self) -> None:
        """Close the connection to the gateway."""
        self._http.close()

    def execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Execute a GraphQL operation. Raises GatewayError."""

        def attempt() -> dict[str, Any]:
            """Execute a GraphQL operation once."""
            response = self._http.post(
                "/graphql", json={"query": query, "variables": dict(variables)}, headers=self._headers()
            )
            _check_status(response)
            answer = response.json()
            if answer.get("errors"):
                first = answer["errors"][0]
                error = GatewayError(str(first.get("extensions", {}).get("code", "ERROR")), first["message"])
                if error.code == _BUSY_CODE:
                    raise _TryAgainError(error)
                raise error
            data: dict[str, Any] = answer["data"]
            return data

        return self._repeat(attempt)

    def get(self, path: str, patience: float | None = None) -> bytes:
        """Get a document of the gateway. Raises GatewayError."""

        def attempt() -> bytes:
            """Get a document once."""
            response = self._http.get(path, headers=self._headers())
            _check_status(response)
            return response.content

        return self._repeat(attempt, patience)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open a response that is read piece by piece; 304, 412 and 416 are for the caller. Raises GatewayError."""

        def attempt() -> httpx.Response:
            """Open the response once."""
            request = self._http.build_request("GET", path, headers={**self._headers(), **headers})
            response = self._http.send(request, stream=True)
            if response.status_code not in (304, 412, 416):
                try:
                    if response.is_error:
                        response.read()
                    _check_status(response)
                except BaseException:
                    response.close()
                    raise
            return response

        opened = self._repeat(attempt)
        try:
            yield opened
        finally:
            opened.close()

    def _headers(self) -> dict[str, str]:
        """Return the headers of a request to the gateway, with a token that is valid now."""
        return {"Authorization": f"Bearer {self._token()}"}

    def _repeat(self, attempt: Callable[[], Answer], patience: float | None = None) -> Answer:
        """Repeat a request to the gateway until it is answered, or the patience ends."""
        end = time.monotonic() + (self._patience if patience is None else patience)
        pause = 0.25
        while True:
            try:
                return attempt()
            except httpx.TransportError as error:
                again = _TryAgainError(error)
            except _TryAgainError as error:
                again = error
            seconds = min(again.seconds or pause * random.uniform(0.5, 1.5), _LONGEST_PAUSE)  # noqa: S311 - no secret
            if time.monotonic() + seconds > end:
                if isinstance(again.error, httpx.TransportError):
                    raise GatewayError("UNREACHABLE", f"the gateway cannot be reached: {again.error}") from None
                raise again.error
            time.sleep(seconds)
            pause *= 2


def _check_status(response: httpx.Response) -> None:
    """Raise GatewayError if a response is an error, or _TryAgainError if the request can be repeated."""
    if response.status_code < 400:
        return
    try:
        message = str(response.json()["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        message = response.text[:200]
    error = GatewayError(str(response.status_code), message)
    if response.status_code in _BUSY:
        stated = response.headers.get("retry-after", "")
        raise _TryAgainError(error, float(stated) if stated.isdigit() else None)
    raise error
