"""Completion: what could be meant at a place in a SQL text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.results.sql.text import RESERVED, quoted, tokens
from tui_lab.tui.panes.query.completion import FUNCTIONS, KEYWORDS, Catalog, ColumnFacts, complete, tables_in

CATALOG = Catalog(
    {
        "grid": (ColumnFacts("lr", "DOUBLE", "parameter"), ColumnFacts("test_acc", "DOUBLE", "metric")),
        "grid_tasks": None,
        "my-exp": (ColumnFacts("order", "BIGINT"), ColumnFacts("lr", "DOUBLE")),
        "results": (ColumnFacts("lr", "DOUBLE"), ColumnFacts("loss", "DOUBLE")),
    }
)


def offered(text: str) -> list[str]:
    """What is offered at the bar in a text."""
    offset = text.index("|")
    return [one.text for one in complete(text.replace("|", "", 1), offset, CATALOG).candidates]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("|", "SELECT"),
        ("sel|", "select"),
        ("SEL|", "SELECT"),
        ("SELECT | FROM grid", "lr"),
        ("SELECT te| FROM grid", "test_acc"),
        ("SELECT acc| FROM grid", "test_acc"),
        ("SELECT lo|", "loss"),  # no table yet: the current experiment's
        ("SELECT g.t| FROM grid g", "test_acc"),
        ("SELECT g.t| FROM grid AS g", "test_acc"),
        ("SELECT grid.| FROM grid", "lr"),
        ("SELECT * FROM |", "grid"),
        ("FROM grid JOIN gr|", "grid"),
        ("SELECT * FROM grid, my|", '"my-exp"'),
        ("SELECT * FROM my|", '"my-exp"'),
        ('SELECT * FROM "my|', '"my-exp"'),
        ('SELECT a.or| FROM "my-exp" a', '"order"'),
        ("SELECT * FROM grid w|", "where"),
        ("SELECT * FROM be|", "best("),
        ("SELECT mean(te| FROM grid", "test_acc"),
        ("SELECT mean(lr) AS average FROM grid ORDER BY aver|", "average"),
        ("WITH best_ones AS (SELECT 1) SELECT * FROM best_|", "best_ones"),
        ("SELECT (SELECT max(te| FROM grid)", "test_acc"),
        ("SELECT med| FROM grid", "median("),
    ],
)
def test_the_likeliest_comes_first(text: str, first: str) -> None:
    assert offered(text)[0] == first


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'l|'",
        "SELECT 'l|",
        "SELECT 1 -- l|",
        "SELECT /* l|",
        "SELECT 1|",
        "SELECT nothing.l| FROM grid",
        "SELECT lr|, 1 FROM grid WHERE test_acc|"[:10],
    ],
)
def test_nothing_is_offered_in_texts_comments_and_numbers(text: str) -> None:
    assert offered(text if "|" in text else text + "|") == []


def test_after_a_table_come_words_and_not_its_columns() -> None:
    assert "WHERE" in offered("SELECT * FROM grid |")
    assert "lr" not in offered("SELECT * FROM grid |")


def test_the_whole_word_is_replaced() -> None:
    found = complete("SELECT tes_acc FROM grid", 9, CATALOG)
    assert (found.start, found.end) == (7, 14)


def test_columns_of_both_tables_of_a_join_each_once() -> None:
    found = offered('SELECT | FROM grid JOIN "my-exp" USING (lr)')
    assert found[:3] == ["lr", "test_acc", '"order"']


def test_tables_in_a_text() -> None:
    assert tables_in('SELECT * FROM GRID g, "my-exp" JOIN results USING (lr)', CATALOG) == ["grid", "my-exp", "results"]
    assert tables_in("SELECT grid FROM elsewhere", CATALOG) == []


def test_names_are_quoted_where_they_must_be() -> None:
    assert [quoted(name) for name in ("lr", "my-exp", "order", "left", 'a"b', "größe")] == [
        "lr",
        '"my-exp"',
        '"order"',
        '"left"',
        '"a""b"',
        '"größe"',
    ]


words = st.sampled_from(
    [
        *KEYWORDS,
        *FUNCTIONS,
        "grid",
        "lr",
        '"my-exp"',
        "g",
        ".",
        ",",
        "(",
        ")",
        "'",
        '"',
        "--",
        "/*",
        "*/",
        "\n",
        "$$",
        ";",
    ]
)


@given(
    st.one_of(st.text(), st.lists(words, max_size=12).map(" ".join), st.lists(words, max_size=12).map("".join)),
    st.data(),
)
def test_any_text_is_fine(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(-1, len(text) + 1))
    found = complete(text, offset, CATALOG)
    assert 0 <= found.start <= found.end <= len(text)
    assert all(one.text for one in found.candidates)
    tables_in(text, CATALOG)


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_a_quoted_name_is_one_word(name: str) -> None:
    (word,) = tokens(quoted(name))
    assert word.text == name


def test_tokens_are_duckdbs() -> None:
    """Nested comments, tags of strings, backslashes, blanks of other languages; and what is not finished."""
    sql = "select\xa0e'a\\'b', $t$ $$ $t$ /* a /* b */ c */ from \"é\"\"x\" where s = 'ü"
    assert [(t.kind, t.text, sql[t.start : t.end], t.closed) for t in tokens(sql)] == [
        ("name", "select", "select", True),
        ("string", "a\\'b", "e'a\\'b'", True),
        ("other", ",", ",", True),
        ("string", " $$ ", "$t$ $$ $t$", True),
        ("name", "from", "from", True),
        ("quoted", 'é"x', '"é""x"', True),
        ("name", "where", "where", True),
        ("name", "s", "s", True),
        ("other", "=", "=", True),
        ("string", "ü", "'ü", False),
    ]


def test_reserved_words_are_duckdbs() -> None:
    import duckdb

    query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    assert {row[0] for row in duckdb.execute(query).fetchall()} <= RESERVED
