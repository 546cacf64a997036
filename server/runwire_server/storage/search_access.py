"""Which indexes can serve a filter: from a filter's terms to ranges of index entries.

A *source* is a range of one index: all runs that satisfy some term are in it. An *access* serves one
operand of the filter's outermost AND by one source, or by the union of a few (for OR and IN).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from runwire_server.domain.filter_ast import And, Field, Kind, Node, Not, Operator, Or, Term
from runwire_server.storage.schema import INDEXED_VALUE_LENGTH
from runwire_server.storage.search_sql import Statement, comparison

# An access is the union of at most so many sources.
MAX_SOURCES = 16
# More are not looked at: counting takes time, too.
MAX_ACCESSES = 8

# SQLite finds these by itself; its name for the index of a UNIQUE constraint is its own.
_UNHINTED = ("runs_by_run_id", "runs_by_name", "params_long", "tags_long")

_RANGES = (Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.EQ)
_LOWER = (Operator.GT, Operator.GE, Operator.EQ)
_UPPER = (Operator.LT, Operator.LE, Operator.EQ)
_SETS = (Operator.EQ, Operator.IN)
_PATTERNS = (Operator.LIKE, Operator.ILIKE)


@dataclass(frozen=True, slots=True)
class Partition:
    """The runs of one experiment in one lifecycle: every index begins with the two."""

    experiment: int
    lifecycle: int


@dataclass(frozen=True, slots=True)
class Source:
    """A range of index entries.

    Attributes:
        table: `runs`, or a table of children with the columns that search needs, or `datasets`.
        index: The index.
        key: Key of the param, tag or metric; empty for other tables.
        terms: What the entries satisfy: conditions on `column`.
        column: The index's next column behind the partition and the key.
        by_time: Whether the entries come newest first.
        rest: What is still to be checked of the operand that this source serves.
        times: Bounds of the start time.
    """

    table: str
    index: str
    column: str
    key: str = ""
    terms: tuple[Term, ...] = ()
    by_time: bool = False
    rest: tuple[Node, ...] = ()
    times: tuple[Term, ...] = ()

    @property
    def counted(self) -> Source:
        """The entries between the bounds, whatever their text: a cheap upper bound for counting."""
        return replace(self, terms=tuple(t for t in self.terms if t.operator not in _PATTERNS))

    @property
    def run(self) -> str:
        """SQL for the row key of an entry's run."""
        return {"runs": "r.id", "datasets": "i.run"}.get(self.table, "d.run")

    @property
    def time(self) -> str:
        """SQL for the start time of an entry's run."""
        return "r.start_time" if self.table == "runs" else "d.start_time"

    def tables(self, statement: Statement) -> str:
        """Writes the FROM list of the entries, not joined with their runs."""
        hint = "" if self.index in _UNHINTED else statement.indexed(self.index)
        if self.table == "datasets":
            return f"datasets AS s{hint} CROSS JOIN run_inputs AS i"
        return f"{self.table} AS {'r' if self.table == 'runs' else 'd'}{hint}"

    def where(self, statement: Statement, partition: Partition, times: Sequence[Term] = ()) -> list[str]:
        """Writes the conditions that the entries meet, and bounds of their start times."""
        experiment, lifecycle = statement.bind(partition.experiment), statement.bind(partition.lifecycle)
        if self.table == "datasets":
            where = [comparison(statement, self.column, term) for term in self.terms]
            return [*where, "i.dataset = s.id", f"s.experiment = {experiment}"]
        terms, times = self.terms, (*self.times, *times)
        if self.column == self.time:
            terms, times = (), (*terms, *times)
        where = [comparison(statement, self.column, term) for term in terms]
        where += [comparison(statement, self.time, term) for term in tighten(times)]
        if self.key:
            where.append(f"d.key = {statement.bind(self.key)}")
        if self.index in ("params_by_value", "tags_by_value"):
            where.append(f"length(d.value) <= {INDEXED_VALUE_LENGTH}")
        elif self.index in ("params_long", "tags_long"):
            where.append(f"length(d.value) > {INDEXED_VALUE_LENGTH}")
        alias = "r" if self.table == "runs" else "d"
        # The plus keeps these conditions from drawing the planner to another index.
        plus = "+" if statement.is_sqlite and self.index in ("runs_by_run_id", "runs_by_parent") else ""
        where += [f"{plus}{alias}.experiment = {experiment}", f"{plus}{alias}.lifecycle = {lifecycle}"]
        return where

    def __str__(self) -> str:
        """For people: the index and what it is asked."""
        asked = ", ".join(f"{term.operator.value} {term.value!r:.40}" for term in self.terms)
        return f"{self.index}({' '.join(part for part in (self.key, asked) if part)})"


RUNS_BY_TIME = Source("runs", "runs_by_start_time", "r.start_time", by_time=True)


