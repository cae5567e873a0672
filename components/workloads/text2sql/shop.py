"""The shop: five tables, and three simulated databases with different rows in them.

A query that is right by luck on one database is rarely right on three. Values in questions occur in all of them, and
many rows are exactly at the bounds in questions, so that an off-by-one bound changes the result.
"""

import random
import sqlite3
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache

SCHEMA = (
    "create table customers (customer_id integer primary key, name text, city text, joined text);",
    "create table products (product_id integer primary key, title text, category text, price integer, stock integer);",
    "create table orders (order_id integer primary key, customer_id integer, ordered text, status text);",
    "create table items (order_id integer, product_id integer, quantity integer);",
    "create table reviews (product_id integer, stars integer, written text);",
)

CITIES = (
    "Berlin", "Hamburg", "Munich", "Vienna", "Graz", "Zurich", "Basel", "Paris",
    "Lyon", "Madrid", "Porto", "Lisbon", "Milan", "Rome", "Oslo", "Bergen",
)  # fmt: skip
CATEGORIES = ("lamps", "chairs", "desks", "shelves", "rugs", "clocks", "plants", "mirrors")
STATUSES = ("open", "shipped", "delivered", "cancelled", "returned")
STATUS_WEIGHTS = (2, 3, 8, 3, 2)
MODELS = ("Aura", "Birk", "Cala", "Dune", "Elva", "Fjord", "Gala", "Hanko", "Iris", "Juno", "Kelo", "Lund")
TITLES = tuple(f"{model} {category.removesuffix('s')}" for category in CATEGORIES for model in MODELS)
FIRST_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jan", "Kim", "Lea", "Max", "Nora")
LAST_NAMES = ("Adler", "Berg", "Costa", "Dahl", "Ek", "Funk", "Greco", "Holm", "Ito", "Jung", "Katz", "Lang")

PRICES = range(10, 260, 10)
STOCKS = range(0, 100, 5)
FIRST_DAY, DAYS = date(2023, 7, 1), 730
SEEDS, SEALED_SEEDS = (11, 12, 13), (21, 22)
ORDERS = 600
NOTHING: tuple[list[tuple[object, ...]], ...] = ([], [(None,)], [(0,)])


@cache
def databases() -> tuple[str, ...]:
    """The three databases for judging answers, as SQL scripts for SQLite or DuckDB."""
    return tuple(map(_script, SEEDS))


@cache
def sealed_databases() -> tuple[str, ...]:
    """Two more, which are never used for rewards."""
    return tuple(map(_script, SEALED_SEEDS))


def differ(first: str, second: str) -> bool:
    """Whether two of this package's queries return different rows, in any order, on one of the databases."""
    return any(
        sorted(map(repr, shop.execute(first).fetchall())) != sorted(map(repr, shop.execute(second).fetchall()))
        for shop in _opened()
    )


def has_answer(query: str) -> bool:
    """Whether one of this package's queries returns anything but nothing, null or 0 on one of the databases."""
    return any(shop.execute(query).fetchall() not in NOTHING for shop in _opened())


@cache
def _opened() -> tuple[sqlite3.Connection, ...]:
    """The databases in memory."""
    shops = tuple(sqlite3.connect(":memory:", check_same_thread=False) for _ in SEEDS)
    for shop, script in zip(shops, databases(), strict=True):
        shop.executescript(script)
    return shops


def _script(seed: int) -> str:
    return "\n".join((*SCHEMA, *_rows(random.Random(f"shop/{seed}"))))


def draw_day(rng: random.Random) -> date:
    """Draw a day within the shop's records."""
    return FIRST_DAY + timedelta(days=rng.randrange(DAYS))


def _booked(rng: random.Random) -> date:
    """Draw a day for a row; half of them are the first of a month."""
    day = draw_day(rng)
    return day.replace(day=1) if rng.random() < 0.5 else day


def _rows(rng: random.Random) -> Iterable[str]:
    """An insert per table; some customers have no orders and some products no reviews."""
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    rng.shuffle(names)
    customers = range(1, len(names) + 1)
    yield _insert("customers", ((n, names[n - 1], rng.choice(CITIES), _booked(rng)) for n in customers))
    products = range(1, len(TITLES) + 1)
    yield _insert(
        "products",
        (
            (n, TITLES[n - 1], CATEGORIES[(n - 1) // len(MODELS)], rng.choice(PRICES), rng.choice(STOCKS))
            for n in products
        ),
    )
    buyers, reviewed = customers[len(names) // 6 :], rng.sample(products, len(products) * 4 // 5)
    orders = range(1, ORDERS + 1)
    statuses = rng.choices(STATUSES, STATUS_WEIGHTS, k=ORDERS)
    yield _insert("orders", ((n, rng.choice(buyers), _booked(rng), statuses[n - 1]) for n in orders))
    yield _insert(
        "items",
        ((n, product, rng.randint(1, 6)) for n in orders for product in rng.sample(products, rng.randint(1, 3))),
    )
    yield _insert("reviews", ((rng.choice(reviewed), rng.randint(1, 5), _booked(rng)) for _ in range(ORDERS)))


def _insert(table: str, rows: Iterable[tuple[object, ...]]) -> str:
    values = ",".join("(" + ",".join(map(_literal, row)) + ")" for row in rows)
    return f"insert into {table} values {values};"


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"
