"""Translation of Google's errors into one-line errors of `phonics_data.errors` with an instruction for the user."""

from __future__ import annotations

import re

from phonics_data.errors import EngineError, EnginePausedError, PhonicsDataError, RecognitionError

_MAX_MESSAGE_CHARACTERS = 240

_NO_NETWORK = re.compile(r"ConnectionPool\(|Connection (aborted|reset|refused)|timed out|resolve", re.IGNORECASE)
"""Messages of the HTTP library when the sign-in server is not reachable."""

HOW_TO_SIGN_IN = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service "
    "account with access to Speech-to-Text"
)


def external_errors() -> tuple[type[Exception], ...]:
    """The exceptions of Google's libraries and of the network."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return GoogleAPIError, GoogleAuthError, OSError


def is_transient(error: BaseException) -> bool:
    """Whether a retry of the same request can succeed."""
    from google.api_core import exceptions as api

    transient = (
        api.ServiceUnavailable,
        api.DeadlineExceeded,
        api.InternalServerError,
        api.TooManyRequests,
        api.Aborted,
    )
    return isinstance(error, transient) and not _is_about_credentials(error)


def may_be_billed(error: BaseException) -> bool:
    """Whether Google can have processed a request that failed with this error."""
    from google.api_core import exceptions as api

    return isinstance(error, api.DeadlineExceeded | api.InternalServerError | api.Unknown)


def root_cause(error: BaseException) -> BaseException:
    """The last failure before the retries ended."""
    from google.api_core.exceptions import RetryError

    return error.cause or error if isinstance(error, RetryError) else error


def translate_error(failure: Exception, request: str) -> PhonicsDataError:
    """The error of this package for one of google.api_core, google.auth or their HTTP library.

    Args:
        request: description of the audio or object that was requested.
    """
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    error = root_cause(failure)
    message = one_line(error)
    if isinstance(error, auth.TransportError):
        return EnginePausedError(
            f"Google: the sign-in server is not reachable ({message}); run the same command again later to continue"
        )
    if isinstance(error, auth.GoogleAuthError | api.Unauthenticated) or _is_about_credentials(error):
        return EngineError(f"Google: no valid credentials ({message}); {HOW_TO_SIGN_IN}")
    if isinstance(error, api.Forbidden):
        return EngineError(
            f"Google: {request} is not allowed with these credentials ({message}); enable Speech-to-Text and billing in the "
            "project, and grant the account the role Cloud Speech Client (and Storage Object User on the bucket)"
        )
    if isinstance(error, api.NotFound):
        return EngineError(
            f"Google: {request}: not found ({message}); check --google-project, --google-location and --bucket"
        )
    if isinstance(error, api.TooManyRequests):
        return EnginePausedError(f"Google: quota exhausted ({message}); run the same command again later to continue")
    if isinstance(error, api.ServerError | api.Cancelled) or not isinstance(error, api.GoogleAPICallError):
        return EnginePausedError(
            f"Google: no response for {request} ({message}); run the same command again later to continue"
        )
    return RecognitionError("recognition_failed", f"Google rejected {request} ({message})")


def _is_about_credentials(error: BaseException) -> bool:
    """Whether the credentials were rejected. gRPC reports this, and a sign-in without network, as a server error."""
    message = str(error)
    return "metadata from plugin failed" in message and not _NO_NETWORK.search(message)


def one_line(error: BaseException) -> str:
    """Type and message of the error, on one line of limited length."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    text = " ".join(str(message).split())
    name = type(error).__name__
    return f"{name}: {text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[:_MAX_MESSAGE_CHARACTERS] + '...'}"
