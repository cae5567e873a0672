"""The wording of questions: tables, columns, conditions, and ways to ask."""

from dataclasses import dataclass

from components.workloads.text2sql.conditions import Condition
from components.workloads.text2sql.queries import Part, Query


@dataclass(frozen=True)
class Case:
    """A query and its wordings: sentences with slots, each with several wordings."""

    kind: str
    query: Query
    sentences: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]


NOUNS: dict[str, tuple[str, ...]] = {
    "customers": ("customers", "clients", "shoppers"),
    "products": ("products", "articles", "items we sell"),
    "orders": ("orders", "purchases"),
    "reviews": ("reviews", "ratings"),
}
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "customers": {"name": ("names",), "city": ("cities",), "joined": ("joining dates", "dates of joining")},
    "products": {"title": ("titles", "names"), "price": ("prices",), "stock": ("stock", "stock levels")},
    "orders": {"order_id": ("order numbers", "ids"), "ordered": ("dates", "order dates"), "status": ("status",)},
    "reviews": {"product_id": ("product ids",), "stars": ("stars",), "written": ("dates",)},
}
KEYS = {"customers": "name", "products": "title", "orders": "order_id", "reviews": "product_id"}
ASK = ("show", "list", "give me", "we need", "please send", "get", "tell me", "can I have", "find")


def wordings_of(conditions: tuple[Condition, ...]) -> tuple[str, ...]:
    """The wordings of conditions: all of a single one; of two, some in either order."""
    if len(conditions) < 2:
        return conditions[0].words if conditions else ("",)
    first, second = (condition.words for condition in conditions)
    pairs = [(a, second[n % len(second)]) for n, a in enumerate(first)]
    pairs += [(b, first[n % len(first)]) for n, b in enumerate(second)]
    return tuple(f"{a}{link}{b}" for a, b in pairs for link in (" and ", ", "))


def parts(conditions: tuple[Condition, ...]) -> tuple[Part, ...]:
    """The SQL of conditions."""
    return tuple(condition.part for condition in conditions)
