"""Reading filters and orders: text in, a small tree out, or an error with a caret.

The grammar is in filters.lark; what names and operators mean is in filter_terms.py.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lark

from runwire_server.domain import filter_terms
from runwire_server.domain.filter_ast import And, Field, Kind, Node, Not, Operator, Or, OrderKey, Term, Type
from runwire_server.domain.filter_terms import Literal, Problem, Vocabulary
from runwire_server.errors import InvalidArgument

__all__ = [
    "And",
    "Field",
    "Kind",
    "Node",
    "Not",
    "Operator",
    "Or",
    "OrderKey",
    "Term",
    "Type",
    "parse_experiment_filter",
    "parse_experiment_order",
    "parse_run_filter",
    "parse_run_order",
]

MAX_FILTER_BYTES = 16 * 1024
MAX_FILTER_TERMS = 200
MAX_FILTER_DEPTH = 50
MAX_ORDER_KEYS = 10
MAX_ORDER_BYTES = 1024


def parse_run_filter(text: str, field: str = "filter") -> Node | None:
    """Reads a filter over runs.

    Args:
        text: The filter; blank matches all.
        field: Name of the request's field, for the error.

    Returns:
        The tree, or None for a blank text.

    Raises:
        InvalidArgument: INVALID_FILTER, quoting the place.
    """
    return _parse_filter(filter_terms.RUNS, text, field)


def parse_experiment_filter(text: str, field: str = "filter") -> Node | None:
    """Reads a filter over experiments. See `parse_run_filter`."""
    return _parse_filter(filter_terms.EXPERIMENTS, text, field)


def parse_run_order(order_by: Sequence[str]) -> tuple[OrderKey, ...]:
    """Reads `FIELD [ASC|DESC]` for each key of an order over runs.

    Raises:
        InvalidArgument: INVALID_FILTER, naming `order_by[i]`; INVALID_FIELD for too many keys.
    """
    return _parse_order(filter_terms.RUNS, order_by)


def parse_experiment_order(order_by: Sequence[str]) -> tuple[OrderKey, ...]:
    """Reads an order over experiments. See `parse_run_order`."""
    return _parse_order(filter_terms.EXPERIMENTS, order_by)


def _parse_filter(vocabulary: Vocabulary, text: str, field: str) -> Node | None:
    if not text.strip():
        return None
    with _reporting(text, field):
        _check_nul(text)
        _check_limits(text)
        part = _parser(vocabulary.noun).parse(text, start="filter")
        assert isinstance(part, _Part)
        return part.node


def _parse_order(vocabulary: Vocabulary, order_by: Sequence[str]) -> tuple[OrderKey, ...]:
    if len(order_by) > MAX_ORDER_KEYS:
        raise InvalidArgument.field(
            "order_by", f"has {len(order_by)} keys; expected at most {MAX_ORDER_KEYS}"
        )
    keys: list[OrderKey] = []
    for index, text in enumerate(order_by):
        with _reporting(text, f"order_by[{index}]"):
            _check_nul(text)
            if len(text) > MAX_ORDER_BYTES:
                raise Problem(MAX_ORDER_BYTES, f"at most {MAX_ORDER_BYTES} characters")
            key = _parser(vocabulary.noun).parse(text, start="order")
            assert isinstance(key, OrderKey)
            if any(key.field == other.field for other in keys):
                raise Problem(0, "another field", "the field stands in the order twice")
            keys.append(key)
    return tuple(keys)


# Quoted things first: what is inside them counts for nothing.
_LIMITED = re.compile(
    r"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|`(?:[^`]|``)*+`"""
    r"""|(?P<open>\()|(?P<close>\))|(?P<joint>(?<![\w./-])(?:and|or)(?![\w./-]))""",
    re.IGNORECASE,
)


