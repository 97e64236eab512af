"""The scan mapped by Ray Data. Ray runs in a process of its own: it opens sockets that tests may not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from scan_samples import ATTACK, EMAIL, PROSE, write_all

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")]

SCRIPT = """
import os, signal, sys
from pathlib import Path

import ray

from guard_integrations import GuardPolicy
from guard_integrations.scan import Scanner, units
from guard_integrations.scan.files import discover
from guard_integrations.scan.local import run_local
from guard_integrations.scan.ray import run_ray
from guard_integrations.scan.table import ROWS
from guard_integrations.scan.work import Work

units.UNIT = 20_000
folder, marker = sys.argv[1:]
os.chdir(folder)
each = [unit for file in discover(["corpus"]) for unit in units.units_of(file)]
work = Work(scanner=Scanner(GuardPolicy(disabled_rules={"injection-model"})), cleans=True, quotes=True)
expected = list(run_local(each, work, 1))
assert sum(result.findings.num_rows for result in expected) > 100
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")

class Dying:
    def __call__(self, unit):
        if unit.begin and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(unit)

assert list(run_ray(each, Dying())) == expected, "not what one process finds"
assert Path(marker).exists(), "no worker was killed"

import pyarrow as pa
rows = pa.table([["p"] * 90, list(range(90)), ["jsonl"] * 90, ["Write to a@example.com", "x", None] * 30], schema=ROWS)
mapped = ray.data.from_arrow(rows).map_batches(work.scanner, batch_size=7, batch_format="pyarrow")
found = pa.concat_tables(ray.get(mapped.to_arrow_refs())).sort_by("row")
assert found == work.scanner.scan_batch(rows), "scan_batch is not what Ray maps"
print("the same", len(each))
"""


def test_ray_finds_what_one_process_finds_also_when_a_worker_is_killed(tmp_path):
    (tmp_path / "corpus").mkdir()
    write_all(tmp_path / "corpus", [PROSE, f"{ATTACK}\n{EMAIL}", "<script>x</script>", ""] * 100)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=Path(__file__).parent)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same" in done.stdout
