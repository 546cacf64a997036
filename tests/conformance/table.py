"""The table of languages and groups in the README."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from tests.conformance.cases import HERE, Case, load
from tests.conformance.drivers import languages

_README: Final = HERE / "README.md"
_BEGIN: Final = "<!-- table -->\n"
_END: Final = "<!-- /table -->"


def known_failures() -> dict[str, dict[str, str]]:
    """Reads the failures that are known: by language, `group: name` of the case and the reason."""
    return dict(json.loads((HERE / "known_failures.json").read_text(encoding="utf-8")))


def title(case: Case) -> str:
    """Names a case as the list of known failures does."""
    return f"{case.group}: {case.name}"


def outcome_table(found: dict[tuple[str, str], list[bool]]) -> str:
    """Makes the table of what was played.

    Args:
        found: Whether each case passed, by language and group.

    Returns:
        Markdown.
    """
    cells = {place: (sum(passed), len(passed)) for place, passed in found.items()}
    return _table(cells)


def expected_table() -> str:
    """Makes the table of what is said to pass: all cases but the known failures."""
    cells: dict[tuple[str, str], tuple[int, int]] = {}
    failures = known_failures()
    for language in languages():
        for case in load():
            if language in case.not_for or case.torture:
                continue
            passed, count = cells.get((language, case.group), (0, 0))
            good = title(case) not in failures.get(language, {})
            cells[language, case.group] = (passed + good, count + 1)
    return _table(cells)


def _table(cells: dict[tuple[str, str], tuple[int, int]]) -> str:
    groups = sorted({group for _, group in cells})
    columns = [one for one in languages() if any(language == one for language, _ in cells)]
    lines = ["| group | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows = [[group, *(_cell(cells.get((one, group))) for one in columns)] for group in groups]
    sums = [_sum(cells[one, group] for group in groups if (one, group) in cells) for one in columns]
    lines += ["| " + " | ".join(row) + " |" for row in [*rows, ["all", *sums]]]
    return "\n".join(lines)


def _cell(counts: tuple[int, int] | None) -> str:
    return "" if counts is None else f"{counts[0]} of {counts[1]}"


def _sum(counts: Iterable[tuple[int, int]]) -> str:
    listed = list(counts)
    return f"{sum(passed for passed, _ in listed)} of {sum(count for _, count in listed)}"


def written() -> str:
    """Reads the table that the README has."""
    text = _README.read_text(encoding="utf-8")
    return text[text.index(_BEGIN) + len(_BEGIN) : text.index(_END)].strip()


def write(table: str) -> None:
    """Writes the table into the README."""
    text = _README.read_text(encoding="utf-8")
    before, after = text[: text.index(_BEGIN) + len(_BEGIN)], text[text.index(_END) :]
    _README.write_text(before + table + "\n" + after, encoding="utf-8")
