"""The older place of `fully_shard`.  Level 12."""
