"""One trial: PAC on Friedman's first function, 25 target examples, one seed. `python examples/one_trial.py [FOLDER]`"""

import sys

import pacbench

SUITE = {
    "name": "one_trial",
    "tasks": ["friedman1"],
    "methods": [{"name": "pac", "prune_ratio": 0.5}],
    "target_sizes": [25],
    "tuning": {"configs": 1},  # the configuration given here, no search
    "final": {"seeds": 1},
    "budget": {"steps": 200},
}

if __name__ == "__main__":
    campaign = pacbench.run(SUITE, *sys.argv[1:] or ["runs/one_trial"])
    (row,) = campaign.rows.to_pylist()
    print(f"{row['status']}: {row['metric']} {row['score_test']:.3f} on the target's test split")
    print(f"source: {row['score_source_before']:.3f} before, {row['score_source_after']:.3f} after the transfer")
    print(f"{row['trained_parameters']} of {row['total_parameters']} parameters could move, key {row['key']}")
