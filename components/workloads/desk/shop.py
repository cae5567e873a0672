"""The shop behind the desk: orders in SQLite, tools that do as they are told, and a customer who follows a script.

The tools keep no policy: that is the agent's business, and what it is judged by.
"""

import json
import sqlite3
from typing import Any, Literal

Problem = Literal["damaged", "lost"]
_TABLES = """
CREATE TABLE orders (
  order_id TEXT PRIMARY KEY, email TEXT, item TEXT, status TEXT, delivered_days_ago INTEGER, paid REAL,
  address TEXT, refunded REAL DEFAULT 0
);
CREATE TABLE handovers (order_id TEXT, problem TEXT);
"""
_COLUMNS = ("order_id", "email", "item", "status", "delivered_days_ago", "paid", "address")


class Desk:
    """An environment by TRL's contract: one customer's case."""

    def __init__(self) -> None:
        self._shop = sqlite3.connect(":memory:")
        self._shop.row_factory = sqlite3.Row
        self._shop.executescript(_TABLES)
        self._script: list[str] = []

    def reset(self, orders: str, script: str, **_: str) -> None:
        self._shop.execute("DELETE FROM orders")
        self._shop.execute("DELETE FROM handovers")
        places = ", ".join(f":{name}" for name in _COLUMNS)
        self._shop.executemany(f"INSERT INTO orders ({', '.join(_COLUMNS)}) VALUES ({places})", json.loads(orders))
        self._script = json.loads(script)

    def find_orders(self, email: str) -> str:
        """List the orders of a customer.

        Args:
            email: The customer's e-mail.
        """
        rows = self._shop.execute("SELECT order_id, item FROM orders WHERE email = ? ORDER BY order_id", (email,))
        return json.dumps([dict(row) for row in rows])

    def get_order(self, order_id: str) -> str:
        """Show an order.

        Args:
            order_id: Its number.
        """
        row = self._order(order_id)
        return json.dumps({name: row[name] for name in _COLUMNS if row[name] is not None})

    def cancel_order(self, order_id: str) -> str:
        """Cancel an order.

        Args:
            order_id: Its number.
        """
        self._order(order_id)
        self._shop.execute("UPDATE orders SET status = 'cancelled' WHERE order_id = ?", (order_id,))
        return json.dumps({"order_id": order_id, "status": "cancelled"})

    def refund_order(self, order_id: str, amount: float) -> str:
        """Pay money back.

        Args:
            order_id: The order's number.
            amount: How much.
        """
        self._order(order_id)
        self._shop.execute("UPDATE orders SET refunded = refunded + ? WHERE order_id = ?", (amount, order_id))
        return json.dumps({"order_id": order_id, "refunded": amount})

    def change_address(self, order_id: str, address: str) -> str:
        """Send an order elsewhere.

        Args:
            order_id: Its number.
            address: The new city.
        """
        self._order(order_id)
        self._shop.execute("UPDATE orders SET address = ? WHERE order_id = ?", (address, order_id))
        return json.dumps({"order_id": order_id, "address": address})

    def hand_over(self, order_id: str, problem: Problem) -> str:
        """Give a case to a colleague.

        Args:
            order_id: The order's number.
            problem: What is wrong with it.
        """
        self._order(order_id)
        self._shop.execute("INSERT INTO handovers VALUES (?, ?)", (order_id, problem))
        return json.dumps({"order_id": order_id, "handed_over": problem})

    def _order(self, order_id: str) -> sqlite3.Row:
        row = self._shop.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
        if row is None:
            raise LookupError(f"there is no order {order_id}")
        return row

    def _state(self) -> dict[str, Any]:
        """All orders and handovers."""
        return {
            table: [dict(row) for row in self._shop.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("orders", "handovers")
        }

    def _user(self, messages: list[dict[str, Any]]) -> str | None:
        """The next fact of the script; without one the customer has heard enough."""
        return self._script.pop(0) if self._script else None

    def _close(self) -> None:
        self._shop.close()
