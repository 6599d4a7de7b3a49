"""Google's refusals as our own errors, one line each: whose turn it is, and what to do."""

from __future__ import annotations

import re

from phonics_data.errors import EngineError, EnginePausedError, PhonicsDataError, RecognitionError

_LONGEST = 240

_NO_NETWORK = re.compile(r"ConnectionPool\(|Connection (aborted|reset|refused)|timed out|resolve", re.IGNORECASE)
"""How the HTTP library beneath the sign-in says that it reached nobody."""

HOW_TO_SIGN_IN = (
    "run `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name the key file of a service "
    "account that may use Speech-to-Text"
)


def from_outside() -> tuple[type[Exception], ...]:
    """What Google's libraries and the network beneath them raise."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return GoogleAPIError, GoogleAuthError, OSError


def is_passing(error: BaseException) -> bool:
    """Whether the same request may well succeed in a moment."""
    from google.api_core import exceptions as api

    passing = (api.ServiceUnavailable, api.DeadlineExceeded, api.InternalServerError, api.TooManyRequests, api.Aborted)
    return isinstance(error, passing) and not _is_about_credentials(error)


def may_have_cost(error: BaseException) -> bool:
    """Whether Google may have worked on a request that failed so: the answer did not arrive in time."""
    from google.api_core import exceptions as api

    return isinstance(error, api.DeadlineExceeded | api.InternalServerError | api.Unknown)


def cause_of(error: BaseException) -> BaseException:
    """The last failure, where trying again was given up."""
    from google.api_core.exceptions import RetryError

    return error.cause or error if isinstance(error, RetryError) else error


def translated(failure: Exception, what: str) -> PhonicsDataError:
    """Our error for one of google.api_core, google.auth or the HTTP library beneath them.

    Args:
        what: which part of which audio was asked for, or which object.
    """
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    error = cause_of(failure)
    said = one_line(error)
    if isinstance(error, auth.TransportError):
        return EnginePausedError(f"Google: its sign-in cannot be reached ({said}); the same command goes on later")
    if isinstance(error, auth.GoogleAuthError | api.Unauthenticated) or _is_about_credentials(error):
        return EngineError(f"Google: no valid credentials ({said}); {HOW_TO_SIGN_IN}")
    if isinstance(error, api.Forbidden):
        return EngineError(
            f"Google: {what} is not allowed to these credentials ({said}); enable Speech-to-Text and billing in the "
            "project, and give the account the role Cloud Speech Client (and Storage Object User on the bucket)"
        )
    if isinstance(error, api.NotFound):
        return EngineError(
            f"Google: {what}: not found ({said}); check --google-project, --google-location and --bucket"
        )
    if isinstance(error, api.TooManyRequests):
        return EnginePausedError(f"Google: quota used up ({said}); the same command goes on when there is some again")
    if isinstance(error, api.ServerError | api.Cancelled) or not isinstance(error, api.GoogleAPICallError):
        return EnginePausedError(f"Google: no answer for {what} ({said}); the same command goes on later")
    return RecognitionError("recognition_failed", f"Google refused {what} ({said})")


def _is_about_credentials(error: BaseException) -> bool:
    """Whether signing in was refused. gRPC calls that an unavailable server, as it does when signing in has no network."""
    said = str(error)
    return "metadata from plugin failed" in said and not _NO_NETWORK.search(said)


def one_line(error: BaseException) -> str:
    """What the error says, short enough for a line."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    text = " ".join(str(message).split())
    name = type(error).__name__
    return f"{name}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"
