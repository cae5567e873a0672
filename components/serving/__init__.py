"""Serving the champion over HTTP, as OpenAI's API does.

Decides what a request may ask, who may ask, and which version answers; how answers are computed is the engines'
business, and which version is champion the registry's.
"""

from components.serving.access import REVIEWER, Keys, new_key
from components.serving.app import create_app
from components.serving.browsers import LOOPBACK
from components.serving.champion import Follower, Served, in_time, open_fallback, open_served
from components.serving.connections import bind, config
from components.serving.corrections import Corrections
from components.serving.forgotten import forget_waiting, forgotten_in, note, sparing
from components.serving.journal import Journal, Outlet
from components.serving.owners import Owners, salt
from components.serving.server import Server

__all__ = [
    "LOOPBACK",
    "REVIEWER",
    "Corrections",
    "Follower",
    "Journal",
    "Keys",
    "Outlet",
    "Owners",
    "Served",
    "Server",
    "bind",
    "config",
    "create_app",
    "forget_waiting",
    "forgotten_in",
    "in_time",
    "new_key",
    "note",
    "open_fallback",
    "open_served",
    "salt",
    "sparing",
]
