"""The building blocks of the demo, the bench and the tests: nodes, people on them, and ubfd."""

from .node import Node, become, join
from .tree import FOLDER, Trouble, add_users, end_with, reachable, run_in_private_tree
from .ubfd import Ubfd, to_toml, write_key

__all__ = ["FOLDER", "Node", "Trouble", "Ubfd", "add_users", "become", "end_with", "join", "reachable",
           "run_in_private_tree", "to_toml", "write_key"]
