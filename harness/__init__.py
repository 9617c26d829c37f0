"""Runs trials of transfer-learning methods on tasks; names no method and no task."""
