"""Everything that can go wrong and crosses the wire.

Two kinds: a CommandError answers one command and the connection lives on; a Disconnect ends the
connection. Anything else that is raised is a bug.
"""


class CommandError(Exception):
    """The answer to one command that was refused.

    Source: docs/protocol.md, "Errors".
    """

    code = "INTERNAL_ERROR"
    message = "Internal error"
    details = "The server could not process this command."

    def __init__(
        self,
        details: str | None = None,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Take the sentence for people, the wire name of the field, whole seconds to wait."""
        super().__init__(details or self.details)
        self.details = details or self.details
        self.field = field
        self.retry_after = retry_after
        self.request_id: str | None = None  # of the command, where it has one


class InvalidJson(CommandError):
    """The payload is no JSON object."""

    code = "INVALID_JSON"
    message = "Invalid JSON"
    details = "Expected one JSON object in a text frame."


class UnknownType(CommandError):
    """The `type` is missing, no string or not known."""

    code = "UNKNOWN_TYPE"
    message = "Unknown message type"
    details = "The field 'type' must name a known command."


class ValidationError(CommandError):
    """A known command with a wrong field."""

    code = "VALIDATION_ERROR"
    message = "Validation failed"
    details = "A field has a wrong value."


class AuthRequired(CommandError):
    """The command needs a session."""

    code = "AUTH_REQUIRED"
    message = "Authentication required"
    details = "Please authenticate to continue."


class RateLimited(CommandError):
    """Too many commands in the window."""

    code = "RATE_LIMIT_EXCEEDED"
    message = "Rate limit exceeded"
    details = "You are sending messages too quickly. Please wait before sending another message."


class UserBlocked(CommandError):
    """One of the two users blocks the other."""

    code = "USER_BLOCKED"
    message = "Message blocked"
    details = "You cannot send messages to this user."


class EditWindowExpired(CommandError):
    """The message is too old to be edited."""

    code = "EDIT_WINDOW_EXPIRED"
    message = "Edit window expired"
    details = "This message can no longer be edited."


class PermissionDenied(CommandError):
    """The user may see the thing but not do this to it."""

    code = "PERMISSION_DENIED"
    message = "Permission denied"
    details = "You may not do this."


class GroupFull(CommandError):
    """The group has as many members as it may have."""

    code = "GROUP_FULL"
    message = "Group is full"
    details = "The group has no room for more members."


class OwnerCannotLeave(CommandError):
    """The owner has to hand the group over first, or to delete it."""

    code = "OWNER_CANNOT_LEAVE"
    message = "The owner cannot leave"
    details = "Transfer the ownership of the group first, or delete the group."


class ResourceNotFound(CommandError):
    """It does not exist, or the user may not see it."""

    code = "RESOURCE_NOT_FOUND"
    message = "Not found"
    details = "There is no such thing, or you cannot see it."


class ServiceUnavailable(CommandError):
    """The database did not answer, or too much work is waiting; not known to be stored."""

    code = "SERVICE_UNAVAILABLE"
    message = "Service temporarily unavailable"
    details = "The command is not known to have been carried out. Please send it again."

    def __init__(self, details: str | None = None, *, retry_after: int = 1) -> None:
        """Take whole seconds after which another try makes sense."""
        super().__init__(details, retry_after=retry_after)


class AuthFailed(Exception):
    """The token was refused; answered by `auth_error`, not by `error`."""

    code = "AUTH_FAILED"

    def __init__(
        self, details: str, *, code: str = "AUTH_FAILED", retry_after: int | None = None
    ) -> None:
        """Take the sentence for people, the code, whole seconds to wait before the next try."""
        super().__init__(details)
        self.details = details
        self.code = code
        self.retry_after = retry_after


class Disconnect(Exception):
    """Ends the connection with a WebSocket close code."""

    close_code = 1011

    def __init__(self, reason: str, close_code: int | None = None) -> None:
        """Take the reason sent in the close frame, at most 123 bytes."""
        super().__init__(reason)
        self.reason = reason
        if close_code is not None:
            self.close_code = close_code