def _check_limits(text: str) -> None:
    """Refuses what is too long before the parser sees it, in one pass over the characters."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_FILTER_BYTES:
        words = f"at most {MAX_FILTER_BYTES} bytes"
        raise Problem(0, words, f"the filter has {size} bytes; expected {words}")
    depth, terms = 0, 1
    for match in _LIMITED.finditer(text):
        if match["open"]:
            depth += 1
            _check_depth(depth, match.start())
        elif match["close"]:
            depth -= 1
        elif match["joint"]:
            terms += 1
            if terms > MAX_FILTER_TERMS:
                raise Problem(match.start(), f"at most {MAX_FILTER_TERMS} terms")


def _check_nul(text: str) -> None:
    """No stored text has NUL, and PostgreSQL does not even take it to compare."""
    if "\0" in text:
        raise Problem(text.index("\0"), "a character other than NUL")


def _check_depth(depth: int, position: int) -> None:
    if depth > MAX_FILTER_DEPTH:
        raise Problem(position, f"at most {MAX_FILTER_DEPTH} levels of nesting")


@dataclass(frozen=True, slots=True)
class _Part:
    """A read piece of a filter, with how deep brackets and NOTs nest in it."""

    node: Node
    depth: int


@dataclass(frozen=True, slots=True)
class _Place:
    field: Field
    position: int


class _Builder(lark.Transformer[lark.Token, Any]):
    """Builds the tree while the parser reduces: no parse tree, no recursion."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def filter(self, children: list[_Part]) -> _Part:
        return children[0]

    def disjunction(self, children: list[_Part]) -> _Part:
        return _Part(Or(tuple(c.node for c in children)), max(c.depth for c in children))

    def conjunction(self, children: list[_Part]) -> _Part:
        return _Part(And(tuple(c.node for c in children)), max(c.depth for c in children))

    def negation(self, children: list[Any]) -> _Part:
        token, part = children
        _check_depth(part.depth + 1, _start(token))
        return _Part(Not(part.node), part.depth + 1)

    def group(self, children: list[Any]) -> _Part:
        token, part, _ = children
        _check_depth(part.depth + 1, _start(token))
        return _Part(part.node, part.depth + 1)

    def comparison(self, children: list[Any]) -> _Part:
        place, operator, literal = children
        return self._term(place, Operator(str(operator)), [literal], operator)

    def like(self, children: list[Any]) -> _Part:
        place, *words, literal = children
        return self._term(place, _operator(words), [literal], words[0])

    def among(self, children: list[Any]) -> _Part:
        place = children[0]
        words = [c for c in children if isinstance(c, lark.Token) and c.type in ("NOT", "IN")]
        return self._term(place, _operator(words), [c for c in children if isinstance(c, Literal)], words[0])

    def null_test(self, children: list[Any]) -> _Part:
        place, *words = children
        return self._term(place, _operator(words), [], words[0])

    def _term(self, place: _Place, operator: Operator, literals: list[Literal], token: lark.Token) -> _Part:
        return _Part(filter_terms.term(place.field, operator, literals, _start(token)), 0)

    def order(self, children: list[Any]) -> OrderKey:
        place = children[0]
        if place.field.kind is Kind.DATASET:
            raise Problem(place.position, "a metric, param, tag or attribute")
        return OrderKey(place.field, any(c.type == "DESC" for c in children[1:] if c is not None))

    def bare(self, children: list[lark.Token]) -> _Place:
        (name,) = children
        text = str(name) if name.type == "NAME" else _unquote(name)
        return _Place(self._vocabulary.attribute(text, _start(name)), _start(name))

    def dotted(self, children: list[lark.Token]) -> _Place:
        prefix, key = children
        return _Place(self._vocabulary.field(str(prefix), str(key), None, _start(prefix)), _start(prefix))

    def quoted(self, children: list[lark.Token]) -> _Place:
        prefix, key, *rest = children
        part = str(rest[0]) if rest else ""
        return _Place(
            self._vocabulary.field(str(prefix), _unquote(key), part, _start(prefix)), _start(prefix)
        )

    def NUMBER(self, token: lark.Token) -> Literal:
        return Literal(str(token), True, _start(token))

    def SINGLE_QUOTED(self, token: lark.Token) -> Literal:
        return Literal(_unquote(token), False, _start(token))

    def double_quoted(self, children: list[lark.Token]) -> Literal:
        (token,) = children
        return Literal(_unquote(token), False, _start(token))


