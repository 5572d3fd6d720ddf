"""Reads YAML (and JSON, which is YAML) from untrusted files as plain data of bounded size.

read_yaml(Path("mine.yaml"))     ->  {"name": "mine", "dataset": {"rows": {"train": 8}}, ...}
parse_yaml("2024-01-01", "...")  ->  "2024-01-01"

The result has what JSON has: text, finite numbers, true, false, null, lists and mappings. A key is always text:
``no: 1`` has the key "no". A date or a time such as ``12:30`` is text too. An alias is a copy.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from toolgen_hf.errors import ConfigError

MAX_BYTES = 1_000_000
_MAX_VALUES = 50_000
"""Keys and values together. An alias counts as all values of its anchor."""
MAX_DEPTH = 40
_LARGEST = 2**63 - 1
_LONGEST = 80
"""The most characters of a number: 64 binary digits, a sign, and ``_`` between them."""
_TAG = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_yaml(path: Path) -> Any:
    """The content of a file.

    Raises:
        ConfigError: the file cannot be read, or is not such YAML; names the file and the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes: name the file of a recipe")
    try:
        return _parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from error
    except _UnfitError as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from error


def parse_yaml(text: str, where: str) -> Any:
    """The value of a text.

    Args:
        where: the start of an error's message.

    Raises:
        ConfigError: the text is not such YAML.
    """
    try:
        return _parse(text)
    except _UnfitError as error:
        raise ConfigError(f"{where}: {error}") from error


class _UnfitError(Exception):
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def _unfit(node: yaml.Node, problem: str) -> _UnfitError:
    return _UnfitError(node.start_mark.line + 1, problem)


def _parse(text: str) -> Any:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.plain_data()
    except yaml.reader.ReaderError as error:
        line, sign = text[: error.position].count("\n") + 1, f"U+{error.character:04X}"
        raise _UnfitError(line, f"not valid YAML: the character {sign} is not allowed: delete it") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = ": indent with spaces, not with tabs" if "'\\t'" in str(error.problem) else ""
        problem = f"not valid YAML: {_shown(str(error.problem))}{hint}"
        raise _UnfitError(mark.line + 1 if mark else 1, problem) from error
    except (ValueError, OverflowError) as error:  # of an escape such as "\U99999999"
        line = loader.line + 1 if loader is not None else 1
        raise _UnfitError(line, "not valid YAML: an escape for a character that does not exist") from error


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}..."


class _Loader(yaml.SafeLoader):
    """Composes nodes, and then turns them into plain data with every alias written out; both up to the limits."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as its base has it
        first: [(tag, form) for tag, form in found if tag != f"{_TAG}timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._depth = 0
        self._within: set[int] = set()
        """The lists and mappings around the current node."""

    def plain_data(self) -> Any:
        node = self.get_single_node()
        self._count = 0
        return None if node is None else self._value(node)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._check_bounds(self.line + 1, self._depth)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _check_bounds(self, line: int, depth: int) -> None:
        self._count += 1
        if self._count > _MAX_VALUES:
            problem = (
                f"more than {_MAX_VALUES:,} keys and values (an alias counts as all values of its anchor)"
            )
            raise _UnfitError(line, problem)
        if depth > MAX_DEPTH:
            raise _UnfitError(line, f"nested more than {MAX_DEPTH} deep")

    def _value(self, node: yaml.Node) -> Any:
        if id(node) in self._within:
            raise _unfit(node, "an alias (*name) is inside its own anchor (&name): write the values out")
        self._check_bounds(node.start_mark.line + 1, len(self._within))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._within.add(id(node))
        made: Any
        if isinstance(node, yaml.MappingNode):
            _check_tag(node, "map")
            made = self._mapping(node)
        else:
            _check_tag(node, "seq")
            made = [self._value(item) for item in node.value]
        self._within.remove(id(node))
        return made

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _UnfitError(line, "a list or mapping as a key: a key is text, such as name")
            if key_node.tag == f"{_TAG}null":
                raise _UnfitError(line, "an empty key: a key is text, such as name")
            self._scalar(key_node)  # refuses an unknown tag
            key = _text(key_node)
            if key in seen:
                raise _UnfitError(line, f"the key {_shown(key)!r} is already in line {seen[key]}: keep one")
            seen[key] = line
            if key_node.tag != f"{_TAG}merge":
                own[key] = self._value(value_node)
                continue
            many = isinstance(value_node, yaml.SequenceNode)
            for source in value_node.value if many else [value_node]:  # the first has precedence
                if not isinstance(source, yaml.MappingNode):
                    raise _UnfitError(line, "<<: merges a mapping (<<: *name), or a list of mappings")
                merged = {**self._value(source), **merged}
        return {**merged, **own}

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in self.bool_values:
            return self.bool_values[text.lower()]
        if kind in ("int", "float") and ":" not in text:  # 12:30 is not a number to the base of 60
            return self._number(node, kind)
        if kind not in ("int", "float", "timestamp", "value", "merge"):
            _check_tag(node, "str")
        return _text(node)

    def _number(self, node: yaml.ScalarNode, kind: str) -> int | float:
        shown = _shown(node.value)
        if len(node.value) > _LONGEST:
            raise _unfit(node, f"the number {shown} has {len(node.value):,} digits: put text into quotes")
        try:
            number: int | float = getattr(self, f"construct_yaml_{kind}")(node)
        except ValueError:
            raise _unfit(node, f"{shown} is not a number") from None
        if not math.isfinite(number):
            raise _unfit(
                node, f"{shown} is not a finite number: leave the key out, or write null, for no limit"
            )
        if isinstance(number, int) and abs(number) > _LARGEST:
            raise _unfit(node, f"the number {shown} is not below 2^63: put text into quotes")
        return number


def _check_tag(node: yaml.Node, wanted: str) -> None:
    if node.tag != f"{_TAG}{wanted}":
        tag = _shown(node.tag.replace(_TAG, "!!"))
        raise _unfit(node, f"the tag {tag!r} is not read: write plain text, numbers, lists and mappings")


def _text(node: yaml.ScalarNode) -> str:
    """The text. Two escapes that spell one character, as in JSON, become that character."""
    text: str = node.value
    if "\0" in text:
        raise _unfit(node, "the escape \\0 is not allowed in a recipe: delete it")
    if not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        problem = "an escape that is half a character, such as \\ud83d: write the character"
        raise _unfit(node, problem) from None
