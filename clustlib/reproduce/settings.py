"""Parameters given as text, ``--set NAME=VALUE``: read as the type of the notebook's default, never guessed.

Lists and mappings are written as YAML does, ``[a, b]`` and ``{a: 1}``; what stands in them is read as the default's
own elements are. ``null`` is None wherever the default is no text. Nothing else of YAML applies: no dates, no tags, no
``yes`` for a text.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from clustlib.errors import UsageError

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NULLS = ("null", "none", "~")
_LARGEST = 2**32 - 1  # whole number that random generators take
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a mapping"}
_PLAIN_TAG = "tag:yaml.org,2002:"


def split(pairs: list[str]) -> dict[str, str]:
    """``["seeds=[0]"]`` as ``{"seeds": "[0]"}``."""
    for pair in pairs:
        if not pair.partition("=")[0].strip() or "=" not in pair:
            raise UsageError(f"--set takes NAME=VALUE, got {pair[:60]!r}")
    named = [(name.strip(), value.strip()) for name, _, value in (pair.partition("=") for pair in pairs)]
    if twice := [name for name, many in Counter(name for name, _ in named).items() if many > 1]:
        raise UsageError(f"--set names {twice[0]} more than once")
    return dict(named)


def typed(name: str, text: str, default: Any) -> Any:
    """``text`` as a value like ``default``. Raises :class:`UsageError` that names the parameter.

    A list of texts or whole numbers has each once: what stands there twice would be counted twice. A text's parameter
    takes a list, too, where one is written, since ``"all"`` is the default of many lists. Where the default is None,
    anything is taken for what it looks like; what stands in quotes is text.
    """
    try:
        if isinstance(default, str):
            return _each_once(name, _value(_node(text), [""])) if text.startswith("[") else _unquoted(text)
        if isinstance(default, (list, tuple, dict)) or (default is None and text.startswith(("[", "{"))):
            return _each_once(name, _value(_node(text), default))
        quoted = _unquoted(text)
        return quoted if default is None and quoted != text else _scalar(quoted, default)
    except UsageError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError):
        kind = next((words for known, words in _KINDS.items() if isinstance(default, known)), "a value")
        raise UsageError(f"{name} takes {kind}{_example(default)}; got {text[:60]!r}") from None


def check_meaning(name: str, value: Any, known: Sequence[Any], remark: str) -> None:
    """Raise :class:`UsageError` on a value of the right type that no page can mean.

    That is a whole number above those that random generators take; and None, an empty list or a number below 0, unless
    one of the ``known`` values of the parameter (its default and the profiles') has the like, or the ``remark`` beside
    it speaks of None or of an empty list.
    """
    values, used = list(_flat(value)), [each for one in known for each in _flat(one)]
    if None in values and None not in used and "None" not in remark:
        raise UsageError(f"{name} cannot be null{_example(known[0])}")
    if value == [] and [] not in known and "empty" not in remark:
        raise UsageError(f"{name} is empty: it takes one or more{_example(known[0])}")
    below = next((each for each in values if _is_number(each) and each < 0), None)
    if below is not None and not any(_is_number(each) and each < 0 for each in used):
        raise UsageError(f"{name} must be from 0 on{_example(known[0])}; got {below}")
    above = next((each for each in values if type(each) is int and each > _LARGEST), None)
    if above is not None:
        raise UsageError(f"{name} must be at most {_LARGEST}{_example(known[0])}; got {str(above)[:30]}")


def _flat(value: Any) -> Iterator[Any]:
    """The single values in lists and mappings, one within the other."""
    if isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _flat(each)
    else:
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _each_once(name: str, value: Any) -> Any:
    """``value``. Raises :class:`UsageError` where it is a list that has a text or a whole number twice."""
    members = [each for each in value if isinstance(each, (str, int))] if isinstance(value, list) else []
    twice = next((each for each in members if members.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"{name} has {twice!r} twice")
    return value


def _example(default: Any) -> str:
    return f", as {default}" if len(str(default)) <= 60 else ""


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _node(text: str) -> yaml.Node:
    """The structure of ``text`` with every scalar as it is written. Raises ``yaml.YAMLError``."""
    node = yaml.compose(text, Loader=yaml.BaseLoader)
    if node is None:
        raise ValueError("empty")
    return node


def _value(node: yaml.Node, default: Any) -> Any:
    """A node as a value like ``default``; elements are like the default's elements."""
    if not node.tag.startswith(_PLAIN_TAG) or "python" in node.tag:
        raise ValueError(f"no {node.tag} here")
    if isinstance(node, yaml.SequenceNode) and (default is None or isinstance(default, (list, tuple))):
        return [_value(item, _like(default)) for item in node.value]
    if isinstance(node, yaml.MappingNode) and (default is None or isinstance(default, dict)):
        values = list((default or {}).values())
        return {_value(key, ""): _value(item, _like(values)) for key, item in node.value}
    if not isinstance(node, yaml.ScalarNode) or isinstance(default, (list, tuple, dict)):
        raise ValueError("a list and a single value are two things")
    return _scalar(node.value, default)


def _like(elements: Sequence[Any] | None) -> Any:
    """One element that stands for all: a float among whole numbers, None (any plain value) where there is none."""
    members = list(elements or ())
    return next((each for each in members if isinstance(each, float)), members[0] if members else None)


def _scalar(text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    if text.lower() in _NULLS:
        return None
    if isinstance(default, bool):
        return _boolean(text)
    if isinstance(default, int):
        return _whole(text)
    if isinstance(default, float):
        return _number(text)
    return _any(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError(text)
    return _BOOLEANS[text.lower()]


def _number(text: str) -> float:
    """A number; ``inf`` is one, ``1e400``, which is none of a float's, is not."""
    number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    """A whole number; ``1e3`` is one, ``1.5`` is none."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise ValueError(text) from None
        return int(number)


def _any(text: str) -> Any:
    """A number or a truth value where ``text`` is one, else the text."""
    for read in (int, _number, lambda word: {"true": True, "false": False}[word.lower()]):
        try:
            return read(text)
        except (ValueError, KeyError):
            continue
    return text
