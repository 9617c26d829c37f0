"""From rows to claims: schema, tables, statistics, leaderboards and reports. Imports neither torch nor Ray."""
