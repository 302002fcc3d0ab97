"""The error tree: who descends from whom, and what survives the way to another process."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import jaypie_dynamo
from jaypie_dynamo import (
    AmbiguousWriteError,
    BatchIncompleteError,
    ConfigurationError,
    ConflictError,
    DynamoError,
    NotFoundError,
    TransportError,
    ValidationError,
    _errors,
)

TREE = {
    DynamoError: (Exception,),
    ConfigurationError: (DynamoError,),
    ValidationError: (DynamoError, ValueError),
    ConflictError: (DynamoError,),
    NotFoundError: (DynamoError,),
    BatchIncompleteError: (DynamoError,),
    TransportError: (DynamoError,),
    AmbiguousWriteError: (TransportError,),
}

ATTRIBUTES = {
    ValidationError: {"path": "state.items[3].price"},
    ConflictError: {"existing": {"id": "1"}, "reasons": ["ConditionalCheckFailed", None]},
    BatchIncompleteError: {"unprocessed": [{"id": "1"}]},
    AmbiguousWriteError: {"existing": {"id": "1"}},
}
DEFAULTS = {
    ValidationError: {"path": None},
    ConflictError: {"existing": None, "reasons": ()},
    BatchIncompleteError: {"unprocessed": ()},
    AmbiguousWriteError: {"existing": None},
}


def test_every_error_is_in_the_tree_and_public():
    defined = {kind for _, kind in inspect.getmembers(_errors, inspect.isclass)}
    assert defined == set(TREE)
    for kind in TREE:
        assert getattr(jaypie_dynamo, kind.__name__) is kind


@pytest.mark.parametrize("kind", TREE)
def test_bases(kind):
    assert kind.__bases__ == TREE[kind]


@pytest.mark.parametrize("kind", TREE)
@pytest.mark.parametrize("attributes", [DEFAULTS, ATTRIBUTES], ids=["defaults", "given"])
@pytest.mark.parametrize(
    "copied",
    [*(lambda error, n=n: pickle.loads(pickle.dumps(error, n)) for n in range(6)), copy.copy, copy.deepcopy],
    ids=[*(f"pickle {n}" for n in range(6)), "copy", "deepcopy"],
)
def test_error_survives_copying(kind, attributes, copied):
    given = {} if attributes is DEFAULTS else ATTRIBUTES.get(kind, {})
    error = kind("what happened", **given)
    back = copied(error)
    assert type(back) is kind
    assert str(back) == "what happened"
    assert back.args == error.args
    assert vars(back) == {**attributes.get(kind, {})}
    assert vars(error) == vars(back)


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_attributes_are_keywords_only(kind):
    with pytest.raises(TypeError):
        kind("what happened", "positional")
