"""The row: what a trial leaves behind, whatever happened to it. One flat Arrow schema, the unit in each name."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1

STATUSES: Final = ("done", "failed", "diverged", "oom", "timeout", "declined")

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
TEXT_MAP: Final = pa.map_(pa.string(), pa.string())

IDENTITY: Final = ("schema_version", "key", "pair_key", "suite", "protocol", "stage", "exploratory")

SCHEMA: Final = pa.schema(
    [
        # identity
        ("schema_version", pa.int32()),
        ("key", pa.string()),
        ("pair_key", pa.string()),
        ("suite", pa.string()),
        ("protocol", pa.int32()),
        ("stage", pa.string()),
        ("exploratory", pa.bool_()),
        # what
        ("task", pa.string()),
        ("task_version", pa.string()),
        ("data_hash", pa.string()),
        ("source_key", pa.string()),
        ("target_size", pa.int32()),
        ("method", pa.string()),
        ("label", pa.string()),
        ("method_version", pa.string()),
        ("config", pa.string()),
        ("seed", pa.int64()),
        # budget
        ("budget_steps", pa.int64()),
        ("tuning_configs", pa.int32()),
        ("tuning_seeds", pa.int32()),
        # how
        ("engine", pa.string()),
        ("engine_reason", pa.string()),
        ("lanes", pa.int32()),
        ("threads", pa.int32()),
        ("world_size", pa.int32()),
        ("precision", pa.string()),
        # outcome
        ("status", pa.string()),
        ("reason", pa.string()),
        ("attempt", pa.int32()),
        # score
        ("metric", pa.string()),
        ("higher_is_better", pa.bool_()),
        ("score_validation", pa.float64()),
        ("score_test", pa.float64()),
        ("score_source_before", pa.float64()),
        ("score_source_prepared", pa.float64()),
        ("score_source_after", pa.float64()),
        ("score_source_recovered", pa.float64()),
        # cost
        ("trained_parameters", pa.int64()),
        ("total_parameters", pa.int64()),
        ("target_steps", pa.int64()),
        ("search_steps", pa.int64()),
        ("source_steps", pa.int64()),
        ("prepare_seconds", pa.float64()),
        ("adapt_seconds", pa.float64()),
        ("evaluate_seconds", pa.float64()),
        ("inference_seconds", pa.float64()),
        ("peak_memory_bytes", pa.int64()),
        ("artifact_bytes", pa.int64()),
        ("training_flops", pa.float64()),
        ("examples_per_second", pa.float64()),
        ("energy_joules", pa.float64()),
        ("price", pa.float64()),
        ("device", pa.string()),
        ("exclusive_device", pa.bool_()),
        # provenance
        ("started_at", TIMESTAMP),
        ("finished_at", TIMESTAMP),
        ("host", pa.string()),
        ("commit", pa.string()),
        ("dirty", pa.bool_()),
        ("versions", TEXT_MAP),
        ("extra", TEXT_MAP),
    ]
)
"""Identity is never null. Everything else may be: null means not measured or not defined, never 0.

Notes on single columns:
  task                     the task's id: its name, and in parentheses the parameters that differ from the defaults,
                           as in ``friedman1(shift=2.0)``; variants of one task share the text before ``(``.
  label                    what a table shows; equal to the method's name unless the suite gives another.
  score_*                  native units of ``metric``; ``higher_is_better`` gives the direction.
  score_test               null in tuning rows.
  score_source_before      the source model on the source test split; ``_prepared`` after the method's prepare step;
                           ``_after`` the adapted network (old head re-attached where the target has a new one);
                           ``_recovered`` after the method's own way back, where it has one.
  trained_parameters       entries that can move, not tensors that require a gradient.
  training_flops           forward and backward of every step of prepare, adapt and fit, as torch's counter counts.
  inference_seconds        one pass over the target test split, after an untimed warm-up pass.
  engine, lanes            what trained on the target, and how many objectives shared the computation; engine_reason
                           says why, also why an objective could not be a lane.
  *_seconds                in lanes a lane's share of the computation's; peak_memory_bytes is the whole worker's.
  energy_joules            of the whole trial's devices, where it had them alone and their counter can be read.
  price                    of its prepare, adapt and evaluate seconds, by the suite's [prices]; any one currency.
  extra                    what the method or task reports besides; ``anchor_zero`` and ``anchor_one`` are the task's
                           pinned anchors, ``role`` is ``negative_control`` where the task is one.
"""


def table(rows: list[dict[str, object]]) -> pa.Table:
    """One table of ``SCHEMA`` from plain dictionaries; a column that a row leaves out is null.

    Raises: ValueError if a row has an unknown column or lacks an identity column.
    """
    for row in rows:
        unknown = set(row) - set(SCHEMA.names)
        missing = [name for name in IDENTITY if row.get(name) is None]
        if unknown or missing:
            raise ValueError(f"row does not fit the schema: unknown {sorted(unknown)}, missing {missing}")
    return pa.Table.from_pylist(rows, schema=SCHEMA)
