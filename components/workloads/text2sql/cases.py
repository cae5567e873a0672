"""The questions that people ask a shop's database: six kinds, each a query with its wordings."""

import random
from collections.abc import Callable

from components.workloads.text2sql import conditions as on
from components.workloads.text2sql.conditions import draw_conditions
from components.workloads.text2sql.joins import joined
from components.workloads.text2sql.queries import Part, Query
from components.workloads.text2sql.shop import CATEGORIES, STATUSES, has_answer
from components.workloads.text2sql.wording import ASK, COLUMNS, KEYS, NOUNS, Case, parts, wordings_of

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


def _asked(select: Part) -> tuple[str, ...]:
    return (*ASKED, *COUNTED) if select.sql == "count(*)" else ASKED


def filtered(rng: random.Random) -> Case:
    """One or two columns of rows with one or two conditions."""
    table = rng.choice(TABLES)
    conditions = draw_conditions(rng, table, rng.choice((1, 2, 2)))
    key, more = KEYS[table], [column for column in COLUMNS[table] if column != KEYS[table]]
    columns = (key, rng.choice(more)) if rng.random() < 0.5 else (key,)
    words = COLUMNS[table]
    what = tuple(" and ".join(words[c][n % len(words[c])] for c in columns) for n in range(2))
    slots = {"ask": ASK, "what": tuple(f"the {words} of" for words in what), "noun": NOUNS[table],
             "conditions": wordings_of(conditions)}  # fmt: skip
    query = Query(Part(", ".join(columns)), Part(table), parts(conditions))
    return Case("filter", query, ASKED, slots)


def aggregated(rng: random.Random) -> Case:
    """An aggregate over rows with conditions."""
    table = rng.choice(TABLES)
    conditions = draw_conditions(rng, table, rng.choice((1, 2)))
    if table == "orders" and rng.random() < 0.5:
        select = Part("count(distinct customer_id)", "duplicates", "count(customer_id)")
        what = ("the number of different customers behind", "the count of distinct customers with")
    else:
        sql, what = rng.choice(AGGREGATES[table])
        select = Part(sql)
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": wordings_of(conditions)}
    return Case("aggregate", Query(select, Part(table), parts(conditions)), _asked(select), slots)


def grouped(rng: random.Random) -> Case:
    """An aggregate per group, perhaps only for groups of some size."""
    table = rng.choice(TABLES)
    column, groups = rng.choice(tuple(GROUPS[table].items()))
    others = [draw for draw in (draw(rng) for draw in on.OF[table]) if not draw.part.sql.startswith(column)]
    conditions = (rng.choice(others),)
    sql, what = rng.choice(AGGREGATES[table])
    rest = [Part(f"group by {column}")]
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": wordings_of(conditions), "groups": groups}
    sentences = ("{ask} {what} {noun} {conditions} {groups}", "{groups}, {ask} {what} {noun} {conditions}")
    if rng.random() < 0.4:
        size = on.compared("count(*)", ("with {n} of them", "that have {n} of them"), range(2, 13))(rng)
        rest.append(Part(f"having {size.part.sql}", size.part.habit, f"having {size.part.slip}"))
        slots["size"] = size.words
        sentences = tuple(f"{sentence}, only groups {{size}}" for sentence in sentences)
    query = Query(Part(f"{column}, {sql}"), Part(table), parts(conditions), tuple(rest))
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
    """The first few rows in an order, or the row at a rank; ties are broken by name or number."""
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
             "noun": NOUNS[table], "conditions": wordings_of(conditions)}  # fmt: skip
    query = Query(Part(key), Part(table), parts(conditions), (Part(f"order by {order}, {key}"), limit))
    return Case("order", query, sentences, slots)


def ordinal(number: int) -> str:
    """2 → 2nd, for numbers below 20."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def by_date(rng: random.Random) -> Case:
    """An aggregate or a list over days, with another condition."""
    table, when = rng.choice((("orders", on.ORDERED), ("customers", on.JOINED), ("reviews", on.WRITTEN)))
    other = {"orders": on.STATUS, "customers": on.CITY, "reviews": on.STARS}[table]
    conditions = (other(rng), when(rng)) if rng.random() < 0.7 else (when(rng),)
    column = {"orders": "ordered", "customers": "joined", "reviews": "written"}[table]
    latest = (f"max({column})", ("the last date of", "the latest day of"))
    sql, what = rng.choice((("count(*)", ("the number of", "the count of")), latest))
    select = Part(sql)
    slots = {"ask": ASK, "what": what, "noun": NOUNS[table], "conditions": wordings_of(conditions)}
    return Case("date", Query(select, Part(table), parts(conditions)), _asked(select), slots)


KINDS: tuple[Callable[[random.Random], Case], ...] = (filtered, aggregated, grouped, ranked, joined, by_date)
LONGEST = 135  # characters, some 90 tokens for the model nano
WORDS_KEPT = frozenset({*CATEGORIES, *STATUSES})


def draw_case(rng: random.Random) -> Case:
    """Draw a question's case, redrawing queries that are too long for a small model or find nothing.

    No verifier could distinguish two queries that find nothing.
    """
    while True:
        case = rng.choice(KINDS)(rng)
        sql = case.query.sql()
        if len(sql) <= LONGEST and has_answer(sql):
            return case
