"""The models behind the local server: deterministic, offline, documented. They judge nothing well and obey everybody."""
