"""The table: making it, removing it, looking at it. One schema, as data, for DynamoDB and for CloudFormation.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html and the table reference of
`@jaypie/dynamodb`.
"""

from __future__ import annotations

import json
import time

from ._client import current_client
from ._errors import ConfigurationError, DynamoError, TransportError, ValidationError
from ._operations import TABLE_MISSING, call_plain
from ._schema import HASH_KEY, INDEX_FIELDS, INDEX_RANGE_KEY, RANGE_KEY
from ._transport._deadline import remaining_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._client import Client

BILLING_MODES = ("PAY_PER_REQUEST", "PROVISIONED")
SCHEMA_FORMATS = ("yaml", "json")

# For PROVISIONED: the least there is, to be raised by whoever knows the load.
_PROVISIONED = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}

_POLL_S = 0.1
_MAX_POLL_S = 2.0
_MAX_WAIT_S = 300.0


def create_table(
    *,
    table_name: str | None = None,
    billing_mode: str = "PAY_PER_REQUEST",
    ttl_attribute: str | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Create the table with its five indexes. A table that exists is compared and reported, never altered.

        create_table()

    Args:
        table_name: default: the current client's table.
        billing_mode: `"PAY_PER_REQUEST"`, or `"PROVISIONED"` with 5 read and 5 write units for table and indexes each.
        ttl_attribute: enable expiry by this attribute; default: the client's `ttl_attribute`.
        wait: return when the table is usable; at most 300 seconds.

    Returns:
        `table_name`, `created` (False for a table that existed), `status` (`"ACTIVE"` after waiting) and `differences`:
        what is not as this library needs it, one sentence each.

    Raises:
        ValidationError: an argument is wrong.
        ConfigurationError: no client or no table name.
        TransportError: no answer came back, or the table was not usable in time.
        botocore.exceptions.ClientError: DynamoDB refused.

    Cost: one CreateTable; a DescribeTable every 0.1 to 2 seconds while waiting; one UpdateTimeToLive for expiry.
    Source: the DynamoDB API pages of CreateTable and UpdateTimeToLive.
    """
    client = current_client()
    name = table_name or client.table_name
    ttl_attribute = ttl_attribute or client.ttl_attribute
    parameters = {"TableName": name, **table_definition(billing_mode)}
    if ttl_attribute and not wait:
        raise ValidationError("ttl_attribute needs wait=True: only a usable table takes it", path="ttl_attribute")
    created = True
    try:
        description = _create(client, parameters)
    except _client_error() as error:
        if _code(error) != "ResourceInUseException":
            raise
        created = False
        description = _describe(client, name)
    if wait:
        description = _await_active(client, name, created=created)
    if created and ttl_attribute:
        specification = {"Enabled": True, "AttributeName": ttl_attribute}
        _change(client, "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": specification})
    return {
        "table_name": name,
        "created": created,
        "status": description["TableStatus"],
        "differences": find_differences(description),
    }


def destroy_table(*, table_name: str, wait: bool = True) -> bool:
    """Remove a table with everything in it. There is no default name: it has to be meant.

        destroy_table(table_name="my-test-table")

    Args:
        table_name: the table.
        wait: return when it is gone; at most 300 seconds.

    Returns:
        True if there was one.

    Raises:
        ValidationError: no name was given.
        ConfigurationError: no client.
        TransportError: no answer came back, or the table was not gone in time.
        botocore.exceptions.ClientError: DynamoDB refused, such as for a protected table.

    Cost: one DeleteTable; a DescribeTable every 0.1 to 2 seconds while waiting.
    Source: the DynamoDB API page of DeleteTable.
    """
    if not isinstance(table_name, str) or not table_name:
        raise ValidationError("destroy_table needs the name of the table", path="table_name")
    client = current_client()
    try:
        _change(client, "DeleteTable", {"TableName": table_name})
    except _client_error() as error:
        if _code(error) == TABLE_MISSING:
            return False
        raise
    if wait:
        _poll(lambda: _is_gone(client, table_name), f"The table {table_name!r} is still being removed")
    return True


def describe_status() -> dict[str, Any]:
    """Tell how the client is set up and what it finds: settings, transport with reason, table, indexes.

        describe_status()["table"]

    Never shows credentials, and does not raise for what it finds wrong: it says it.

    Returns:
        `initialized`; and with a client `table_name`, `region`, `endpoint`, `transport`, `transport_reason`,
        `reachable`, `table` (`status`, `item_count` and `size_bytes` as DynamoDB updates them every six hours,
        `differences`; None where it cannot be described) and `problem` (one sentence, or None).

    Raises:
        Nothing of its own.

    Cost: one DescribeTable.
    Source: the DynamoDB API page of DescribeTable.
    """
    try:
        client = current_client()
    except ConfigurationError as error:
        return {"initialized": False, "problem": str(error)}
    status: dict[str, Any] = {
        "initialized": True,
        "table_name": None,
        "region": client.region,
        "endpoint": client.endpoint,
        "transport": None,
        "transport_reason": None,
        "reachable": False,
        "table": None,
        "problem": None,
    }
    try:
        status["transport"] = client.transport.name
        status["transport_reason"] = client.transport_reason
        status["table_name"] = client.table_name
        description = _describe(client, client.table_name)
    except DynamoError as error:
        status["problem"] = str(error)
    except _client_error() as error:
        status["reachable"] = True
        status["problem"] = str(error)
    else:
        status["reachable"] = True
        status["table"] = {
            "status": description["TableStatus"],
            "item_count": description.get("ItemCount"),
            "size_bytes": description.get("TableSizeBytes"),
            "differences": find_differences(description),
        }
    return status


def table_schema(format: str = "yaml", *, billing_mode: str = "PAY_PER_REQUEST") -> str:
    """Write the table as a CloudFormation resource's properties.

        print(table_schema("yaml"))

    Args:
        format: `"yaml"` or `"json"`.
        billing_mode: as for `create_table`.

    Returns:
        The text of the properties of `AWS::DynamoDB::Table`, without a table name.

    Raises:
        ValidationError: no such format or billing mode.

    Cost: no request.
    Source: the CloudFormation page of AWS::DynamoDB::Table.
    """
    definition = table_definition(billing_mode)
    if format == "json":
        return json.dumps(definition, indent=2) + "\n"
    if format == "yaml":
        return "\n".join(_write_yaml(definition)) + "\n"
    raise ValidationError(f"format must be one of {', '.join(SCHEMA_FORMATS)}, not {format!r}", path="format")


def table_definition(billing_mode: str = "PAY_PER_REQUEST") -> dict[str, Any]:
    """Give the schema in DynamoDB's form, which is CloudFormation's too."""
    if billing_mode not in BILLING_MODES:
        raise ValidationError(
            f"billing_mode must be one of {', '.join(BILLING_MODES)}, not {billing_mode!r}", path="billing_mode"
        )
    throughput = {"ProvisionedThroughput": _PROVISIONED} if billing_mode == "PROVISIONED" else {}
    strings = [HASH_KEY, RANGE_KEY, *INDEX_FIELDS]
    return {
        "BillingMode": billing_mode,
        **throughput,
        "AttributeDefinitions": [
            *({"AttributeName": name, "AttributeType": "S"} for name in strings),
            {"AttributeName": INDEX_RANGE_KEY, "AttributeType": "N"},
        ],
        "KeySchema": _key_schema(HASH_KEY, RANGE_KEY),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": _key_schema(index, INDEX_RANGE_KEY),
                "Projection": {"ProjectionType": "ALL"},
                **throughput,
            }
            for index in INDEX_FIELDS
        ],
    }


def find_differences(description: dict[str, Any]) -> list[str]:
    """Compare a table with the schema; one sentence for each difference that matters."""
    wanted = table_definition()
    differences = []
    if _by_type(description.get("KeySchema", ())) != _by_type(wanted["KeySchema"]):
        differences.append(f"the table's key is {_show_key(description)}, not {_show_key(wanted)}")
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in description.get("AttributeDefinitions", ())}
    for entry in wanted["AttributeDefinitions"]:
        found = types.get(entry["AttributeName"], entry["AttributeType"])
        if found != entry["AttributeType"]:
            differences.append(
                f"the attribute {entry['AttributeName']!r} is of type {found}, not {entry['AttributeType']}"
            )
    indexes = {index["IndexName"]: index for index in description.get("GlobalSecondaryIndexes", ())}
    for index in wanted["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        found = indexes.get(name)
        if found is None:
            differences.append(f"the index {name!r} is missing")
            continue
        if _by_type(found["KeySchema"]) != _by_type(index["KeySchema"]):
            differences.append(f"the index {name!r} has the key {_show_key(found)}, not {_show_key(index)}")
        if found.get("Projection", {}).get("ProjectionType") != "ALL":
            differences.append(f"the index {name!r} does not project all attributes")
        if found.get("IndexStatus", "ACTIVE") != "ACTIVE":
            differences.append(f"the index {name!r} is {found['IndexStatus']}, not ACTIVE")
    return differences


def _key_schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [{"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": range_key, "KeyType": "RANGE"}]


def _by_type(key_schema: Any) -> dict[str, str]:
    return {entry["KeyType"]: entry["AttributeName"] for entry in key_schema}


def _show_key(holder: dict[str, Any]) -> str:
    return " + ".join(entry["AttributeName"] for entry in holder.get("KeySchema", ())) or "unknown"


def _create(client: Client, params: dict[str, Any]) -> dict[str, Any]:
    return call_plain(
        client,
        "CreateTable",
        params=params,
        read=lambda answer: _read_table(answer["TableDescription"]),
        write=True,
        resend=True,  # the second time it answers ResourceInUseException
    )


def _change(client: Client, operation: str, params: dict[str, Any]) -> None:
    # Sent twice it is refused the second time: never doubled.
    call_plain(client, operation, params=params, read=lambda _: None, write=True, resend=True)


def _describe(client: Client, name: str) -> dict[str, Any]:
    return call_plain(
        client,
        "DescribeTable",
        params={"TableName": name},
        read=lambda answer: _read_table(answer["Table"]),
        write=False,
    )


def _read_table(table: dict[str, Any]) -> dict[str, Any]:
    if "TableStatus" not in table:
        raise ValueError("it tells no TableStatus")
    return table


def _await_active(client: Client, name: str, *, created: bool) -> dict[str, Any]:
    description: dict[str, Any] = {}

    def is_active() -> bool:
        nonlocal description
        try:
            description = _describe(client, name)
        except _client_error() as error:
            # DescribeTable is eventually consistent and may not know a new table for some seconds.
            # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
            if created and _code(error) == TABLE_MISSING:
                return False
            raise
        indexes = description.get("GlobalSecondaryIndexes", ())
        return description["TableStatus"] == "ACTIVE" and all(
            index.get("IndexStatus", "ACTIVE") == "ACTIVE" for index in indexes
        )

    _poll(is_active, f"The table {name!r} is not usable yet")
    return description


def _is_gone(client: Client, name: str) -> bool:
    try:
        _describe(client, name)
    except _client_error() as error:
        if _code(error) == TABLE_MISSING:
            return True
        raise
    return False


def _poll(is_done: Any, fact: str) -> None:
    delay_s, waited_s = _POLL_S, 0.0
    while not is_done():
        if waited_s >= _MAX_WAIT_S:
            raise TransportError(f"{fact} after {_MAX_WAIT_S:.0f} seconds; look again with describe_status().")
        left_s = remaining_s()
        if left_s is not None and left_s <= delay_s:
            raise TransportError(f"{fact}, and the deadline is near; look again with describe_status().")
        time.sleep(delay_s)
        waited_s += delay_s
        delay_s = min(delay_s * 1.5, _MAX_POLL_S)


def _client_error() -> type[Exception]:
    # Imported where it is needed: table operations are rare, and a Lambda's cold start does not make them.
    from botocore.exceptions import ClientError

    return ClientError


def _code(error: Any) -> str:
    return str(error.response["Error"]["Code"])


def _write_yaml(value: Any, indent: str = "") -> list[str]:
    """Write the few forms the schema has: maps, lists of maps, plain words and numbers."""
    lines = []
    for name, element in value.items():
        if isinstance(element, dict):
            lines += [f"{indent}{name}:", *_write_yaml(element, indent + "  ")]
        elif isinstance(element, list):
            lines.append(f"{indent}{name}:")
            for entry in element:
                first, *rest = _write_yaml(entry, indent + "    ")
                lines += [f"{indent}  - {first.lstrip()}", *rest]
        else:
            lines.append(f"{indent}{name}: {element}")
    return lines
