"""Hands webhooks to the main backend: one signed POST each, over connections that are kept.

Source: the Standard Webhooks specification, "Signature scheme"; docs/backend-api.md, "Webhooks".
"""

import asyncio
import base64
import hashlib
import hmac

import aiohttp

TIMEOUT = 10.0  # seconds for one answer


def sign(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a body, sent at a time in Unix seconds, as its header has it."""
    signed = b".".join((webhook_id.encode(), str(timestamp).encode(), body))
    digest = hmac.digest(secret, signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


class WebhookPoster:
    """Posts webhooks to one URL."""

    def __init__(self, url: str, secret: bytes, *, timeout: float = TIMEOUT) -> None:
        """Take the address, the key of the signatures, and seconds for one answer."""
        self._url = url
        self._secret = secret
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def post(self, webhook_id: str, timestamp: int, body: bytes) -> str | None:
        """Hand one over; return why it was not taken, None when it was.

        Only an answer from 200 to 299 says that it was; redirects are not followed.

        Args:
            webhook_id: The same for every try.
            timestamp: Unix seconds of this try.
            body: JSON text.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout), trust_env=False
            )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "fastchat",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, webhook_id, timestamp, body),
        }
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    return None
                return f"status {response.status}, expected 200 to 299"
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The kind alone: the text may hold the address, and with it a password.
            return f"not reached: {type(error).__name__}"

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            # The transports of TLS connections end a turn later.
            await asyncio.sleep(0)
