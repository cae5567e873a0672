"""What people ask of a shop's database: six kinds of questions, each drawn as a query and the ways to say it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from components.workloads.text2sql import conditions as on
from components.workloads.text2sql.conditions import Condition, draw_conditions
from components.workloads.text2sql.queries import Part, Query
from components.workloads.text2sql.shop import CATEGORIES, STATUSES, TITLES, has_answer


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
AGGREGATES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "customers": (("count(*)", ("the number of", "the count of")),),
    "products": (
        ("count(*)", ("the number of", "the count of")),
        ("avg(price)", ("the average price of", "the mean price of")),
        ("max(price)", ("the highest price of", "the top price of")),
        ("min(price)", ("the lowest price of", "the smallest price of")),
        ("sum(stock)", ("the total stock of", "the whole stock of")),
    ),
    "orders": (("count(*)", ("the number of", "the count of")),),
    "reviews": (
        ("count(*)", ("the number of", "the count of")),
        ("avg(stars)", ("the average stars of", "the mean stars of")),
    ),
}
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "customers": {"city": ("for each city", "per city", "by city")},
    "products": {"category": ("for each category", "per category", "by category")},
    "orders": {
        "status": ("for each status", "per status", "by status"),
        "customer_id": ("for each customer id", "per customer id"),
    },
    "reviews": {"stars": ("for each number of stars", "by stars"), "product_id": ("per product id", "by product id")},
}
TABLES = tuple(NOUNS)
ASKED = (
    "{ask} {what} {noun} {conditions}",
    "{noun} {conditions}: {ask} {what} them",
    "{ask} {what} all {noun} {conditions}",
)
COUNTED = ("how many {noun} {conditions} are there?", "how many {noun} do we have {conditions}?")
ASK = ("show", "list", "give me", "we need", "please send", "get", "tell me", "can I have", "find")


def _said(conditions: tuple[Condition, ...]) -> tuple[str, ...]:
    """The conditions in words: all ways of one, of two some in either order."""
    if len(conditions) < 2:
        return conditions[0].words if conditions else ("",)
    first, second = (condition.words for condition in conditions)
    pairs = [(a, second[n % len(second)]) for n, a in enumerate(first)]
    pairs += [(b, first[n % len(first)]) for n, b in enumerate(second)]
    return tuple(f"{a}{link}{b}" for a, b in pairs for link in (" and ", ", "))


def _parts(conditions: tuple[Condition, ...]) -> tuple[Part, ...]:
    return tuple(condition.part for condition in conditions)


def _asked(select: Part) -> tuple[str, ...]:
    return (*ASKED, *COUNTED) if select.sql == "count(*)" else ASKED


def filtered(rng: random.Random) -> Case:
    """One or two columns of the rows under one or two conditions."""
    table = rng.choice(TABLES)
    conditions = draw_conditions(rng, table, rng.choice((1, 2, 2)))
    key, more = KEYS[table], [column for column in COLUMNS[table] if column != KEYS[table]]
    columns = (key, rng.choice(more)) if rng.random() < 0.5 else (key,)
    words = COLUMNS[table]
    what = tuple(" and ".join(words[c][n % len(words[c])] for c in columns) for n in range(2))
    slots = {"ask": ASK, "what": tuple(f"the {one} of" for one in what), "noun": NOUNS[table],
             "conditions": _said(conditions)}  # fmt: skip
    query = Query(Part(", ".join(columns)), Part(table), _parts(conditions))
    return Case("filter", query, ASKED, slots)


def aggregated(rng: random.Random) -> Case:
    """One number over the rows under conditions."""
    table = rng.choice(TABLES)
    conditions = draw_conditions(rng, table, rng.choice((1, 2)))
    if table == "orders" and rng.random() < 0.5:
        select = Part("count(distinct customer_id)", "duplicates", "count(customer_id)")
        what = ("the number of different customers behind", "the count of distinct customers with")
    else:
        sql, what = rng.choice(AGGREGATES[table])
        select = Part(sql)
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": _said(conditions)}
    return Case("aggregate", Query(select, Part(table), _parts(conditions)), _asked(select), slots)


def grouped(rng: random.Random) -> Case:
    """A number for each group, perhaps of groups of some size only."""
    table = rng.choice(TABLES)
    column, groups = rng.choice(tuple(GROUPS[table].items()))
    others = [draw for draw in (draw(rng) for draw in on.OF[table]) if not draw.part.sql.startswith(column)]
    conditions = (rng.choice(others),)
    sql, what = rng.choice(AGGREGATES[table])
    rest = [Part(f"group by {column}")]
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": _said(conditions), "groups": groups}
    sentences = ("{ask} {what} {noun} {conditions} {groups}", "{groups}, {ask} {what} {noun} {conditions}")
    if rng.random() < 0.4:
        size = on.compared("count(*)", ("with {n} of them", "that have {n} of them"), range(2, 13))(rng)
        rest.append(Part(f"having {size.part.sql}", size.part.habit, f"having {size.part.slip}"))
        slots["size"] = size.words
        sentences = tuple(f"{sentence}, only groups {{size}}" for sentence in sentences)
    query = Query(Part(f"{column}, {sql}"), Part(table), _parts(conditions), tuple(rest))
    return Case("group", query, sentences, slots)


RANKED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("products", "price", ("cheapest", "lowest priced")),
    ("products", "price desc", ("most expensive", "dearest", "highest priced")),
    ("products", "stock desc", ("best stocked",)),
    ("products", "stock", ("most nearly sold out", "scarcest")),
    ("customers", "joined desc", ("newest", "most recent")),
    ("customers", "joined", ("oldest", "longest standing", "earliest")),
    ("orders", "ordered desc", ("latest", "newest", "most recent")),
    ("orders", "ordered", ("oldest", "earliest")),
)


def ranked(rng: random.Random) -> Case:
    """The first few rows in an order, or the one at a rank; ties by name or number."""
    table, order, rank = rng.choice(RANKED)
    conditions = draw_conditions(rng, table, 1)
    number, key = rng.randint(2, 15), KEYS[table]
    if rng.random() < 0.2:
        limit = Part(f"limit 1 offset {number - 1}", "rank", f"limit 1 offset {number}")
        sentences = (
            "{ask} the {nth} {rank} of the {noun} {conditions}",
            "which of the {noun} {conditions} is the {nth} {rank}?",
        )
    else:
        limit = Part(f"limit {number}")
        sentences = ("{ask} the {n} {rank} {noun} {conditions}", "{noun} {conditions}: {ask} the {n} {rank}")
    slots = {"ask": ASK, "nth": (ordinal(number),), "n": (str(number),), "rank": rank,
             "noun": NOUNS[table], "conditions": _said(conditions)}  # fmt: skip
    query = Query(Part(key), Part(table), _parts(conditions), (Part(f"order by {order}, {key}"), limit))
    return Case("order", query, sentences, slots)


def ordinal(number: int) -> str:
    """2 → 2nd, for numbers below 20."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def joined(rng: random.Random) -> Case:
    """Something that needs two or three tables."""
    return rng.choice((_sold, _value, _rating, _buyers, _without, _orders_of))(rng)


