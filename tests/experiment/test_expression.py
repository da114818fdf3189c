"""The expression language: what it takes, what it refuses, and what it says then."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import polars as pl
import pytest

from tui_lab.experiment.expressions.expression import ExpressionError, check, condition, evaluate

FRAME = pl.DataFrame(
    {
        "lr": [0.1, 0.2, None],
        "n": [1, 2, 3],
        "opt": ["adam", "it's", 'sä"y\n'],
        "flag": [True, False, None],
        "early-stop": [True, False, True],
        "optim.lr": [1, 2, 3],
        "order": [3, 2, 1],
        "none": [None, None, None],
        "Width": [4, 5, 6],
        "shape": ["[1,2]", "[3,4]", "auto"],
    }
)


def error(text: str, frame: pl.DataFrame = FRAME) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, frame)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 * n", [2, 4, 6]),
        ("n / 2", [0.5, 1.0, 1.5]),
        ("n // 2", [0, 1, 1]),
        ("n * 0.1", [0.1, 0.2, 0.3]),
        ("0.1 + 0.2", [0.3, 0.3, 0.3]),
        ("lr * 2", [0.2, 0.4, None]),
        ("opt || '-' || n", ["adam-1", "it's-2", 'sä"y\n-3']),
        ("opt = 'it''s'", [False, True, False]),
        ("n in (1, 3)", [True, False, True]),
        ("n between 2 and 3", [False, True, True]),
        ("opt like 'a%' and not flag is null", [True, False, False]),
        ("case when n > 1 then 'big' end", [None, "big", "big"]),
        ("if(n > 1, n, -n)", [-1, 2, 3]),
        ("coalesce(lr, 0.5)", [0.1, 0.2, 0.5]),
        ("greatest(n, 2)", [2, 2, 3]),
        ('"early-stop"', [True, False, True]),
        ('"optim.lr" + "order"', [4, 4, 4]),
        ("width + WIDTH", [8, 10, 12]),
        ("none", [None, None, None]),
        ("1", [1, 1, 1]),
        ("n -- the number", [1, 2, 3]),
        ("n\n  + 1", [2, 3, 4]),
        ("n::hugeint", [1, 2, 3]),
        ("1e300 * n", [1e300, 2e300, 3e300]),
        ("2 ** n", [2.0, 4.0, 8.0]),
        ("date '2024-02-28' + n::int", ["2024-02-29", "2024-03-01", "2024-03-02"]),
        ("[n, 0]", ["[1,0]", "[2,0]", "[3,0]"]),
        ("{'a': n}", ['{"a":1}', '{"a":2}', '{"a":3}']),
        ("list_sum(list_transform([n, 1], lambda x: x + n))", [4, 7, 10]),
        ("len([x for x in [1, 2, 3] if x > n])", [2, 1, 0]),
        ("try(shape::int[])[1]", [1, 3, None]),
        ("n.abs()", [1, 2, 3]),
        ("hash(n) = hash(n)", [True, True, True]),
    ],
)
def test_what_it_computes(text: str, expected: Sequence[object]) -> None:
    found = evaluate(text, FRAME)
    assert found.to_list() == expected
    assert found.dtype in (pl.Int64, pl.Float64, pl.Boolean, pl.String)


def test_integers_beyond_64_bits_become_floats() -> None:
    assert evaluate("n::hugeint * 100000000000000000000", FRAME).to_list() == [1e20, 2e20, 3e20]


def test_conditions() -> None:
    assert condition("lr > 0.15", FRAME).to_list() == [False, True, False]
    assert condition("null", FRAME).to_list() == [False] * 3
    assert condition("true", pl.DataFrame(height=2)).to_list() == [True, True]
    for text, kind in (("n", "an integer"), ("lr", "a number"), ("opt", "a text")):
        with pytest.raises(ExpressionError, match=f"true or false, but this is {kind}"):
            condition(text, FRAME)


def test_facts_of_tasks() -> None:
    tasks = pl.DataFrame(
        {
            "reason": ["oom", None],
            "lr": [0.2, 0.2],
            "started_at": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)],
            "repeat": pl.Series([0, 1], dtype=pl.Int32),
        }
    )
    assert condition("reason = 'oom' and lr > 0.1", tasks).to_list() == [True, False]
    assert condition("started_at > '2024-03-01' and repeat = 1", tasks).to_list() == [False, True]


UNSTABLE = """
now()
now
current_date
current_timestamp
localtime
today()
random() > 0.5
main.random()
"random"()
uuid()
gen_random_uuid()
age(timestamp '2020-01-01')
ago(interval 1 day)
"""


@pytest.mark.parametrize("text", UNSTABLE.split("\n")[1:-1])
def test_time_and_chance_are_refused(text: str) -> None:
    assert error(text).message.endswith("would give a different plan each time")


REFUSED = """
n; select 1
n;
n, lr
n as x
*
#1
$1
?
default
select n
distinct n
(select 1)
exists (select 1)
n in (select 1)
1 = any([1])
n) + (n
n) union select (1
n) from read_csv('/etc/passwd') where (n
drop table x
create table x(i int)
attach 'x.db'
copy (select 1) to '/tmp/x'
read_csv('/etc/passwd')
read_text('/etc/passwd')
glob('*')
getenv('HOME')
current_setting('threads')
version()
pg_sleep(1)
sleep_ms(1)
nextval('x')
count(*)
sum(n)
any_value(n)
geomean(n)
sum(n) over ()
row_number() over ()
unnest([1, 2])
regexp_split_to_table(opt, 'a')
columns(*)
"""


@pytest.mark.parametrize("text", [*REFUSED.split("\n")[1:-1], "n\0"])
def test_anything_but_one_scalar_expression_is_refused(text: str) -> None:
    assert error(text).message


@pytest.mark.parametrize(
    ("text", "message", "offset", "hint"),
    [
        ("", "the expression is empty", 0, ""),
        ("-- nothing", "the expression is empty", 0, ""),
        ("n >", "the expression ends too early, after >", 2, ""),
        ("(n + 1", "a bracket is opened but not closed", None, ""),
        ("n + 1)", "a bracket is closed that was not opened", 5, ""),
        ("opt = 'adam", "a quote is opened but not closed", 6, ""),
        ("n > 1 andd lr > 1", 'syntax error at "andd"', 6, ""),
        ("widht > 1", 'unknown name "widht"', 0, 'did you mean "Width"?'),
        ("opt = 'ä' and nop > 1", 'unknown name "nop"', 14, ""),
        ("lr > 0 and early-stop", 'unknown name "early"', 11, 'write "early-stop" in double quotes'),
        ("Early-Stop", 'unknown name "Early"', 0, 'write "early-stop" in double quotes'),
        ("optim.lr > 1", 'unknown name "optim.lr"', 0, 'write "optim.lr" in double quotes'),
        ("n > 1 and order > 2", 'syntax error at "order"', 10, 'write "order" in double quotes'),
        ('opt = "adam"', 'unknown name "adam"', 6, "double quotes are for names; as a text, write 'adam'"),
        ("flor(n)", "there is no function flor()", 0, 'did you mean "floor"?'),
        (
            "max(n, 2)",
            "max() aggregates many rows, but an expression sees one row at a time",
            0,
            "of several values in one row, take greatest",
        ),
        ("opt > 1", "Cannot compare values of type VARCHAR and type integer", 0, ""),
        ("opt::int", "Could not convert string 'adam' to INT32 when casting from source column opt", 3, ""),
        ("n % 0", "Division by zero in expression (n % 0)", None, ""),
    ],
)
def test_messages(text: str, message: str, offset: int | None, hint: str) -> None:
    found = error(text)
    assert found.message == message
    if offset is not None:
        assert found.offset == offset
    if hint:
        assert found.hint == hint


def test_checking_without_rows() -> None:
    assert check("lr > 0.1 and WIDTH > 1", FRAME.columns) == ("lr", "Width")
    assert check("2 * n", FRAME.schema) == ("n",)
    with pytest.raises(ExpressionError, match="Cannot compare"):
        check("opt > 1", FRAME.schema)
    with pytest.raises(ExpressionError, match="true or false"):
        check("n + 1", FRAME.schema, boolean=True)


def test_names_that_differ_in_case_are_found_exactly() -> None:
    frame = pl.DataFrame({"T": [1], "t": [2]})
    assert evaluate("T", frame).to_list() == [1]
    assert evaluate("t", frame).to_list() == [2]


def test_an_error_leaves_the_next_expression_alone() -> None:
    for _ in range(3):
        error("opt::int")
        error("n % 0")
        assert evaluate("n", FRAME).to_list() == [1, 2, 3]


def test_rows_stay_in_order() -> None:
    frame = pl.DataFrame({"x": range(500_000)})
    assert evaluate("x + 0", frame).equals(frame["x"].alias("result"))


def test_threads_may_share_it() -> None:
    def work(i: int) -> list[int]:
        return evaluate(f"x + {i}", pl.DataFrame({"x": [i] * 1000})).unique().to_list()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [[2 * i] for i in range(40)]


def test_variables_and_tables_of_this_program_stay_out_of_reach() -> None:
    hidden = pl.DataFrame({"secret": [1]})  # noqa: F841
    assert "secret" in error("secret").message
    assert error("(select secret from hidden)").message


def test_errors_survive_pickling() -> None:
    found = pickle.loads(pickle.dumps(ExpressionError("what", 3, "how")))
    assert (found.message, found.offset, found.hint, str(found)) == ("what", 3, "how", "what; how")


def test_importing_it_does_not_load_duckdb() -> None:
    code = "import sys, tui_lab.experiment.expressions.expression; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        "repeat('x', 900000000)",
        "repeat(opt, n * 900000000)",
        "repeat(repeat('ab', 30000), 30000)",
        "len(repeat(repeat([1, 2], 30000), 30000))",
        "octet_length(repeat(repeat('ab', 30000)::BLOB, 30000))",
        "lpad(opt, 2000000000, 'x')",
        "len(range(5000000000))",
        "len(generate_series(1, 5000000000))",
        "len(range(0, 1000000000, 10))",
    ],
)
def test_what_takes_all_memory_is_refused(text: str) -> None:
    assert "makes more than 1,000,000 at once" in error(text).message


def test_functions_with_a_limit_do_what_they_did() -> None:
    assert evaluate("repeat('ab', n)", FRAME).to_list() == ["ab", "abab", "ababab"]
    assert evaluate("octet_length(repeat('ab'::BLOB, n)) + len(repeat([1, 2], n))", FRAME).to_list() == [4, 8, 12]
    assert evaluate("repeat('ab', nullif(n, 2))", FRAME).to_list() == ["ab", None, "ababab"]
    assert evaluate("lpad('7', n, '0') || rpad('7', 3, '0')", FRAME).to_list() == ["7700", "07700", "007700"]
    assert evaluate("len(range(n)) + len(range(1, n)) + len(range(n, 0, -1))", FRAME).to_list() == [2, 5, 8]


def test_an_expression_has_a_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.experiment.expressions.expression.SECONDS", 0.2)
    frame = pl.DataFrame({"n": range(100_000)})
    with pytest.raises(ExpressionError, match="takes longer than"):
        evaluate("md5(repeat('x', 100000 + n))", frame)
    monkeypatch.setattr("tui_lab.experiment.expressions.expression.SECONDS", 60)
    assert evaluate("n + 1", FRAME).to_list() == [2, 3, 4]
