"""The generated documents: valid, committed as they are, and the same as what the codec accepts."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fastchat import __version__
from fastchat.cli import main
from fastchat.cli.schema import asyncapi_text, json_schema_text, openapi_text
from fastchat.errors import CommandError
from fastchat.protocol.asyncapi import asyncapi, message_name
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Bounds, find_ids, type_of
from fastchat.protocol.commands import COMMANDS, TYPE_SPELLINGS
from fastchat.protocol.event_types import EVENTS, REPLIES
from fastchat.protocol.json_schema import json_schema
from fastchat.protocol.openapi import OPERATIONS, openapi
from fastchat.protocol.service_types import WEBHOOKS
from tests.unit.protocol.test_documentation import ENCODED, EXAMPLES, ROOT, TAGS

SCHEMA = json_schema()
DOCUMENT = asyncapi(__version__)
HTTP = openapi(__version__)
CODEC = Codec(Bounds(message_length=10_000, group_members=10_000))  # the schema knows neither
ID = re.compile(r"[A-Za-z0-9_.-]+")


def validator(name):
    return Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{name}"}]})


COMMAND, EVENT = validator("command"), validator("event")
BY_TYPE = {type_of(kind): validator(kind.__name__) for kind in COMMANDS}
BY_TYPE |= {spelling: BY_TYPE[name] for spelling, name in TYPE_SPELLINGS.items()}


def references(value):
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "$ref":
                yield one
            else:
                yield from references(one)


def find(document, place):
    for name in place.removeprefix("#/").split("/"):
        document = document[name]
    return document


# The files


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("protocol.schema.json", json_schema_text),
        ("asyncapi.json", asyncapi_text),
        ("openapi.json", openapi_text),
    ],
)
def test_the_committed_file_is_what_is_generated(name, write):
    is_same = (ROOT / "docs/schema" / name).read_text("utf-8") == write()
    assert is_same, "`make docs` writes it again"


def test_the_command_prints_either_document(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert main(["schema", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert main(["schema", "--asyncapi"]) == 0
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert main(["schema", "--openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == HTTP


# JSON Schema


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "document", [SCHEMA, DOCUMENT, HTTP], ids=["schema", "asyncapi", "openapi"]
)
def test_every_reference_leads_somewhere(document):
    for place in set(references(document)):
        assert find(document, place)


def test_every_command_and_every_event_is_in_the_schema():
    for name, kinds in (("command", COMMANDS), ("event", EVENTS)):
        listed = {place.removeprefix("#/$defs/") for place in references(SCHEMA["$defs"][name])}
        assert listed == {kind.__name__ for kind in kinds}


def test_everything_in_the_schema_says_what_it_is():
    assert [name for name, one in SCHEMA["$defs"].items() if not one.get("description")] == []


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if "type" in example],
    ids=lambda example: example["type"],
)
def test_every_example_in_the_documentation_fits_the_schema(example):
    BY_TYPE.get(example["type"], EVENT).validate(example)


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_what_the_server_sends_fits_the_schema_also_with_more_fields(event):
    EVENT.validate(event)
    EVENT.validate({**event, "surprise": 1})


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_an_event_without_one_of_its_fields_does_not_fit_unless_the_field_is_optional(event):
    required = [
        set(SCHEMA["$defs"][kind.__name__]["required"])
        for kind in EVENTS
        if type_of(kind) == event["type"]
    ]
    for name in event:
        rest = {other: value for other, value in event.items() if other != name}
        assert EVENT.is_valid(rest) == any(names <= set(rest) for names in required)


@pytest.mark.parametrize("spelling", sorted(TYPE_SPELLINGS))
def test_other_spellings_of_a_type_fit(spelling):
    example = next(one for one in EXAMPLES if one.get("type") == TYPE_SPELLINGS[spelling])
    COMMAND.validate({**example, "type": spelling})


# Values at the edges of what some field accepts.
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 50, 500, 501, 1.5, {}, [], ["1"], ["1"] * 51, [1], [True]),
    *("", " ", "a", "x" * 16, "x" * 17, "x" * 64, "x" * 65, "x" * 100, "x" * 101, "x" * 129),
    *("x" * 500, "x" * 501, "x" * 801, {"c": {"seq": 1, "rev": 1}}, {"c": {"seq": -1, "rev": 1}}),
]


@st.composite
def attempts(draw):
    """Make a command of some type, its example with some fields changed or left out."""
    kind = draw(st.sampled_from(COMMANDS))
    properties = SCHEMA["$defs"][kind.__name__]["properties"]
    attempt = {"type": draw(st.sampled_from(properties["type"]["enum"]))}
    usual = next(one for one in EXAMPLES if one.get("type") == type_of(kind))
    for name in sorted(properties.keys() - {"type"}):
        how = draw(st.sampled_from(["usual", "usual", "usual", "any", "absent"]))
        if how == "any":
            attempt[name] = draw(st.sampled_from(VALUES))
        elif how == "usual" and name in usual:
            attempt[name] = usual[name]
    for spelling, name in kind.SPELLINGS.items():
        if name in attempt:  # what one of the two hides is not looked at
            attempt.pop(spelling, None)
    return attempt


@settings(max_examples=500)
@given(attempt=attempts())
def test_the_schema_accepts_what_the_codec_accepts_and_nothing_else(attempt):
    try:
        CODEC.decode(json.dumps(attempt).encode())
        is_accepted = True
    except CommandError:
        is_accepted = False
    assert COMMAND.is_valid(attempt) == is_accepted


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_number_is_accepted_where_an_id_is_expected(kind):
    usual = next(one for one in EXAMPLES if one.get("type") == type_of(kind))
    for name in find_ids(kind):
        is_list = isinstance(usual.get(name), list)
        BY_TYPE[type_of(kind)].validate({**usual, name: [42] if is_list else 42})


# AsyncAPI


def test_the_document_has_what_asyncapi_3_requires():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert DOCUMENT["info"]["version"] == __version__
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= set(server)
    for part in ("channels", "operations"):
        assert all(ID.fullmatch(name) for name in DOCUMENT[part])
    for part in DOCUMENT["components"].values():
        assert all(ID.fullmatch(name) for name in part)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = find(DOCUMENT, operation["channel"]["$ref"])
        assert channel is DOCUMENT["channels"]["connection"]
        for message in (*operation["messages"], *operation.get("reply", {}).get("messages", ())):
            # A subset of the messages of the channel, by reference to them there.
            assert message["$ref"].startswith("#/channels/connection/messages/")


def test_every_message_has_a_payload_that_is_a_schema():
    messages = DOCUMENT["channels"]["connection"]["messages"]
    assert set(messages) == {message_name(kind) for kind in (*COMMANDS, *EVENTS)}
    assert set(messages) == set(DOCUMENT["components"]["messages"])
    for message in messages.values():
        payload = find(DOCUMENT, message["$ref"])["payload"]
        Draft202012Validator.check_schema(find(DOCUMENT, payload["$ref"]))


def test_every_command_is_an_operation_with_its_replies():
    operations = DOCUMENT["operations"]
    assert set(operations) == {*TAGS, "events"}
    for command in COMMANDS:
        replies = operations[type_of(command)]["reply"]["messages"]
        names = [reply["$ref"].rpartition("/")[2] for reply in replies]
        assert names == [*(message_name(reply) for reply in REPLIES[type_of(command)]), "error"]


def test_the_schemas_of_both_documents_are_the_same():
    moved = json.dumps(DOCUMENT["components"]["schemas"]).replace(
        "#/components/schemas/", "#/$defs/"
    )
    listed = json.loads(moved)
    assert listed == {name: SCHEMA["$defs"][name] for name in listed}
    assert set(SCHEMA["$defs"]) - set(listed) == {"command", "event"}


# OpenAPI


def test_the_http_document_has_what_openapi_3_requires():
    assert HTTP["openapi"] == "3.1.0"
    assert set(HTTP["info"]) >= {"title", "version"}
    described = {
        (method.upper(), path): operation
        for path, methods in HTTP["paths"].items()
        for method, operation in methods.items()
    }
    assert set(described) == {(one.method, one.path) for one in OPERATIONS}
    for operation in described.values():
        assert operation["operationId"]
        assert {"200", "400", "401", "503"} <= set(operation["responses"])
        for response in operation["responses"].values():
            assert response["description"]
    assert set(HTTP["webhooks"]) == {type_of(kind) for kind in WEBHOOKS}
    for schema in HTTP["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
