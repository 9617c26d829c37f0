"""Two campaigns beside each other: `python examples/two_campaigns.py FOLDER FOLDER [BASELINE]`

They may have been run by different people on different days: rows join by task, target size, seed and label, and what
must not be mixed (other budgets, data or source models) is refused with the difference named.
"""

import sys

import pyarrow.compute as pc

import pacbench

if __name__ == "__main__":
    first, second, *baseline = sys.argv[1:]
    rows = pacbench.read([first, second])
    print(f"{len(rows)} rows; methods: {', '.join(sorted(pc.unique(rows['label']).to_pylist()))}\n")
    board = pacbench.leaderboard(rows)
    print(f"{board}\n")
    best = next(iter(board)).method
    against = baseline[0] if baseline else list(board)[-1].method
    print(pacbench.compare(rows, best, against))
