"""The Python client: one user's connection to a chat, kept up over every trouble of the network.

    async with Client("wss://chat.example.org", get_token) as client:
        client.on(NewPrivateMessage, lambda event: print(event.message.content))
        sent = await client.send_private_message("2", "hello")

What it does when, and which close codes are final, is in docs/clients.md. Commands and events are
the Structs of ``fastchat.protocol``.
"""

from fastchat.client.client import Client
from fastchat.client.errors import (
    AuthenticationFailed,
    ClientClosed,
    ClientError,
    CommandFailed,
    ConnectionLost,
    MessageTooBig,
    OutboxFull,
    StreamOverflow,
    TokenUnavailable,
)
from fastchat.client.pauses import full_jitter
from fastchat.client.positions import SavedPositions
from fastchat.client.sending import TRY_AGAIN
from fastchat.client.signals import (
    CaughtUp,
    LeftGroup,
    Resync,
    SendDelayed,
    State,
    StateChanged,
    Unknown,
)

__all__ = [
    "TRY_AGAIN",
    "AuthenticationFailed",
    "CaughtUp",
    "Client",
    "ClientClosed",
    "ClientError",
    "CommandFailed",
    "ConnectionLost",
    "LeftGroup",
    "MessageTooBig",
    "OutboxFull",
    "Resync",
    "SavedPositions",
    "SendDelayed",
    "State",
    "StateChanged",
    "StreamOverflow",
    "TokenUnavailable",
    "Unknown",
    "full_jitter",
]
