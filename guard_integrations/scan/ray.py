"""Units on a cluster, by Ray Data. Needs the extra `ray`."""

import logging
import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

# Ray tells its makers of its use; a scanner of confidential texts tells nobody.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.data import DataContext

from guard_integrations.scan.units import Unit
from guard_integrations.scan.work import Result, Work

__all__ = ["run_ray"]

_TOGETHER: Final = 4_096
"""Units, of some 4 MB each, that are planned at once."""


def run_ray(units: Iterable[Unit], work: Work) -> Iterator[Result]:
    """Does the work on the cluster that Ray is connected to, else on this machine.

    Ray does a unit again when its worker dies. The files must be where all nodes find them.

    Args:
        units: what is done.
        work: what is done with each.

    Returns:
        The results in the order of the units.
    """
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    queue = iter(units)
    while planned := list(islice(queue, _TOGETHER)):
        pickled = pa.table({"unit": pa.array([pickle.dumps(unit) for unit in planned], pa.large_binary())})
        data = ray.data.from_arrow([pickled.slice(at, 1) for at in range(len(planned))])
        done = data.map_batches(_Task(work), batch_size=None, batch_format="pyarrow")
        for row in done.iter_rows():
            yield Result.of(row)


class _Task:
    """What a worker does with a table of units."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._folder = Path.cwd()

    def __call__(self, table: pa.Table) -> pa.Table:
        if self._folder.is_dir():
            os.chdir(self._folder)  # a relative path counts from where the command was given
        units = [pickle.loads(unit) for unit in table["unit"].to_pylist()]  # noqa: S301 - our own bytes
        return pa.concat_tables([self._work(unit).stored() for unit in units])
