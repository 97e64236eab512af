"""Scanning corpora: files of any size, folders and tables, on one machine or a cluster. Needs the extra `scan`.

`Scanner(policy).scan_batch` is one pure function on Arrow tables, which any engine can map.
"""

from importlib.util import find_spec

if find_spec("pyarrow") is None:
    raise ModuleNotFoundError(
        "guard_integrations.scan needs an extra: pip install 'guard-integrations[scan]'", name="pyarrow"
    )

from guard_integrations.scan.table import FINDINGS, ROWS, Scanner

__all__ = ["FINDINGS", "ROWS", "Scanner"]
