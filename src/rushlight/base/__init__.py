"""Facts that know no graph: dtypes, devices, shapes, errors, settings.  Level 0."""