def _sold(rng: random.Random) -> Case:
    """Pieces sold: those in orders that were not cancelled."""
    when = on.ORDERED(rng)
    slots = {"ask": ASK, "when": when.words, "noun": NOUNS["orders"]}
    sentences = ("{ask} the number of pieces sold in {noun} {when}", "how many pieces did we sell in {noun} {when}?",
                 "{ask} the sold quantity of {noun} {when}")  # fmt: skip
    not_cancelled = Part("status <> 'cancelled'", "cancelled")
    source = Part("items join orders using (order_id)")
    return Case("join", Query(Part("sum(quantity)"), source, (when.part, not_cancelled)), sentences, slots)


def _value(rng: random.Random) -> Case:
    """What ordered items are worth, cancelled or not."""
    what = _product(rng)
    conditions = (what, *((on.PRICE(rng),) if rng.random() < 0.4 else ()))
    slots = {"ask": ASK, "goods": _said(conditions)}
    sentences = ("{ask} the total value of ordered {goods}", "what are all ordered {goods} worth in total?",
                 "{ask} the order value of {goods}")  # fmt: skip
    select = Part("sum(quantity * price)", "quantity", "sum(price)")
    return Case(
        "join", Query(select, Part("items join products using (product_id)"), _parts(conditions)), sentences, slots
    )


def _rating(rng: random.Random) -> Case:
    what, condition = _product(rng), on.WRITTEN(rng)
    slots = {"ask": ASK, "goods": what.words, "conditions": condition.words}
    sentences = (
        "{ask} the average stars of {goods} in reviews {conditions}",
        "how are {goods} rated on average in reviews {conditions}?",
    )
    source = Part("reviews join products using (product_id)")
    return Case("join", Query(Part("avg(stars)"), source, (what.part, condition.part)), sentences, slots)


