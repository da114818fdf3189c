"""Words of SQL (DuckDB's) that are offered while a query is typed."""

from __future__ import annotations

from typing import Final

KEYWORDS: Final = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "GROUP BY ALL", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "QUALIFY"),
    *("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", "SEMI JOIN", "ANTI JOIN", "ASOF JOIN", "ON", "USING"),
    *("AS", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL", "IS DISTINCT FROM"),
    *("DISTINCT", "ALL", "ASC", "DESC", "NULLS LAST", "NULLS FIRST", "CASE", "WHEN", "THEN", "ELSE", "END"),
    *("UNION ALL BY NAME", "UNION", "UNION ALL", "EXCEPT", "INTERSECT", "WITH", "EXCLUDE", "REPLACE"),
    *("FILTER (WHERE", "OVER (", "PARTITION BY", "CAST", "TRUE", "FALSE", "NULL", "INTERVAL"),
    *("PIVOT", "UNPIVOT", "SUMMARIZE", "DESCRIBE", "EXPLAIN", "USING SAMPLE", "VALUES", "EXISTS"),
)

FUNCTIONS: Final = {
    "mean": "average",
    "avg": "average",
    "ci95": "half of the mean's 95 % interval",
    "median": "middle value",
    "count": "how many",
    "sum": "sum",
    "min": "least",
    "max": "greatest",
    "stddev": "standard deviation (n - 1)",
    "var_samp": "variance (n - 1)",
    "quantile_cont": "quantile_cont(x, 0.9)",
    "arg_min": "arg_min(x, by): x where `by` is least",
    "arg_max": "arg_max(x, by): x where `by` is greatest",
    "corr": "correlation",
    "regr_slope": "slope of y over x",
    "mode": "most frequent value",
    "first": "first value",
    "last": "last value",
    "list": "all values",
    "string_agg": "texts joined",
    "histogram": "counts by value",
    "round": "round(x, digits)",
    "floor": "round down",
    "ceil": "round up",
    "abs": "magnitude",
    "sqrt": "square root",
    "exp": "e to the power of x",
    "ln": "natural logarithm",
    "log10": "decimal logarithm",
    "log2": "binary logarithm",
    "pow": "power",
    "greatest": "greatest of several",
    "least": "least of several",
    "coalesce": "first that is not null",
    "nullif": "null where two are equal",
    "isnan": "is it NaN",
    "isfinite": "neither NaN nor infinite",
    "try_cast": "try_cast(x AS DOUBLE), null where it fails",
    "length": "characters",
    "lower": "in small letters",
    "upper": "in capitals",
    "trim": "without blanks around",
    "replace": "text replaced",
    "split_part": "split_part(text, ',', 1)",
    "regexp_extract": "regexp_extract(text, '(\\d+)', 1)",
    "regexp_matches": "whether a pattern is found",
    "contains": "whether a text is found",
    "row_number": "number within OVER (...)",
    "rank": "rank within OVER (...)",
    "lag": "value of the row before",
    "lead": "value of the row after",
    "date_trunc": "date_trunc('hour', started_at)",
    "epoch": "seconds of a time or duration",
    "read_csv": "read_csv('FILE')",
    "read_parquet": "read_parquet('FILE')",
    "read_json": "read_json('FILE')",
}

_CLAUSES: Final = """
select from join where on by having qualify limit offset using values with set when then else case and or not in between
like ilike is as distinct union except intersect filter over pivot unpivot describe summarize
"""
CLAUSES: Final = frozenset(_CLAUSES.split())
"""Words after which something else may stand than before them."""
