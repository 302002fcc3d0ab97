"""Endpoint rules against botocore's own data, and URLs taken apart."""

from __future__ import annotations

import json
from pathlib import Path

import botocore
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaypie_dynamo import ConfigurationError
from jaypie_dynamo._transport._endpoint import (
    canonical_path,
    endpoint_host,
    is_loopback,
    parse_endpoint,
    parse_url,
    region_of_host,
)

CARRIED = {"aws", "aws-cn", "aws-us-gov"}


def regions() -> list[tuple[str, str]]:
    """Every region that botocore knows, from both of its lists, with its partition."""
    found = {}
    for name in ("endpoints.json", "partitions.json"):
        for partition in json.loads((Path(botocore.__file__).parent / "data" / name).read_text("utf-8"))["partitions"]:
            identity = partition.get("partition") or partition["id"]
            # A global pseudo-region is no region of DynamoDB's.
            found.update({region: identity for region in partition["regions"] if not region.endswith("-global")})
    return sorted(found.items())


@pytest.fixture(scope="module")
def session() -> botocore.session.Session:
    return botocore.session.Session()


@pytest.mark.parametrize(("region", "partition"), regions())
def test_hosts_equal_botocores(region: str, partition: str, session: botocore.session.Session) -> None:
    host = endpoint_host(region)
    if partition not in CARRIED:
        assert host is None
        return
    client = session.create_client(
        "dynamodb", region_name=region, aws_access_key_id="x", aws_secret_access_key="y", aws_session_token="z"
    )
    assert client.meta.endpoint_url == f"https://{host}"


def test_botocores_lists_were_read() -> None:
    assert {partition for _, partition in regions()} > CARRIED
    assert len(regions()) > 30


@pytest.mark.parametrize(
    "region",
    ["", "us", "us-east", "us-east-", "us-east-1-fips", "aws-global", "local", "us-éast-1", "us-east-١", "moon-base-1",
     "us-ea/st-1", "us-east-1\r\nx", "us--1", "-us-east-1"],
)  # fmt: skip
def test_what_is_no_region_of_a_carried_partition_has_no_host(region: str) -> None:
    assert endpoint_host(region) is None


@pytest.mark.parametrize("region", [region for region, partition in regions() if partition in CARRIED])
def test_the_region_is_read_back_from_its_host(region: str) -> None:
    assert region_of_host(endpoint_host(region) or "") == region


@pytest.mark.parametrize(
    "host",
    ["localhost", "dynamodb.eu-west-1.example.com", "sqs.eu-west-1.amazonaws.com", "eu-west-1.amazonaws.com", ""],
)
def test_no_region_is_read_from_another_host(host: str) -> None:
    assert region_of_host(host) is None


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "authority", "path"),
    [
        ("https://example.com", True, "example.com", 443, "example.com", "/"),
        ("HTTPS://Example.COM:443/", True, "example.com", 443, "example.com", "/"),
        ("http://example.com:80", False, "example.com", 80, "example.com", "/"),
        ("http://example.com:443", False, "example.com", 443, "example.com:443", "/"),
        ("http://localhost:8000/a/B%20c/", False, "localhost", 8000, "localhost:8000", "/a/B%20c/"),
        ("http://[::1]:8000", False, "::1", 8000, "[::1]:8000", "/"),
        ("https://[FD00:ec2::23]/x", True, "fd00:ec2::23", 443, "[fd00:ec2::23]", "/x"),
        ("http://a:/", False, "a", 80, "a", "/"),
    ],
)
def test_urls_are_taken_apart(url: str, secure: bool, host: str, port: int, authority: str, path: str) -> None:
    endpoint = parse_endpoint(url)
    assert (endpoint.secure, endpoint.host, endpoint.port) == (secure, host, port)
    assert (endpoint.authority, endpoint.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must start with http"),
        ("localhost:8000", "must start with http"),
        ("ftp://localhost", "must start with http"),
        ("http://", "no valid host"),
        ("http:///path", "no valid host"),
        ("http://a b/", "no valid host"),
        ("http://.a/", "no valid host"),
        ("http://a..b/", "no valid host"),
        ("http://a\r\nHost: evil/", "no valid host"),
        ("http://münchen.de/", "xn--"),
        ("http://::1/", "brackets"),
        ("http://[::1", "no valid host"),
        ("http://[::1]x:80", "no valid host"),
        ("http://[fe80::1%eth0]", "no valid host"),
        ("http://a:0", "port"),
        ("http://a:65536", "port"),
        ("http://a:8x", "port"),
        ("http://a:١", "port"),
        ("http://user:secret@a/", "user name"),
        ("http://a/#x", "fragment"),
        ("http://a/?x", "query"),
        ("http://a?x", "query"),
        ("http://a/b c", "percent-encode"),
        ("http://a/b\r\nX: y", "percent-encode"),
        ("http://a/ü", "percent-encode"),
    ],
)
def test_other_urls_are_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_endpoint(url)
    assert "secret" not in str(caught.value)


def test_a_url_that_is_no_endpoint_may_carry_a_query_and_names_its_origin() -> None:
    assert parse_url("http://localhost?a=b", name="X").path == "/?a=b"
    with pytest.raises(ConfigurationError, match="SOME_VARIABLE"):
        parse_url("nonsense", name="SOME_VARIABLE")


@given(st.text())
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except ConfigurationError:
        return
    line = endpoint.authority + endpoint.path
    assert line.isascii()
    assert line.isprintable()
    assert " " not in line


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("127.example.com", False),
        ("127.0.0.256", False),
        ("127.1", False),
        ("128.0.0.1", False),
        ("169.254.170.2", False),
        ("::2", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("path", "canonical"),
    [("/", "/"), ("/a/b", "/a/b"), ("/a/b/", "/a/b/"), ("/a//b", "/a/b"), ("/a/./b/../c", "/a/c"), ("/../..", "/"),
     ("/a%20b", "/a%2520b"), ("/a+b=c", "/a%2Bb%3Dc"), ("/-_.~", "/-_.~")],
)  # fmt: skip
def test_canonical_paths(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