@dataclass(frozen=True, slots=True)
class Access:
    """A way to all runs that satisfy one or more operands of the outermost AND.

    Attributes:
        sources: Their union holds all these runs.
        operands: The operands that it serves.
        branches: The same as sources that each come newest first; empty if there are none.
        is_scan: Whether it reads all texts of a key, so that there is no point in counting first.
    """

    sources: tuple[Source, ...]
    operands: tuple[Node, ...]
    branches: tuple[Source, ...] = ()
    is_scan: bool = False

    @property
    def exact(self) -> bool:
        """Whether the sources hold nothing else, so that the operands need no further check."""
        return not any(source.rest for source in self.sources)


def normalise(node: Node | None) -> tuple[Node, ...]:
    """The operands of the filter's outermost AND, with NOT pushed down to the terms."""
    if node is None:
        return ()
    pushed = _push(node, negated=False)
    return pushed.operands if isinstance(pushed, And) else (pushed,)


def accesses(operands: Sequence[Node]) -> list[Access]:
    """The ways that indexes offer to the runs that satisfy all operands, scans last."""
    found: list[Access] = []
    ranges: dict[Field, list[Term]] = {}
    for operand in operands:
        if isinstance(operand, Term) and _is_range(operand):
            ranges.setdefault(operand.field, []).append(operand)
        elif access := _access(operand):
            found.append(access)
    for field, terms in ranges.items():
        source = _range_source(field, tuple(terms))
        found.append(Access((source,), tuple(terms), (source,) if source.by_time else ()))
    return sorted(found, key=lambda access: access.is_scan)[:MAX_ACCESSES]


def metric_source(key: str, terms: tuple[Term, ...] = ()) -> Source:
    """The latest values of a metric in order, NaN among them only when there are no terms."""
    terms = tighten(terms)
    by_time = any(term.operator is Operator.EQ for term in terms)
    return Source("metric_series", "metric_series_by_latest", "d.latest", key, terms, by_time)


def required_ranges(operands: Sequence[Node], field: Field) -> tuple[Term, ...]:
    """The operands that say between which numbers a field lies: a run without it satisfies none."""
    return tuple(o for o in operands if isinstance(o, Term) and o.field == field and _is_range(o))