def _buyers(rng: random.Random) -> Case:
    """Customers by their orders, each once."""
    conditions = (on.CITY(rng), *draw_conditions(rng, "orders", 1))
    who, orders = conditions[0].words, conditions[1].words
    slots = {"ask": ASK, "who": who, "orders": orders, "noun": NOUNS["customers"]}
    sentences = ("{ask} the names of {noun} {who} who have orders {orders}", "which {noun} {who} have orders {orders}?")
    select = Part("distinct name", "duplicates", "name")
    return Case(
        "join", Query(select, Part("customers join orders using (customer_id)"), _parts(conditions)), sentences, slots
    )


def _without(rng: random.Random) -> Case:
    """Products that nobody has reviewed, customers who never ordered."""
    if rng.random() < 0.5:
        table, key, other, words = "products", "product_id", "reviews", ("that nobody reviewed", "without any review")
    else:
        table, key, other, words = "customers", "customer_id", "orders", ("who never ordered", "without any order")
    condition = draw_conditions(rng, table, 1)
    slots = {"ask": ASK, "what": tuple(f"the {one} of" for one in COLUMNS[table][KEYS[table]]), "noun": NOUNS[table],
             "missing": words, "conditions": condition[0].words}  # fmt: skip
    sentences = ("{ask} {what} {noun} {conditions} {missing}", "{ask} {what} {noun} {missing}, {conditions}")
    missing = Part(f"{key} not in (select {key} from {other})")
    return Case("join", Query(Part(KEYS[table]), Part(table), (*_parts(condition), missing)), sentences, slots)


def _orders_of(rng: random.Random) -> Case:
    """Orders of each customer, of those without any as well."""
    condition = draw_conditions(rng, "customers", 1)
    slots = {"ask": ASK, "noun": NOUNS["customers"], "conditions": condition[0].words,
             "zero": ("including those with none", "also those without any", "0 where there is none")}  # fmt: skip
    sentences = ("{ask} the number of orders per name for {noun} {conditions}, {zero}",
                 "how many orders has each of the {noun} {conditions}, by name, {zero}?")  # fmt: skip
    source = Part(
        "customers left join orders using (customer_id)", "no_match", "customers join orders using (customer_id)"
    )
    query = Query(Part("name, count(order_id)"), source, _parts(condition), (Part("group by name"),))
    return Case("join", query, sentences, slots)


def _product(rng: random.Random) -> Condition:
    """One product by its title, or a category."""
    if rng.random() < 0.6:
        title = rng.choice(TITLES)
        return Condition((f"the {title}", title, f"our {title}"), Part(f"title = '{title}'"))
    category = rng.choice(CATEGORIES)
    return Condition((category, f"all {category}", f"our {category}"), Part(f"category = '{category}'"))


def by_date(rng: random.Random) -> Case:
    """A number or a list over days, with one more condition."""
    table, when = rng.choice((("orders", on.ORDERED), ("customers", on.JOINED), ("reviews", on.WRITTEN)))
    other = {"orders": on.STATUS, "customers": on.CITY, "reviews": on.STARS}[table]
    conditions = (other(rng), when(rng)) if rng.random() < 0.7 else (when(rng),)
    column = {"orders": "ordered", "customers": "joined", "reviews": "written"}[table]
    latest = (f"max({column})", ("the last date of", "the latest day of"))
    sql, what = rng.choice((("count(*)", ("the number of", "the count of")), latest))
    select = Part(sql)
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": _said(conditions)}
    return Case("date", Query(select, Part(table), _parts(conditions)), _asked(select), slots)


KINDS: tuple[Callable[[random.Random], Case], ...] = (filtered, aggregated, grouped, ranked, joined, by_date)
LONGEST = 135  # characters, some 90 tokens of the model nano
WORDS_KEPT = frozenset({*CATEGORIES, *STATUSES})


def draw_case(rng: random.Random) -> Case:
    """Draw a question's case; drawn anew are queries that a small model's answer does not hold or that find nothing.

    Two queries that find nothing return the same: no verifier could tell them apart.
    """
    while True:
        case = rng.choice(KINDS)(rng)
        sql = case.query.sql()
        if len(sql) <= LONGEST and has_answer(sql):
            return case
