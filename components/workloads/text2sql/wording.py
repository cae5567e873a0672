"""How questions name things: tables, columns, conditions, and the ways to ask for them."""

from dataclasses import dataclass

from components.workloads.text2sql.conditions import Condition
from components.workloads.text2sql.queries import Part, Query


@dataclass(frozen=True)
class Case:
    """One query, and how it may be asked: sentences whose slots have several wordings each."""

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


def said(conditions: tuple[Condition, ...]) -> tuple[str, ...]:
    """The conditions in words: all ways of one, of two some in either order."""
    if len(conditions) < 2:
        return conditions[0].words if conditions else ("",)
    first, second = (condition.words for condition in conditions)
    pairs = [(a, second[n % len(second)]) for n, a in enumerate(first)]
    pairs += [(b, first[n % len(first)]) for n, b in enumerate(second)]
    return tuple(f"{a}{link}{b}" for a, b in pairs for link in (" and ", ", "))


def parts(conditions: tuple[Condition, ...]) -> tuple[Part, ...]:
    """The conditions in SQL."""
    return tuple(condition.part for condition in conditions)