def tighten(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The fewest terms on one field that say the same as some ranges do.

    An index search uses one bound on each side, and of two not always the tighter.
    """
    if len(terms) < 2:
        return tuple(terms)
    if never := [term for term in terms if term.value == ()]:
        return (never[0],)
    # Sorted by tightness: of equal bounds, the strict one is tighter.
    low = max(((t.value, t.operator is Operator.GT) for t in terms if t.operator in _LOWER), default=None)
    high = min(
        ((t.value, t.operator is not Operator.LT) for t in terms if t.operator in _UPPER), default=None
    )
    field = terms[0].field
    if low and high and (low[0] > high[0] or (low[0] == high[0] and (low[1] or not high[1]))):  # type: ignore[operator]
        return (Term(field, Operator.IN, ()),)
    if low and high and low[0] == high[0]:
        return (Term(field, Operator.EQ, low[0]),)
    lower = [Term(field, Operator.GT if low[1] else Operator.GE, low[0])] if low else []
    upper = [Term(field, Operator.LE if high[1] else Operator.LT, high[0])] if high else []
    return (*lower, *upper)


def _push(node: Node, *, negated: bool) -> Node:
    match node:
        case Not(operand):
            return _push(operand, negated=not negated)
        case And(operands) | Or(operands):
            kind = And if isinstance(node, And) is not negated else Or
            pushed = [_push(operand, negated=negated) for operand in operands]
            return kind(tuple(_flatten(kind, pushed)))
        case _:
            return Not(node) if negated else node


def _flatten(kind: type[And] | type[Or], nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, And | Or) and isinstance(node, kind):
            yield from node.operands
        else:
            yield node


def _is_range(term: Term) -> bool:
    """Whether the term is a range of an index of numbers."""
    if term.field.kind is Kind.METRIC:
        return term.operator in _RANGES and term.field.part == "latest"
    return term.operator in _RANGES and term.field.kind is Kind.ATTRIBUTE and term.field.key == "start_time"


def _range_source(field: Field, terms: tuple[Term, ...]) -> Source:
    if field.kind is Kind.METRIC:
        return metric_source(field.key, terms)
    return replace(RUNS_BY_TIME, terms=tighten(terms))


def _access(operand: Node) -> Access | None:
    match operand:
        case Term():
            if _is_range(operand):
                return accesses([operand])[0]
            return _pattern_access(operand) if operand.operator in _PATTERNS else _set_access(operand)
        case Or(alternatives):
            return _union(operand, alternatives)
        case _:
            return None


def _union(operand: Or, alternatives: Sequence[Node]) -> Access | None:
    """Serves an OR by the sources of all its alternatives, of which each needs one."""
    sources: list[Source] = []
    branches: list[Source] = []
    is_scan = False
    for alternative in alternatives:
        served = _alternative(alternative)
        if served is None:
            return None
        access, rest = served
        is_scan = is_scan or access.is_scan
        sources += [_with_rest(source, rest) for source in access.sources]
        branches += [_with_rest(source, rest) for source in access.branches]
        if not access.branches:
            branches += [_NO_BRANCH]
        if len(sources) > MAX_SOURCES:
            return None
    if _NO_BRANCH in branches or len(branches) > MAX_SOURCES:
        branches = []
    return Access(tuple(sources), (operand,), tuple(branches), is_scan)


_NO_BRANCH = Source("", "", "")


def _alternative(node: Node) -> tuple[Access, tuple[Node, ...]] | None:
    """One alternative's access, and what is left to check of it: an AND is served by its first that can."""
    if not isinstance(node, And):
        access = _access(node)
        return (access, ()) if access else None
    served = [(access, o) for o in node.operands if (access := _access(o))]
    # Equal texts are rarer than a range of numbers, as a rule.
    served.sort(key=lambda pair: (pair[0].is_scan, not isinstance(pair[1], Term) or _is_range(pair[1])))
    if not served:
        return None
    access, chosen = served[0]
    return access, tuple(o for o in node.operands if o is not chosen or not access.exact)


def _with_rest(source: Source, rest: tuple[Node, ...]) -> Source:
    return replace(source, rest=source.rest + rest) if rest else source


def _set_access(term: Term) -> Access | None:
    """Serves equality and IN."""
    if term.operator not in _SETS or term.value == ():
        return None
    values = term.value if isinstance(term.value, tuple) else (term.value,)
    make = _source_maker(term.field, values)
    if make is None:
        return None
    source = make(term)
    branches: tuple[Source, ...] = ()
    if source.by_time and len(set(values)) <= MAX_SOURCES:
        each = [Term(term.field, Operator.EQ, value) for value in dict.fromkeys(values)]
        branches = tuple(make(one) for one in each)
    return Access((source,), (term,), branches)


def _pattern_access(term: Term) -> Access | None:
    """Serves LIKE by the texts that begin as the pattern does, or by all texts of the key."""
    prefix = _prefix(str(term.value)) if term.operator is Operator.LIKE else ""
    terms = (*_beginning_with(term.field, prefix), term)
    is_scan = not prefix
    if term.field.kind in (Kind.PARAM, Kind.TAG):
        table = "params" if term.field.kind is Kind.PARAM else "tags"
        short = Source(table, f"{table}_by_value", "d.value", term.field.key, terms)
        return Access((short, replace(short, index=f"{table}_long")), (term,), is_scan=is_scan)
    if term.field.kind is Kind.ATTRIBUTE and term.field.key == "run_name":
        return Access((Source("runs", "runs_by_name", "r.name", terms=terms),), (term,), is_scan=is_scan)
    return None


def _prefix(pattern: str) -> str:
    """What all texts that match a pattern begin with."""
    prefix = ""
    characters = iter(pattern)
    for character in characters:
        if character in "%_":
            break
        prefix += next(characters, "") if character == "\\" else character
    return prefix


def _beginning_with(field: Field, prefix: str) -> tuple[Term, ...]:
    """Bounds of the texts with a prefix; texts compare by code point."""
    if not prefix:
        return ()
    least = Term(field, Operator.GE, prefix)
    # Surrogates are no text, and behind the last code point there is none.
    following = 0xE000 if ord(prefix[-1]) == 0xD7FF else ord(prefix[-1]) + 1
    if following > 0x10FFFF:
        return (least,)
    return (least, Term(field, Operator.LT, prefix[:-1] + chr(following)))


def _source_maker(field: Field, values: Sequence[object]) -> Callable[[Term], Source] | None:
    """How to make the source of an equality or IN term over a field, or None if it has no index."""
    if field.kind in (Kind.PARAM, Kind.TAG):
        table = "params" if field.kind is Kind.PARAM else "tags"
        long = [len(str(value)) > INDEXED_VALUE_LENGTH for value in values]
        if all(long):
            return lambda term: Source(table, f"{table}_long", "d.value", field.key, (term,))
        if any(long):
            return None
        return lambda term: Source(table, f"{table}_by_value", "d.value", field.key, (term,), by_time=True)
    if field.kind is Kind.DATASET and field.key == "name":
        return lambda term: Source("datasets", "datasets_by_name", "s.name", terms=(term,))
    indexes = {
        "status": ("runs_by_status", "r.status"),
        "run_name": ("runs_by_name", "r.name"),
        "run_id": ("runs_by_run_id", "r.run_id"),
        "parent_run_id": ("runs_by_parent", "r.parent_run_id"),
    }
    if field.kind is not Kind.ATTRIBUTE or field.key not in indexes:
        return None
    index, column = indexes[field.key]
    by_time = index in ("runs_by_status", "runs_by_name")
    return lambda term: Source("runs", index, column, terms=(term,), by_time=by_time)