def _start(token: lark.Token) -> int:
    return token.start_pos or 0


def _unquote(token: lark.Token) -> str:
    quote = token[0]
    return str(token[1:-1]).replace(quote * 2, quote)


def _operator(words: Iterable[lark.Token]) -> Operator:
    return Operator(" ".join(str(word).upper() for word in words))


@functools.cache
def _parser(noun: str) -> lark.Lark:
    """Makes the parser, once for each vocabulary: it takes some milliseconds."""
    vocabulary = {v.noun: v for v in (filter_terms.RUNS, filter_terms.EXPERIMENTS)}[noun]
    return lark.Lark(
        Path(__file__).with_name("filters.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["filter", "order"],
        transformer=_Builder(vocabulary),
        maybe_placeholders=False,
        cache=False,
    )


@contextlib.contextmanager
def _reporting(text: str, field: str) -> Iterator[None]:
    """Turns what went wrong inside into INVALID_FILTER."""
    try:
        yield
    except Problem as problem:
        raise _error(text, field, problem) from None
    except lark.UnexpectedInput as error:
        raise _error(text, field, _unexpected(text, error, is_order=field.startswith("order_by"))) from None


def _unexpected(text: str, error: lark.UnexpectedInput, *, is_order: bool) -> Problem:
    position, allowed = len(text), set[str]()
    if isinstance(error, lark.UnexpectedCharacters):
        position, allowed = error.pos_in_stream or 0, set(error.allowed or ())
        if text[position] in "'\"`":
            return Problem(position, "a closing quote")
    elif isinstance(error, lark.UnexpectedToken):
        allowed = set(error.expected)
        if error.token.type != "$END":
            position = error.token.start_pos or 0
    if is_order and not allowed & {"NAME", "KEY", "PART"}:
        return Problem(position, "ASC, DESC or the end")
    return Problem(position, _in_words(allowed, text[:position]))


# The first line whose terminals are all legal at a place says what the place is for.
_EXPECTATIONS = (
    ({"COMPARISON"}, "a comparison operator"),
    ({"NUMBER"}, "a number, or a text in quotes"),
    ({"LIKE"}, "LIKE, ILIKE or IN"),
    ({"KEY"}, "a key; in backticks if it has other characters than letters, digits and _ - . /"),
    ({"PART"}, "min, max, first or count"),
    ({"NAME"}, "a field, such as metrics.loss, params.model or status"),
    ({"LPAR"}, "an opening bracket"),
    ({"NOT", "NULL"}, "NULL or NOT NULL"),
    ({"NULL"}, "NULL"),
    ({"_DOT"}, "a dot and a key"),
)


def _in_words(allowed: set[str], before: str) -> str:
    for terminals, words in _EXPECTATIONS:
        if terminals <= allowed:
            return words
    # The parser's states do not tell these apart, the brackets do.
    if not (opened := _open_brackets(before)):
        return "AND, OR or the end"
    if re.search(r"\bin\s*$", before[: opened[-1]], re.IGNORECASE):
        return "a comma or a closing bracket"
    return "AND, OR or a closing bracket"


def _open_brackets(text: str) -> list[int]:
    opened: list[int] = []
    for match in _LIMITED.finditer(text):
        if match["open"]:
            opened.append(match.start())
        elif match["close"] and opened:
            opened.pop()
    return opened


def _error(text: str, field: str, problem: Problem) -> InvalidArgument:
    position = min(problem.position, len(text))
    quoted = "\n".join(_quote(text, position))
    return InvalidArgument.field(
        field,
        f"{problem} at position {position}\n{quoted}",
        "INVALID_FILTER",
        {"position": str(position), "expected": problem.expected},
    )


_MARGIN = 60


def _quote(text: str, position: int) -> tuple[str, str]:
    """The line around a position, and a caret for the line below. Long lines are cut on both sides."""
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    left, right = max(begin, position - _MARGIN), min(end, position + _MARGIN)
    before, after = "..." if left > begin else "", "..." if right < end else ""
    line = "".join(c if c.isprintable() else " " for c in text[left:right])
    return f"  {before}{line}{after}", f"  {' ' * (len(before) + position - left)}^"
