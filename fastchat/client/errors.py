"""What the client raises. None of these texts has a token or the content of a message in it."""

from typing import Self

from msgspec import UNSET

from fastchat.protocol.system_types import AuthError, Error


class ClientError(Exception):
    """Everything that the client raises by itself."""


class ClientClosed(ClientError):
    """The client is at its end, and the text says why: closed by its user, or refused for good."""


class ConnectionLost(ClientError):
    """The connection ended before the answer: not known to be done."""


class OutboxFull(ClientError):
    """Too many messages wait to be sent; wait until some are stored."""


class MessageTooBig(ClientError):
    """The server ended the connection because of the size of this message; it is not sent again."""


class StreamOverflow(ClientError):
    """Events came faster than they were read from a stream."""


class TokenUnavailable(ClientError):
    """For those who give tokens to raise: there will be none, do not ask again."""


class TokenTrouble(ClientError):
    """Whoever gives tokens has failed in another way; he is asked again later."""


class CommandFailed(ClientError):
    """The server refused a command.

    ``code`` is one of docs/protocol.md, "Errors", or one of a later server; ``retry_after`` is
    seconds, and None where another try is not known to help.
    """

    def __init__(self, code: str, details: str) -> None:
        """Take what the server said."""
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.field: str | None = None
        self.retry_after: float | None = None
        self.error_id: str | None = None

    @classmethod
    def of(cls, event: Error | AuthError) -> Self:
        """Return what the server's event says."""
        error = cls(event.code, event.details or event.message)
        if event.retry_after is not UNSET:
            error.retry_after = float(event.retry_after)
        if isinstance(event, Error):
            error.field = None if event.field is UNSET else event.field
            error.error_id = None if event.error_id is UNSET else event.error_id
        return error


class AuthenticationFailed(CommandFailed):
    """The server refused the token, or ended the session."""
