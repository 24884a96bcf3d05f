"""HTTP requests to API Gateway's proxy events, and answers of handlers to HTTP."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs_node import events
from maypacs_node.events import BadAnswerError, HttpRequest, http_response, proxy_event

RESOURCE = "/dicomweb/{proxy+}"


def event_of(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {"method": "GET", "path": "/dicomweb/hosp1/studies", **changes}
    return proxy_event(HttpRequest(**values), RESOURCE)  # type: ignore[arg-type]


def test_repeated_query_parameters_are_kept_in_order_and_the_last_one_is_the_single_value() -> None:
    """As the gateway does for REST APIs: decoded, with `+` as a space."""
    event = event_of(query="includefield=00100010&includefield=a%2Cb&PatientName=nguyen+an&empty=")
    assert event["multiValueQueryStringParameters"] == {
        "includefield": ["00100010", "a,b"],
        "PatientName": ["nguyen an"],
        "empty": [""],
    }
    assert event["queryStringParameters"]["includefield"] == "a,b"  # type: ignore[index]


def test_no_query_and_no_body_are_null() -> None:
    """Frameworks tell an absent body from an empty one."""
    event = event_of()
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None
    assert event["body"] is None
    assert event["isBase64Encoded"] is False


def test_the_rest_of_the_path_is_the_proxy_parameter() -> None:
    """`{proxy+}` is what follows the prefix, without its slash."""
    event = event_of(path="/dicomweb/hosp1/studies/1.2.3")
    assert event["pathParameters"] == {"proxy": "hosp1/studies/1.2.3"}
    assert event["resource"] == RESOURCE
    assert event["requestContext"]["resourcePath"] == RESOURCE  # type: ignore[index]


def test_a_clients_own_forwarded_headers_do_not_reach_a_function() -> None:
    """A function believes X-Forwarded-*: only the front door may write them."""
    headers = (
        ("host", "pacs.test"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=x"),
    )
    sent = event_of(headers=headers, client="192.0.2.7")["headers"]
    assert sent == {"Host": "pacs.test", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"}


def test_behind_a_proxy_its_forwarded_headers_stand_and_the_peer_is_appended() -> None:
    """The chain that `access.addresses` reads: the client, then our peer."""
    headers = (("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"))
    sent = event_of(headers=headers, client="10.0.0.1", behind_proxy=True)["headers"]
    assert sent == {"X-Forwarded-For": "203.0.113.9, 10.0.0.1", "X-Forwarded-Proto": "https"}


def test_the_port_we_listen_on_is_told_where_no_proxy_is_in_front() -> None:
    """Some clients leave it out of Host; behind a proxy our port is nobody's business."""
    sent = event_of(headers=(("host", "pacs.test"), ("x-forwarded-port", "99")), port=8080)["headers"]
    assert isinstance(sent, dict)
    assert sent["X-Forwarded-Port"] == "8080"
    assert "X-Forwarded-Port" not in event_of(headers=(), port=8080, behind_proxy=True)["headers"]  # type: ignore[operator]


@given(st.binary(min_size=1, max_size=2000))
def test_every_body_comes_back_from_the_base64_of_its_event(body: bytes) -> None:
    """BinaryMediaTypes is `*/*`: whatever the bytes are, they travel as base64."""
    event = event_of(method="POST", body=body)
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body  # type: ignore[arg-type]


def test_a_body_that_no_gateway_lets_through_is_handed_over_as_it_came() -> None:
    """Base64 of it would cost a node three times its memory."""
    most = bytes(events.GATEWAY_REQUEST_BYTES)
    assert event_of(method="POST", body=most)["isBase64Encoded"] is True
    event = event_of(method="POST", body=most + b"x")
    assert event[events.LARGE_BODY] == most + b"x"
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


@given(st.binary(max_size=2000))
def test_a_binary_answer_is_decoded(body: bytes) -> None:
    """And is what the client gets, byte by byte."""
    answer = {"statusCode": 200, "headers": {}, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    assert http_response(answer).body == body


def test_headers_of_both_maps_are_merged_and_lengths_are_the_servers_own() -> None:
    """multiValueHeaders wins over headers of the same name."""
    answer = {
        "statusCode": 200,
        "headers": {"Vary": "Accept", "X-One": "1", "Content-Length": "99", "Connection": "close"},
        "multiValueHeaders": {"vary": ["Accept", "Origin"]},
        "body": "Nguyễn",
    }
    response = http_response(answer)
    assert response.headers == (("vary", "Accept"), ("vary", "Origin"), ("x-one", "1"))
    assert response.body == "Nguyễn".encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "nothing"),
        ({"body": "x"}, "no status"),
        ({"statusCode": "200"}, "a status that is no number"),
        ({"statusCode": 200, "body": {"a": 1}}, "a body that is no string"),
        ({"statusCode": 200, "body": "***", "isBase64Encoded": True}, "not base64"),
        ({"statusCode": 200, "headers": {"X": "a\r\nSet-Cookie: b"}}, "a header that would be two"),
    ],
)
def test_a_malformed_answer_is_an_error(answer: object, reason: str) -> None:
    """The gateway answers 502 to it, so the host must not be more lenient."""
    with pytest.raises(BadAnswerError):
        http_response(answer)


def test_an_answer_above_lambdas_payload_is_an_error_only_under_the_gateways_limits() -> None:
    """The limit counts the base64, which is what Lambda carries."""
    answer = {"statusCode": 200, "body": "x" * (events.LAMBDA_PAYLOAD_BYTES - 4096 + 1)}
    with pytest.raises(BadAnswerError):
        http_response(answer, largest=events.LAMBDA_PAYLOAD_BYTES)
    assert len(http_response(answer).body) == len(answer["body"])  # type: ignore[arg-type]
