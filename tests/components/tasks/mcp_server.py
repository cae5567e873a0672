"""A small MCP server: a shelf with things on it. Run as a process by tests, over stdio or over HTTP at a port.

With the word `plain` it answers by text alone, with `letters` it has a tool whose schema Python cannot read.
"""

import os
import sys
import time
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent
from pydantic import Field

server = MCPServer("shelf", log_level="CRITICAL")
shelf: dict[str, int] = {}
STRUCTURED = False if "plain" in sys.argv else None


@server.tool(structured_output=STRUCTURED)
def reset(things: str) -> str | None:
    """Fill the shelf."""
    shelf.clear()
    shelf.update({name: 1 for name in things.split(",")})
    return None if "silence" in shelf else " The shelf is open."


@server.tool()
def count(name: str) -> str:
    """How many of a thing there are."""
    return f'{{"count": {shelf[name]}}}'


@server.tool()
def add(name: str, number: int) -> dict[str, int]:
    """Put more of a thing on the shelf."""
    shelf[name] = shelf.get(name, 0) + number
    return {"count": shelf[name]}


@server.tool()
def misbehave(how: str) -> str | ImageContent:
    """Do what servers do on a bad day."""
    if how == "hang":
        time.sleep(2.0)
    if how == "exit":
        os._exit(3)
    if how == "picture":
        return ImageContent(data="AAAA", mime_type="image/png")
    return "x" * 1_000_000


@server.tool(structured_output=STRUCTURED)
def _state() -> dict[str, int]:
    """What is left."""
    return shelf


@server.tool(structured_output=STRUCTURED)
def _user(messages: list[dict[str, Any]]) -> str | None:
    """Whoever stands at the shelf: a customer says a number once, others nothing."""
    said = sum(message["role"] == "user" for message in messages)
    return "4711" if "customer" in shelf and said == 1 else None


@server.tool(structured_output=STRUCTURED)
def get_reward() -> float:
    """What it was worth."""
    return float(shelf.get("cup", 0) == 3)


if "letters" in sys.argv:

    @server.tool()
    def label(name: Annotated[str, Field(pattern=r"^\p{L}+$")]) -> str:
        """Write a name on the shelf."""
        return name


if __name__ == "__main__":
    if ports := [int(word) for word in sys.argv[1:] if word.isdigit()]:
        server.run("streamable-http", host="127.0.0.1", port=ports[0])
    else:
        server.run("stdio")
