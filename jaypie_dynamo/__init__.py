"""DynamoDB single-table design for latency-sensitive AWS Lambda functions.

    from jaypie_dynamo import APEX, init_client, put_entity, query_by_scope

    init_client(table_name="my-table")
    put_entity(entity={"model": "record", "id": "1", "scope": APEX, "name": "Daily Log"})
    items, cursor = query_by_scope(model="record", scope=APEX)

Importing this package loads nothing else: a name loads its module when it is first used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._changes import archive_entity as archive_entity
    from ._changes import delete_entity as delete_entity
    from ._changes import patch_entity as patch_entity
    from ._changes import restore_entity as restore_entity
    from ._changes import unarchive_entity as unarchive_entity
    from ._client import Client as Client
    from ._client import get_client as get_client
    from ._client import get_table_name as get_table_name
    from ._client import init_client as init_client
    from ._client import is_initialized as is_initialized
    from ._client import make_client as make_client
    from ._client import reset_client as reset_client
    from ._client import use_client as use_client
    from ._client import warm_up as warm_up
    from ._documents import DocumentClient as DocumentClient
    from ._documents import get_doc_client as get_doc_client
    from ._entities import create_entity as create_entity
    from ._entities import destroy_entity as destroy_entity
    from ._entities import get_entity as get_entity
    from ._entities import new_entity as new_entity
    from ._entities import put_entity as put_entity
    from ._entities import update_entity as update_entity
    from ._errors import AmbiguousWriteError as AmbiguousWriteError
    from ._errors import BatchIncompleteError as BatchIncompleteError
    from ._errors import ConfigurationError as ConfigurationError
    from ._errors import ConflictError as ConflictError
    from ._errors import DynamoError as DynamoError
    from ._errors import NotFoundError as NotFoundError
    from ._errors import TransportError as TransportError
    from ._errors import ValidationError as ValidationError
    from ._expressions import Condition as Condition
    from ._expressions import Operand as Operand
    from ._expressions import where as where
    from ._keys import build_composite_key as build_composite_key
    from ._keys import build_index_alias as build_index_alias
    from ._keys import build_index_class as build_index_class
    from ._keys import build_index_scope as build_index_scope
    from ._keys import build_index_type as build_index_type
    from ._keys import build_index_xid as build_index_xid
    from ._keys import calculate_scope as calculate_scope
    from ._keys import index_entity as index_entity
    from ._marshal import marshal as marshal
    from ._marshal import marshal_item as marshal_item
    from ._marshal import unmarshal as unmarshal
    from ._marshal import unmarshal_item as unmarshal_item
    from ._queries import QueryResult as QueryResult
    from ._queries import count_by_class as count_by_class
    from ._queries import count_by_scope as count_by_scope
    from ._queries import count_by_type as count_by_type
    from ._queries import iter_query as iter_query
    from ._queries import query as query
    from ._queries import query_by_alias as query_by_alias
    from ._queries import query_by_class as query_by_class
    from ._queries import query_by_scope as query_by_scope
    from ._queries import query_by_type as query_by_type
    from ._queries import query_by_xid as query_by_xid
    from ._schema import APEX as APEX
    from ._schema import ARCHIVED_SUFFIX as ARCHIVED_SUFFIX
    from ._schema import DELETED_SUFFIX as DELETED_SUFFIX
    from ._schema import INDEX_ALIAS as INDEX_ALIAS
    from ._schema import INDEX_CLASS as INDEX_CLASS
    from ._schema import INDEX_SCOPE as INDEX_SCOPE
    from ._schema import INDEX_TYPE as INDEX_TYPE
    from ._schema import INDEX_XID as INDEX_XID
    from ._schema import SEPARATOR as SEPARATOR
    from ._tables import create_table as create_table
    from ._tables import describe_status as describe_status
    from ._tables import destroy_table as destroy_table
    from ._tables import table_schema as table_schema
    from ._transport._deadline import deadline as deadline
    from ._types import Cursor as Cursor
    from ._types import Entity as Entity
    from ._types import Value as Value

_MODULES = {
    "_changes": "archive_entity delete_entity patch_entity restore_entity unarchive_entity",
    "_client": (
        "Client get_client get_table_name init_client is_initialized make_client reset_client use_client warm_up"
    ),
    "_documents": "DocumentClient get_doc_client",
    "_entities": "create_entity destroy_entity get_entity new_entity put_entity update_entity",
    "_errors": (
        "AmbiguousWriteError BatchIncompleteError ConfigurationError ConflictError DynamoError NotFoundError "
        "TransportError ValidationError"
    ),
    "_expressions": "Condition Operand where",
    "_keys": (
        "build_composite_key build_index_alias build_index_class build_index_scope build_index_type build_index_xid "
        "calculate_scope index_entity"
    ),
    "_marshal": "marshal marshal_item unmarshal unmarshal_item",
    "_queries": (
        "QueryResult count_by_class count_by_scope count_by_type iter_query query query_by_alias query_by_class "
        "query_by_scope query_by_type query_by_xid"
    ),
    "_schema": (
        "APEX ARCHIVED_SUFFIX DELETED_SUFFIX INDEX_ALIAS INDEX_CLASS INDEX_SCOPE INDEX_TYPE INDEX_XID SEPARATOR"
    ),
    "_tables": "create_table describe_status destroy_table table_schema",
    "_transport._deadline": "deadline",
    "_types": "Cursor Entity Value",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # hidden from checkers, which would accept any misspelt name because of it

    def __getattr__(name):
        """Load the module of a public name when the name is first used."""
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module("." + module, __name__), name)
        globals()[name] = value
        return value

    def __dir__():
        """List the public names too."""
        return sorted({*globals(), *_MODULE_OF})
