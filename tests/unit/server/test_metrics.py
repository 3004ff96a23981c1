import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from fairway.server.metrics import Metrics

async def main() -> None:
    metrics = Metrics("toy", "1")
    for seconds in (0.0001, 0.0005, 0.02, 99.0):
        metrics.answered("infer", 200, seconds)
    metrics.answered("rows", 400, 0.001)
    for rows in (1, 2, 3, 2000):
        metrics.batch(rows)
    if sys.argv[2] == "later":
        await asyncio.sleep(0.4)
    else:
        sys.stdout.write(metrics.text().body.decode())

asyncio.run(main())
"""


def ran(folder: Path, how: str) -> dict[str, float]:
    said = subprocess.check_output([sys.executable, "-c", SCRIPT, str(folder), how], text=True)
    lines = [line.rpartition(" ") for line in said.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_every_observation_is_in_its_bucket_and_in_the_sum(tmp_path: Path) -> None:
    seen = ran(tmp_path, "now")
    name = 'fairway_request_seconds_bucket{endpoint="toy",le="%s",route="infer"}'
    assert [seen[name % bound] for bound in ("0.0005", "0.01", "0.025", "30.0", "+Inf")] == [2, 2, 3, 3, 4]
    assert seen['fairway_request_seconds_count{endpoint="toy",route="infer"}'] == 4
    assert abs(seen['fairway_request_seconds_sum{endpoint="toy",route="infer"}'] - 99.0206) < 1e-9
    rows = 'fairway_batch_rows_bucket{endpoint="toy",le="%s"}'
    assert [seen[rows % bound] for bound in ("1.0", "2.0", "4.0", "1024.0", "+Inf")] == [1, 2, 3, 3, 4]
    assert seen['fairway_requests_total{code="400",endpoint="toy",route="rows"}'] == 1


def test_workers_add_up_and_what_nobody_asked_for_is_shared_too(tmp_path: Path) -> None:
    ran(tmp_path, "later")
    seen = ran(tmp_path, "now")
    assert seen['fairway_requests_total{code="200",endpoint="toy",route="infer"}'] == 8
    assert seen['fairway_request_seconds_count{endpoint="toy",route="infer"}'] == 8
    assert seen['fairway_batch_rows_sum{endpoint="toy"}'] == 4012
