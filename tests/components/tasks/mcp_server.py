"""A small MCP server: a shelf with things on it. Run as a process by tests, over stdio or over HTTP at a port."""

import os
import sys
import time

from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent

server = MCPServer("shelf", log_level="CRITICAL")
shelf: dict[str, int] = {}


@server.tool()
def reset(things: str) -> str:
    """Fill the shelf."""
    shelf.clear()
    shelf.update({name: 1 for name in things.split(",")})
    return " The shelf is open."


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


@server.tool()
def _state() -> dict[str, int]:
    """What is left."""
    return shelf


@server.tool()
def get_reward() -> float:
    """What it was worth."""
    return float(shelf.get("cup", 0) == 3)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
