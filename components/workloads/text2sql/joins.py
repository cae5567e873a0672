"""Questions that need two or three tables: sales, values, ratings, and rows without a match."""

import random

from components.workloads.text2sql import conditions as on
from components.workloads.text2sql.conditions import Condition, draw_conditions
from components.workloads.text2sql.queries import Part, Query
from components.workloads.text2sql.shop import CATEGORIES, TITLES
from components.workloads.text2sql.wording import ASK, COLUMNS, KEYS, NOUNS, Case, parts, wordings_of


def joined(rng: random.Random) -> Case:
    """A question that needs two or three tables."""
    return rng.choice((_sold, _value, _rating, _buyers, _without, _orders_of))(rng)


def _sold(rng: random.Random) -> Case:
    """Pieces sold, that is, in orders that were not cancelled."""
    when = on.ORDERED(rng)
    slots = {"ask": ASK, "when": when.words, "noun": NOUNS["orders"]}
    sentences = ("{ask} the number of pieces sold in {noun} {when}", "how many pieces did we sell in {noun} {when}?",
                 "{ask} the sold quantity of {noun} {when}")  # fmt: skip
    not_cancelled = Part("status <> 'cancelled'", "cancelled")
    source = Part("items join orders using (order_id)")
    return Case("join", Query(Part("sum(quantity)"), source, (when.part, not_cancelled)), sentences, slots)


def _value(rng: random.Random) -> Case:
    """The value of ordered items, cancelled or not."""
    what = _product(rng)
    conditions = (what, *((on.PRICE(rng),) if rng.random() < 0.4 else ()))
    slots = {"ask": ASK, "goods": wordings_of(conditions)}
    sentences = ("{ask} the total value of ordered {goods}", "what are all ordered {goods} worth in total?",
                 "{ask} the order value of {goods}")  # fmt: skip
    select = Part("sum(quantity * price)", "quantity", "sum(price)")
    return Case(
        "join", Query(select, Part("items join products using (product_id)"), parts(conditions)), sentences, slots
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
    """Customers by their orders, without duplicates."""
    conditions = (on.CITY(rng), *draw_conditions(rng, "orders", 1))
    who, orders = conditions[0].words, conditions[1].words
    slots = {"ask": ASK, "who": who, "orders": orders, "noun": NOUNS["customers"]}
    sentences = ("{ask} the names of {noun} {who} who have orders {orders}", "which {noun} {who} have orders {orders}?")
    select = Part("distinct name", "duplicates", "name")
    return Case(
        "join", Query(select, Part("customers join orders using (customer_id)"), parts(conditions)), sentences, slots
    )


def _without(rng: random.Random) -> Case:
    """Products without reviews, customers without orders."""
    if rng.random() < 0.5:
        table, key, other, words = "products", "product_id", "reviews", ("that nobody reviewed", "without any review")
    else:
        table, key, other, words = "customers", "customer_id", "orders", ("who never ordered", "without any order")
    condition = draw_conditions(rng, table, 1)
    slots = {"ask": ASK, "noun": NOUNS[table],
             "what": tuple(f"the {column} of" for column in COLUMNS[table][KEYS[table]]),
             "missing": words, "conditions": condition[0].words}  # fmt: skip
    sentences = ("{ask} {what} {noun} {conditions} {missing}", "{ask} {what} {noun} {missing}, {conditions}")
    missing = Part(f"{key} not in (select {key} from {other})")
    return Case("join", Query(Part(KEYS[table]), Part(table), (*parts(condition), missing)), sentences, slots)


def _orders_of(rng: random.Random) -> Case:
    """Orders per customer, including customers without any."""
    condition = draw_conditions(rng, "customers", 1)
    slots = {"ask": ASK, "noun": NOUNS["customers"], "conditions": condition[0].words,
             "zero": ("including those with none", "also those without any", "0 where there is none")}  # fmt: skip
    sentences = ("{ask} the number of orders per name for {noun} {conditions}, {zero}",
                 "how many orders has each of the {noun} {conditions}, by name, {zero}?")  # fmt: skip
    source = Part(
        "customers left join orders using (customer_id)", "no_match", "customers join orders using (customer_id)"
    )
    query = Query(Part("name, count(order_id)"), source, parts(condition), (Part("group by name"),))
    return Case("join", query, sentences, slots)


def _product(rng: random.Random) -> Condition:
    """A product by title, or a category."""
    if rng.random() < 0.6:
        title = rng.choice(TITLES)
        return Condition((f"the {title}", title, f"our {title}"), Part(f"title = '{title}'"))
    category = rng.choice(CATEGORIES)
    return Condition((category, f"all {category}", f"our {category}"), Part(f"category = '{category}'"))
