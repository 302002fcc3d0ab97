"""The public API as a checker sees it. Checked by mypy --strict, never run.

`assert_type` states what a call returns; an `ignore` states what a checker must refuse (and is reported as
unused as soon as it does not).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime
from decimal import Decimal
from typing import Any

import botocore.session
from typing_extensions import assert_type

import jaypie_dynamo
from jaypie_dynamo import (
    APEX,
    Client,
    Condition,
    ConflictError,
    Cursor,
    DocumentClient,
    DynamoError,
    Entity,
    Operand,
    QueryResult,
    ValidationError,
    build_composite_key,
    build_index_alias,
    build_index_class,
    build_index_scope,
    build_index_type,
    build_index_xid,
    calculate_scope,
    count_by_class,
    count_by_scope,
    count_by_type,
    create_entity,
    create_table,
    describe_status,
    destroy_entity,
    destroy_table,
    get_client,
    get_doc_client,
    get_entity,
    get_table_name,
    index_entity,
    init_client,
    is_initialized,
    iter_query,
    make_client,
    marshal,
    marshal_item,
    new_entity,
    put_entity,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    reset_client,
    table_schema,
    unmarshal,
    unmarshal_item,
    use_client,
    where,
)

# A misspelt name is an error, although names are loaded lazily.
misspelt = jaypie_dynamo.put_entitty  # type: ignore[attr-defined]

# Client
assert_type(init_client(), Client)
assert_type(init_client(table_name="t", region="eu-west-1", endpoint="http://127.0.0.1:8000"), Client)
init_client(credentials=("key", "secret"))
init_client(credentials={"aws_access_key_id": "key", "aws_secret_access_key": "secret"})
init_client(client=botocore.session.get_session().create_client("dynamodb"), parse_float=Decimal)
init_client("t")  # type: ignore[call-arg]
init_client(tabel_name="t")  # type: ignore[call-arg]
with make_client(table_name="t", connect_timeout_s=1, max_attempts=2) as other, use_client(other):
    assert_type(other, Client)
    copy_context().run(get_entity, model="record", id="1")
assert_type(get_table_name(), str)
assert_type(is_initialized(), bool)
reset_client()
assert_type(get_client(), Any)
assert_type(get_doc_client(), DocumentClient)
assert_type(get_doc_client().call("Query", IndexName="indexScope"), dict[str, Any])

# Keys
record: Entity = {"model": "record", "id": "1", "scope": APEX, "class": "memory", "deletedAt": None}
incomplete: Entity = {"model": "record", "id": "1"}  # type: ignore[typeddict-item]
assert_type(build_composite_key(record, ["model", "class"]), str)
assert_type(build_index_scope(APEX, "record"), str)
assert_type(build_index_alias(APEX, "record", "slug"), str)
assert_type(build_index_class(APEX, "record", "memory"), str)
assert_type(build_index_type(APEX, "record", "note"), str)
assert_type(build_index_xid(APEX, "record", 42), str)
assert_type(calculate_scope(), str)
assert_type(calculate_scope({"model": "chat", "id": "1"}), str)
assert_type(index_entity(record), dict[str, Any])

# Entities
assert_type(new_entity(model="record", name="Ada", scope=APEX, alias="ada"), dict[str, Any])
assert_type(put_entity(entity=record), dict[str, Any])
assert_type(put_entity(entity=new_entity(model="record", name="Ada")), dict[str, Any])
assert_type(create_entity(entity=record), dict[str, Any])
assert_type(get_entity(model="record", id="1", consistent=True), dict[str, Any] | None)
assert_type(destroy_entity(model="record", id="1", condition=where("score").exists()), bool)
put_entity(record)  # type: ignore[call-arg]
get_entity(model="record")  # type: ignore[call-arg]

# Queries
assert_type(query_by_scope(model="record", scope=APEX, limit=25, ascending=True), QueryResult)
items, cursor = query_by_scope(model="record", scope=APEX)
assert_type(items, list[dict[str, Any]])
assert_type(cursor, Cursor | None)
query_by_scope(model="record", scope=APEX, start_key=cursor, after=1, before=datetime.now().astimezone())
query_by_scope(model="record", scope=APEX, include_deleted=True, include_archived=True, max_pages=3)
assert_type(query_by_class(model="record", scope=APEX, record_class="memory"), QueryResult)
assert_type(query_by_type(model="record", scope=APEX, type="note", attributes=["name"]), QueryResult)
assert_type(query_by_alias(model="record", scope=APEX, alias="slug"), dict[str, Any] | None)
assert_type(query_by_xid(model="record", scope=APEX, xid="42"), dict[str, Any] | None)
assert_type(query(model="record", scope=APEX, filter={"class": "memory"}).items, list[dict[str, Any]])
assert_type(count_by_scope(model="record", scope=APEX), int)
assert_type(count_by_class(model="record", scope=APEX, record_class="memory"), int)
assert_type(count_by_type(model="record", scope=APEX, type="note"), int)
assert_type(iter_query(query_by_scope, model="record", scope=APEX, page_size=10), Iterator[dict[str, Any]])
iter_query(query_by_alias, model="record", scope=APEX, alias="slug")  # type: ignore[arg-type]
query_by_scope(model="record", scope=APEX, limit="25")  # type: ignore[arg-type]
query_by_scope(model="record", scope=APEX, where="score > 3")  # type: ignore[arg-type]

# Expressions
assert_type(where("score"), Operand)
assert_type(where(["a.b", 0]) > 3, Condition)
assert_type(where("a").eq(1) & (where("b") <= 2) | ~where("c").contains("x"), Condition)
assert_type(where("tags").size().ge(2), Condition)
assert_type(where("x").in_([1, 2]), Condition)

# Values
assert_type(marshal({"a": 1}), dict[str, Any])
assert_type(unmarshal({"S": "a"}), Any)
assert_type(marshal_item(record), dict[str, dict[str, Any]])
assert_type(unmarshal_item({"id": {"S": "1"}}, parse_float=Decimal), dict[str, Any])

# Tables
assert_type(create_table(ttl_attribute="ttl", wait=False), dict[str, Any])
assert_type(destroy_table(table_name="t"), bool)
destroy_table()  # type: ignore[call-arg]
assert_type(describe_status(), dict[str, Any])
assert_type(table_schema("json"), str)

# Errors
try:
    put_entity(entity=record)
except ConflictError as error:
    assert_type(error.reasons[0] if error.existing is None else error.existing["id"], Any)
except ValidationError as error:
    assert_type(error.path, str | None)
except DynamoError as error:
    assert_type(error, DynamoError)
