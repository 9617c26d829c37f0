"""A table of tasks by methods becomes one row for each of its scores."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from results.foreign_values import values

METHOD, SCORE = "(name of the column)", "(value in the column)"


def lengthened(
    columns: pa.Table, given: dict[str, str], methods: list[str], decimal: str
) -> tuple[pa.Table, dict[str, str]]:
    """All rows with the first method's scores, then all with the second's; and `given` with where both are now.

    A value that is no number stays as it is, so that it is dropped with its place.
    """
    scores = []
    for name in methods:
        found, wrong = values(columns[name], pa.float64(), decimal)
        as_it_is = values(columns[name], pa.string())[0]
        text = pc.if_else(pa.array(wrong), as_it_is, pc.replace_substring(found.cast(pa.string()), ".", decimal))
        scores.append(text if isinstance(text, pa.Array) else text.combine_chunks())
    long = {
        name: pa.chunked_array(columns[name].chunks * len(methods), columns[name].type)
        for name in dict.fromkeys(given.values())
    }
    names = pa.array(methods, pa.string()).take(pa.array([i for i in range(len(methods)) for _ in range(len(columns))]))
    long |= {METHOD: pa.chunked_array([names]), SCORE: pa.chunked_array(scores, pa.string())}
    return pa.table(long), {**given, "method": METHOD, "score_test": SCORE}
