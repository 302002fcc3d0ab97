"""The contestants as data: who runs, under what name, from which packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASELINE = "boto3 resource"  # the 1 of every ratio
OURS = "jaypie_dynamo direct"
PYDYNOX = "pydynox"
FLOOR = "floor"


class Contestant(NamedTuple):
    """One row of a table.

    Attributes:
        name: what the table calls it.
        module: its file in `bench/rivals`.
        packages: what has to be installed for it; the first one's version is reported.
        options: passed on to its `connect`.
    """

    name: str
    module: str
    packages: tuple[str, ...] = ()
    options: Mapping[str, str] = MappingProxyType({})

    def missing(self) -> list[str]:
        """The packages that are not installed here."""
        return [package for package in self.packages if package_version(package) is None]


def package_version(package: str) -> str | None:
    if package == "jaypie_dynamo":  # measured from the source tree, installed or not
        import jaypie_dynamo

        return jaypie_dynamo.__version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


CONTESTANTS = (
    Contestant(OURS, "jaypie", ("jaypie_dynamo", "botocore"), {"transport": "direct"}),
    Contestant("jaypie_dynamo botocore", "jaypie", ("jaypie_dynamo", "botocore"), {"transport": "botocore"}),
    Contestant("botocore client", "botocore_client", ("botocore",)),
    Contestant("boto3 client", "boto3_client", ("boto3",)),
    Contestant(BASELINE, "boto3_resource", ("boto3",)),
    Contestant("PynamoDB", "pynamodb_model", ("pynamodb",)),
    Contestant("aiodynamo + httpx", "aiodynamo_httpx", ("aiodynamo", "httpx")),
    Contestant(PYDYNOX, "pydynox_client", ("pydynox",)),
    Contestant(FLOOR, "floor"),
    Contestant("echo", "echo"),
)


def split_missing(contestants: Sequence[Contestant]) -> tuple[list[Contestant], dict[str, str]]:
    """Those that can run, and the names of the others with what they lack."""
    present = [contestant for contestant in contestants if not contestant.missing()]
    absent = {c.name: f"missing: {', '.join(c.missing())}" for c in contestants if c not in present}
    return present, absent
