"""Values to request bytes and answer bytes to values: every library's own conversion, as data.

A conversion is made by a function without arguments, so that its import is part of neither its time nor of others';
an ImportError from it means that the library is missing. `jaypie_dynamo._marshal` is measured below its public face,
because that is what requests go through.
"""

# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.items import decimal_item, plain_item, typed_item

if TYPE_CHECKING:
    from collections.abc import Callable

    Conversion = Callable[[], Any]

PAGE = 100  # items in the answer that is read

ITEM = plain_item()
PAGE_BODY = json.dumps(
    {"Count": PAGE, "Items": [typed_item(n) for n in range(PAGE)], "ScannedCount": PAGE}, separators=(",", ":")
).encode()
PLAIN_PAGE_BODY = json.dumps([plain_item(n) for n in range(PAGE)], separators=(",", ":")).encode()


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# ------------------------------------------------------------------------------------------------ an item to bytes


def _write_json() -> Conversion:
    dumps = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes one a call
    return lambda: dumps(ITEM).encode()


def _write_jaypie() -> Conversion:
    from jaypie_dynamo._marshal import write_item

    return lambda: write_item(ITEM).encode()


def _write_boto3() -> Conversion:
    from boto3.dynamodb.types import TypeSerializer

    serialize, item = TypeSerializer().serialize, decimal_item()
    return lambda: _text({name: serialize(value) for name, value in item.items()})


def _write_aiodynamo() -> Conversion:
    from aiodynamo.utils import py2dy

    return lambda: _text(py2dy(ITEM))


def _write_pynamodb() -> Conversion:
    from bench.rivals.pynamodb_model import Record

    record = Record(**ITEM)
    return lambda: _text(record.serialize())


def _write_pydynox() -> Conversion:
    from pydynox.pydynox_core import item_to_dynamo

    return lambda: item_to_dynamo(ITEM)


# ------------------------------------------------------------------------------------------------ bytes to a page


def _read_json() -> Conversion:
    return lambda: json.loads(PAGE_BODY)["Items"]


def _read_plain_json() -> Conversion:
    return lambda: json.loads(PLAIN_PAGE_BODY)


def _read_jaypie() -> Conversion:
    from jaypie_dynamo._marshal import Reader

    convert = Reader().convert
    return lambda: [convert(item) for item in json.loads(PAGE_BODY)["Items"]]


def _botocore_parser() -> Callable[[], list[dict[str, Any]]]:
    import botocore.session
    from botocore.parsers import create_parser

    shape = botocore.session.get_session().get_service_model("dynamodb").operation_model("Query").output_shape
    assert shape is not None
    parser = create_parser("json")
    answer = {"status_code": 200, "headers": {}, "body": PAGE_BODY}
    return lambda: parser.parse(answer, shape)["Items"]


def _read_boto3() -> Conversion:
    from boto3.dynamodb.types import TypeDeserializer

    parse, deserialize = _botocore_parser(), TypeDeserializer().deserialize
    return lambda: [{name: deserialize(value) for name, value in item.items()} for item in parse()]


def _read_aiodynamo() -> Conversion:
    from aiodynamo.utils import dy2py

    return lambda: [dy2py(item, float) for item in json.loads(PAGE_BODY)["Items"]]


def _read_pynamodb() -> Conversion:
    from bench.rivals.pynamodb_model import Record

    parse = _botocore_parser()
    return lambda: [Record.from_raw_data(item) for item in parse()]


def _read_pydynox() -> Conversion:
    from pydynox.pydynox_core import item_from_dynamo

    return lambda: [item_from_dynamo(item) for item in json.loads(PAGE_BODY)["Items"]]


MARSHAL: dict[str, Callable[[], Conversion]] = {
    "json, plain item": _write_json,
    "jaypie_dynamo": _write_jaypie,
    "boto3: TypeSerializer + json": _write_boto3,
    "PynamoDB: Model.serialize + json": _write_pynamodb,
    "aiodynamo: py2dy + json": _write_aiodynamo,
    "pydynox: item_to_dynamo": _write_pydynox,
}
UNMARSHAL: dict[str, Callable[[], Conversion]] = {
    "json, plain items": _read_plain_json,
    "json, typed items": _read_json,
    "jaypie_dynamo": _read_jaypie,
    "boto3: botocore parser + TypeDeserializer": _read_boto3,
    "PynamoDB: botocore parser + Model": _read_pynamodb,
    "aiodynamo: json + dy2py": _read_aiodynamo,
    "pydynox: json + item_from_dynamo": _read_pydynox,
}
