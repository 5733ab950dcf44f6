"""Negotiation of permessage-deflate."""

import pytest

from fastchat.transport.extensions import negotiate

BASE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("headers", "bits", "answer"),
    [
        (["permessage-deflate"], 13, BASE),
        (["permessage-deflate; client_max_window_bits"], 13, BASE),
        (["permessage-deflate; client_max_window_bits=8"], 13, BASE),
        (["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], 13, BASE),
        (["permessage-deflate; server_max_window_bits=9"], 9, BASE + "; server_max_window_bits=9"),
        (
            ['permessage-deflate ; server_max_window_bits = "15"'],
            13,
            BASE + "; server_max_window_bits=13",
        ),
        (["x-other, permessage-deflate"], 13, BASE),
        (["x-other", "permessage-deflate"], 13, BASE),
        (
            ["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            13,
            BASE,
        ),
    ],
)
def test_first_offer_that_can_be_kept_is_accepted(headers, bits, answer):
    assert negotiate(headers) == (bits, answer)


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate;",
    ],
)
def test_offer_that_cannot_be_kept_or_is_malformed_is_declined(offer):
    assert negotiate([offer]) is None


def test_only_the_first_offers_of_many_are_looked_at():
    assert negotiate([", ".join(["x"] * 1000 + ["permessage-deflate"])]) is None
