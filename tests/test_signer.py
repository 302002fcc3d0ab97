"""The signer against its oracle: `botocore.auth.SigV4Auth` signs the same request at the same time."""

from __future__ import annotations

import datetime
import random
import string

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from jaypie_dynamo._transport._endpoint import canonical_path, parse_endpoint
from jaypie_dynamo._transport._signer import CONTENT_TYPE, SigningKey, derive_key, format_date, sign

OPERATIONS = ("PutItem", "GetItem", "Query", "BatchWriteItem", "TransactWriteItems", "UpdateItem")
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "local")
HOSTS = ("dynamodb.us-east-1.amazonaws.com", "localhost", "127.0.0.1", "[::1]", "Table.Example.COM", "vpce-1.test")
PATHS = ("", "/", "/prefix", "/a/b/", "/a%20b/c", "//x//y", "/a/../b/./c", "/..", "/~t/!$&'()*+,;=:@/-_.")
KEY_CHARACTERS = string.ascii_letters + string.digits + "+/="


class FrozenClock:
    """Stands where botocore takes the time from, under the names that its versions use."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epoch_s = 0
        if hasattr(botocore.auth, "get_current_datetime"):
            monkeypatch.setattr(botocore.auth, "get_current_datetime", self.now)
        else:
            clock = self

            class Datetime(datetime.datetime):
                @classmethod
                def utcnow(cls) -> datetime.datetime:
                    return clock.now()

            class Module:
                datetime = Datetime

            monkeypatch.setattr(botocore.auth, "datetime", Module)

    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.epoch_s, datetime.timezone.utc).replace(tzinfo=None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FrozenClock:
    return FrozenClock(monkeypatch)


def oracle(url: str, body: bytes, target: str, keys: Credentials, region: str) -> tuple[str, str]:
    request = AWSRequest("POST", url, {"X-Amz-Target": target, "Content-Type": CONTENT_TYPE}, body)
    botocore.auth.SigV4Auth(keys, "dynamodb", region).add_auth(request)
    return request.headers["Authorization"], request.headers["X-Amz-Date"]


def ours(url: str, body: bytes, target: str, keys: Credentials, region: str, epoch_s: int) -> tuple[str, str]:
    endpoint, date = parse_endpoint(url), format_date(epoch_s)
    authorization = sign(
        body,
        target=target,
        date=date,
        host=endpoint.authority,
        path=canonical_path(endpoint.path),
        region=region,
        access_key=keys.access_key,
        token=keys.token,
        key=derive_key(keys.secret_key, day=date[:8], region=region),
    )
    return authorization, date


@pytest.mark.parametrize("seed", range(10))
def test_signatures_equal_botocores(seed: int, clock: FrozenClock) -> None:
    rng = random.Random(seed)

    def text(least: int, most: int) -> str:
        return "".join(rng.choices(KEY_CHARACTERS, k=rng.randint(least, most)))

    for _ in range(1_200):
        clock.epoch_s = rng.randrange(4_102_444_800)  # to the end of 2099
        keys = Credentials(text(1, 30), text(1, 90), rng.choice((None, text(1, 800))))
        url = (
            f"{rng.choice(('http', 'https'))}://{rng.choice(HOSTS)}{rng.choice(('', ':80', ':443', ':8000'))}"
            f"{rng.choice(PATHS)}"
        )
        body, target = (
            rng.randbytes(rng.choice((0, 1, 55, 64, 500, 5_000))),
            f"DynamoDB_20120810.{rng.choice(OPERATIONS)}",
        )
        region = rng.choice(REGIONS)
        assert ours(url, body, target, keys, region, clock.epoch_s) == oracle(url, body, target, keys, region), url


# https://www.rfc-editor.org/rfc/rfc4231#section-4
@pytest.mark.parametrize(
    ("key", "message", "digest"),
    [
        (b"\x0b" * 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,  # longer than a block
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_hmac_equals_the_published_vectors(key: bytes, message: str, digest: str) -> None:
    signing_key = SigningKey(key)
    assert signing_key.digest(message).hex() == digest
    assert signing_key.digest(message).hex() == digest, "the first use changed the key"


@pytest.mark.parametrize(
    ("epoch_s", "date"),
    [(0, "19700101T000000Z"), (1_767_744_000.999, "20260107T000000Z"), (951_782_399, "20000228T235959Z")],
)
def test_dates_are_those_of_the_service(epoch_s: float, date: str) -> None:
    assert format_date(epoch_s) == date
