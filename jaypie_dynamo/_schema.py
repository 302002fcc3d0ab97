"""The table as data: key names, separators, suffixes and the five indexes. Imports nothing.

Source: the storage format shared with the TypeScript package `@jaypie/dynamodb`.
"""

from __future__ import annotations

APEX = "@"
SEPARATOR = "#"
ARCHIVED_SUFFIX = "#archived"
DELETED_SUFFIX = "#deleted"

INDEX_SCOPE = "indexScope"
INDEX_ALIAS = "indexAlias"
INDEX_CLASS = "indexClass"
INDEX_TYPE = "indexType"
INDEX_XID = "indexXid"

HASH_KEY = "model"
RANGE_KEY = "id"
INDEX_RANGE_KEY = "sequence"

# index attribute → the field that follows scope and model in its key (None: nothing follows)
INDEX_FIELDS: dict[str, str | None] = {
    INDEX_SCOPE: None,
    INDEX_ALIAS: "alias",
    INDEX_CLASS: "class",
    INDEX_TYPE: "type",
    INDEX_XID: "xid",
}

# The suffix an index key carries, by (archived, deleted).
STATE_SUFFIXES: dict[tuple[bool, bool], str] = {
    (False, False): "",
    (True, False): ARCHIVED_SUFFIX,
    (False, True): DELETED_SUFFIX,
    (True, True): ARCHIVED_SUFFIX + DELETED_SUFFIX,
}

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_HASH_KEY_BYTES = 2048
MAX_RANGE_KEY_BYTES = 1024
