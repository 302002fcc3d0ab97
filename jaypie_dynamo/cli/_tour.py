# The script of `jaypie-dynamo demo`: read as text and run statement by statement, each shown with its result.
# Never imported. A comment with two hashes opens a chapter; any other is shown above its statement.
# Every entity is made in memory before it is stored, so that the demo can remove all it stored, also after a
# failure. No line is longer than 76 characters, for terminals of 80; hence laid out by hand.
# fmt: off
from __future__ import annotations

from jaypie_dynamo import (
    APEX,
    ConflictError,
    ValidationError,
    calculate_scope,
    create_entity,
    create_table,
    delete_entity,
    get_entity,
    iter_query,
    new_entity,
    patch_entity,
    put_entity,
    query,
    query_by_alias,
    query_by_class,
    query_by_scope,
    query_by_type,
    query_by_xid,
    restore_entity,
    where,
)

## Make the table

# One key, five indexes; a table that is there is compared, never changed.
made = create_table()

## Store

# A chat at the top, with a slug and the id another system gave it.
chat = new_entity(
    model="demo-chat", name="Trip to Oslo", alias="oslo", xid="c-42"
)

# One write; the keys of the indexes come from the entity's own fields.
stored = put_entity(entity=chat)
{name: key for name, key in stored.items() if name.startswith("index")}

# Five messages under the chat: what they belong to is their scope.
here = calculate_scope(chat)
messages = [
    new_entity(
        model="demo-message", scope=here, name=name, sequence=n, likes=likes
    )
    for n, name, likes in [
        (1, "Hello", 0),
        (2, "Which train?", 2),
        (3, "Booked", 5),
        (4, "Snow!", 3),
        (5, "Home again", 1),
    ]
]
for message in messages:
    put_entity(entity=message)

# Records at the top, each with a date for a slug, a class and a type.
records = [
    new_entity(
        model="demo-record",
        name=name,
        sequence=day,
        alias=f"2026-01-0{day}",
        **{"class": kind, "type": form},
    )
    for day, name, kind, form in [
        (5, "Tickets", "paper", "photo"),
        (6, "The fjord", "memory", "photo"),
        (7, "What she said", "memory", "note"),
    ]
]
for record in records:
    put_entity(entity=record)

## Ask

# By key: the one read that can be strongly consistent.
get_entity(model="demo-chat", id=chat["id"], consistent=True)

# indexScope: everything under one parent, newest first or oldest first.
query_by_scope(model="demo-message", scope=here)
query_by_scope(model="demo-message", scope=here, ascending=True)

# indexAlias: one entity by its slug.
query_by_alias(model="demo-record", scope=APEX, alias="2026-01-07")

# indexClass and indexType: by category.
query_by_class(model="demo-record", scope=APEX, record_class="memory")
query_by_type(model="demo-record", scope=APEX, type="photo")

# indexXid: one entity by the id it has elsewhere.
query_by_xid(model="demo-chat", scope=APEX, xid="c-42")

# Or name the fields: one picks the index, the others become a filter.
query(
    model="demo-record",
    scope=APEX,
    filter={"class": "memory", "type": "photo"},
)

## Turn pages

# A page says where the next one starts; the cursor is plain JSON.
page = query_by_scope(model="demo-message", scope=here, limit=2)
cursor = page.last_evaluated_key
query_by_scope(model="demo-message", scope=here, limit=2, start_key=cursor)

# Or let the pages be turned for you, one in memory at a time.
all_messages = iter_query(
    query_by_scope, model="demo-message", scope=here, page_size=2
)
[message["name"] for message in all_messages]

## Narrow down

# Any condition on any attribute; no name or value becomes query text.
query_by_scope(
    model="demo-message",
    scope=here,
    where=(where("likes") >= 2) & ~where("name").contains("!"),
)

# A range of the sequence is part of the key: the rest is not even read.
query_by_scope(model="demo-message", scope=here, after=1, before=4)

# Only some attributes of each.
query_by_scope(model="demo-message", scope=here, attributes=["likes"])

## Change

# Only if it is as expected; the rest of the entity is left alone.
patch_entity(
    model="demo-chat",
    id=chat["id"],
    set={"status": "booked"},
    add={"seats": 2},
    condition=where("status").not_exists(),
)

# A soft delete takes it out of every query; nothing is lost.
delete_entity(model="demo-record", id=records[0]["id"])
query_by_scope(model="demo-record", scope=APEX)
query_by_scope(model="demo-record", scope=APEX, include_deleted=True)

# And back.
restore_entity(model="demo-record", id=records[0]["id"])

## Be told

# Creating what is there already is refused.
try:
    create_entity(entity=chat)
except ConflictError as error:
    conflict = error

# A value DynamoDB cannot hold is named by its place, before it is sent.
try:
    put_entity(entity={**chat, "stops": [{"km": float("nan")}]})
except ValidationError as error:
    refused = error
