"""Engines: the ways a fit's job can be trained. All give the same result, at different cost."""
