"""Parses every C# file of a folder: parse.py FOLDER. It stands in for a compiler where none can be had."""

import pathlib
import sys

import tree_sitter
import tree_sitter_c_sharp

parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_c_sharp.language()))
files = list(pathlib.Path(sys.argv[1]).rglob("*.cs"))


def wrong(node):
    """The first place that is no C#."""
    if node.is_error or node.is_missing:
        return node
    return next((found for child in node.children if child.has_error and (found := wrong(child))), None)


for file in files:
    if found := wrong(parser.parse(file.read_bytes()).root_node):
        sys.exit(f"error: {file}:{found.start_point.row + 1} is no C#")
if not files:
    sys.exit("error: there is no C#")
