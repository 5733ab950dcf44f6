"""Answers to single commands, and the counts of them that telemetry reads. Hot path."""

import logging
import traceback
import uuid

from fastchat._speedups import LatencyHistogram
from fastchat.errors import CommandError
from fastchat.interfaces import Connection
from fastchat.protocol.events import encode_error, encode_internal_error, with_request_id

log = logging.getLogger(__name__)


class Answers:
    """Sends replies and errors to those who asked.

    Attributes:
        commands: Text messages that arrived.
        errors_by_code: Commands, log-ins and sessions that were refused or failed, by the code
            of the answer.
        send_to_ack: Seconds from a message's arrival to its acknowledgement.
        send_to_delivery: Seconds from its arrival to the outbox of a receiver.
    """

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.commands = 0
        self.errors_by_code: dict[str, int] = {}
        self.send_to_ack = LatencyHistogram()
        self.send_to_delivery = LatencyHistogram()

    def count(self, code: str) -> None:
        """Count one error of a code."""
        self.errors_by_code[code] = self.errors_by_code.get(code, 0) + 1

    def reply(self, connection: Connection, payload: bytes, request_id: str | None) -> None:
        """Answer one command."""
        connection.send_reply(with_request_id(payload, request_id))

    def refuse(
        self, connection: Connection, error: CommandError, request_id: str | None = None
    ) -> None:
        """Tell why a command was not carried out; the connection lives on."""
        error.request_id = error.request_id or request_id
        self.count(error.code)
        connection.send(encode_error(error))

    def fail(
        self, connection: Connection, error: BaseException, request_id: str | None = None
    ) -> None:
        """Answer a command that met a bug: an id for the client, where it happened for the log."""
        error_id = str(uuid.uuid4())
        self.count("INTERNAL_ERROR")
        # Where, not what: the text of an exception may hold what a client sent.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("a command failed with %s, error %s\n%s", type(error).__name__, error_id, where)
        connection.send(with_request_id(encode_internal_error(error_id), request_id))
