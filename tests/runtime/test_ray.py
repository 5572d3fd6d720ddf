"""Ray Data as the runner: the rows of `MapRunner`, from several processes and machines, some of which die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from datasets import DatasetDict, concatenate_datasets
from ray.cluster_utils import Cluster

from tests.support.engines import splits
from tests.support.postgres import running_server
from toolgen_hf import OpenAIConfig, RayConfig, RayRunner, Workspace, answer, stage1, tool_api
from toolgen_hf._utils import run_jobs
from toolgen_hf.errors import BudgetError, ConfigError, GenerationError
from toolgen_hf.models.config import PriceConfig
from toolgen_hf.runtime.runner import MapRunner
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(280)]
ENGINE = "gpt-4o-mini"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """Two machines of two CPUs each, as far as Ray can tell. The second may be killed."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def teach(request: ApiRequest) -> str:
    """The student is wrong; the teacher is right."""
    numbers = re.findall(r"has (\d+) pens and buys (\d+)", request.user)[-1]
    return f"calculator({'+'.join(numbers)})" if "calculator" in request.prompt else "The answer is -1."


def engine(server: ApiServer, **changes: Any) -> OpenAIConfig:
    return OpenAIConfig(engine=ENGINE, base_url=server.base_url, concurrency=16, **changes)


def on_ray(folder: Path, workers: int = 1, block_size: int = 50, **options: Any) -> Workspace:
    workspace = Workspace(folder, progress=False, **options)
    workspace.runner = RayRunner(RayConfig(workers=workers, block_size=block_size, cpus=0.5))
    return workspace


def stages(raw: DatasetDict, server: ApiServer, workspace: Workspace) -> list[DatasetDict]:
    with workspace:
        answered = answer(raw, engine(server), workspace)
        called = tool_api(answered, [engine(server)], workspace)
        return [answered, called, stage1(called, workspace)]


def content(made: list[DatasetDict]) -> list[Any]:
    return [(name, rows._fingerprint, rows[:]) for one in made for name, rows in one.items()]


def test_the_rows_and_fingerprints_are_those_of_map_and_each_takes_the_others_cache(tmp_path: Path) -> None:
    raw = splits(230, 60)
    with ApiServer(teach) as server:
        mapped = stages(raw, server, Workspace(tmp_path / "map", progress=False))
        sent = len(server.requests)
        made = stages(raw, server, on_ray(tmp_path / "ray", block_size=12))
        assert content(made) == content(mapped)
        assert len(server.requests) == 2 * sent
        for again in (Workspace(tmp_path / "ray", progress=False), on_ray(tmp_path / "map")):
            assert content(stages(raw, server, again)) == content(mapped)
            assert all(report.cached for report in again.reports)
        assert len(server.requests) == 2 * sent


def test_what_was_asked_is_counted_as_on_one_machine(tmp_path: Path) -> None:
    raw = splits(120, 20)
    with ApiServer(teach) as server:
        one, many = Workspace(tmp_path / "map", progress=False), on_ray(tmp_path / "ray")
        for workspace in (one, many):
            with workspace:
                answer(raw, engine(server, price=PriceConfig(input=1, output=1)), workspace)

    def facts(workspace: Workspace) -> list[Any]:
        return [
            (r.split, r.rows_out, r.generated, r.reused, r.prompt_tokens, r.cost, r.used)
            for r in workspace.reports
        ]

    assert facts(many) == facts(one)
    assert many.meter.spent == pytest.approx(one.meter.spent)


@pytest.mark.cluster
def test_a_text_that_two_workers_need_is_paid_once(tmp_path: Path, database: str) -> None:
    part = splits(60)["train"]
    raw = DatasetDict(train=concatenate_datasets([part, part, part, part]))
    for place in (None, database):
        with (
            ApiServer(teach) as server,
            on_ray(tmp_path / str(bool(place)), workers=2, block_size=60, store_path=place) as w,
        ):
            assert len(answer(raw, engine(server), w)["train"]) == 240
            assert len(server.requests) == 60


@pytest.mark.cluster
def test_the_budget_holds_over_all_workers(tmp_path: Path) -> None:
    price = PriceConfig(input=0, output=1000)  # a tenth of a cent a token
    with ApiServer(teach) as server, on_ray(tmp_path, workers=2, block_size=100, max_cost=0.5) as workspace:
        with pytest.raises(BudgetError, match=r"stopped at .*budget of \$0.5"):
            answer(splits(400), engine(server, price=price, max_tokens=10), workspace)
        assert 0.3 < workspace.meter.spent <= 0.5
        assert len(server.requests) < 400


def test_an_engines_failure_is_the_error_of_the_run(tmp_path: Path) -> None:
    with (
        ApiServer(Reply(status=401, error="no such key")) as server,
        on_ray(tmp_path) as workspace,
        pytest.raises(GenerationError, match="no such key"),
    ):
        answer(splits(100), engine(server), workspace)


def test_a_cluster_that_cannot_reach_the_rows_or_the_store_is_refused(tmp_path: Path) -> None:
    for folder, message in (
        (None, r"runner\.folder"),
        ("s3://bucket/rows", "store .* is a file of this machine"),
    ):
        config = RayConfig(address="ray://head:10001", block_size=10, folder=folder)
        with (
            ApiServer(teach) as server,
            Workspace(tmp_path, progress=False, runner=RayRunner(config)) as workspace,
            pytest.raises(ConfigError, match=message),
        ):
            answer(splits(20), engine(server), workspace)


def test_the_driver_forks_nothing() -> None:
    """A child that is forked beside Ray's threads can wait for ever."""
    assert set(run_jobs([os.getpid] * 4, processes=2)) == {os.getpid()}


def wait_for(server: ApiServer, count: int) -> None:
    until = time.monotonic() + 40
    while len(server.requests) < count and time.monotonic() < until:
        time.sleep(0.02)
    assert len(server.requests) >= count


@contextmanager
def after(server: ApiServer, count: int, fault: Callable[[], object]) -> Iterator[None]:
    """Let something happen once the server has so many requests."""

    def act() -> None:
        wait_for(server, count)
        fault()

    with ThreadPoolExecutor(1) as pool:
        happened = pool.submit(act)
        yield
        happened.result()


Record = Callable[[str, object], None]


def check(made: DatasetDict, raw: DatasetDict, server: ApiServer, again: int, record: Record) -> None:
    """Each row is there once, in order; at most ``again`` texts were asked for twice."""
    assert made["train"]["id"] == raw["train"]["id"]
    assert made["train"]["response"] == ["The answer is -1."] * len(raw["train"])
    bodies = [request.user for request in server.requests]
    twice = len(bodies) - len(set(bodies))
    for name, value in (
        ("rows", len(raw["train"])),
        ("requests", len(bodies)),
        ("twice", twice),
        ("in flight", again),
    ):
        record(name, value)
    assert len(set(bodies)) == len(raw["train"])
    assert twice <= again


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """It answers after 50 ms, so that something is in flight when a process dies."""
    with ApiServer(Reply("The answer is -1.", latency=0.05)) as made:
        yield made


def workers() -> list[psutil.Process]:
    """Ray's processes that hold the stage's function. Those of one machine have the same parent."""
    return [p for p in psutil.process_iter(["cmdline"]) if "MapWorker" in " ".join(p.info["cmdline"] or [])]


@pytest.mark.cluster
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_worker_that_is_killed_loses_nothing(
    tmp_path: Path, server: ApiServer, database: str, is_shared: bool, record_property: Record
) -> None:
    raw, store = splits(600), database if is_shared else None

    def kill_a_worker() -> None:
        os.kill(workers()[0].pid, signal.SIGKILL)

    with (
        after(server, 150, kill_a_worker),
        on_ray(tmp_path, workers=2, block_size=100, store_path=store) as workspace,
    ):
        made = answer(raw, engine(server), workspace)
    check(made, raw, server, 16, record_property)


@pytest.mark.cluster
def test_a_machine_that_is_killed_loses_nothing(
    tmp_path: Path, server: ApiServer, cluster: Cluster, record_property: Record
) -> None:
    raw = splits(600)
    second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    kill = partial(cluster.remove_node, second, allow_graceful=False)
    with after(server, 150, kill), on_ray(tmp_path, workers=4, block_size=50) as workspace:
        made = answer(raw, engine(server), workspace)
    check(made, raw, server, 4 * 16, record_property)


@pytest.mark.cluster
def test_a_machine_that_joins_late_takes_part(
    tmp_path: Path, server: ApiServer, cluster: Cluster, record_property: Record
) -> None:
    """More workers than there is room for wait for it."""
    raw = splits(3000)
    with ThreadPoolExecutor(1) as pool, on_ray(tmp_path, workers=6, block_size=50) as workspace:
        running = pool.submit(answer, raw, engine(server), workspace)
        wait_for(server, 150)
        before = workers()
        joined = cluster.add_node(num_cpus=2)
        wait_for(server, 2500)
        machines = {worker.ppid() for worker in workers()}
        made = running.result()
    cluster.remove_node(joined)
    check(made, raw, server, 0, record_property)
    assert len(before) == 4
    assert len(machines) == 2
    assert server.in_flight_max <= 6 * 16


@pytest.mark.cluster
@pytest.mark.parametrize("is_on_ray", [False, True])
def test_a_run_outlives_its_database(
    tmp_path: Path, server: ApiServer, is_on_ray: bool, record_property: Record
) -> None:
    raw = splits(600)
    with running_server() as postgres:

        def restart() -> None:
            postgres.kill()
            time.sleep(2)
            postgres.start()

        store = postgres.create("texts")
        workspace = on_ray(tmp_path, workers=2, block_size=100, store_path=store)
        if not is_on_ray:
            workspace.runner = MapRunner()
        with after(server, 150, restart), workspace:
            made = answer(raw, engine(server), workspace)
    check(made, raw, server, 0, record_property)


@pytest.mark.cluster
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, server: ApiServer, record_property: Record
) -> None:
    raw, disk = splits(600), tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True)
    if mount.returncode:
        pytest.skip("a small disk is mounted, which root alone may do")
    try:
        for attempt in range(2):
            workspace = Workspace(tmp_path / "workspace", progress=False)
            workspace.runner = RayRunner(RayConfig(workers=2, block_size=50, cpus=0.5, folder=str(disk)))
            if attempt == 0:
                with (
                    workspace,
                    pytest.raises(GenerationError, match=r"a worker failed: .*No space left.*run again"),
                ):
                    answer(raw, engine(server), workspace)
                subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        with workspace:
            made = answer(raw, engine(server), workspace)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    check(made, raw, server, 0, record_property)


DRIVER = """
import sys
from pathlib import Path
import ray
from tests.runtime.test_ray import engine, on_ray, splits
from toolgen_hf import answer
class Server: base_url = sys.argv[1]
if len(sys.argv) > 4:
    ray.init(address=sys.argv[4], log_to_driver=False, logging_level="ERROR")
with on_ray(Path(sys.argv[2]), block_size=100, store_path=sys.argv[3] or None) as workspace:
    print(len(answer(splits(600), engine(Server), workspace)["train"]))
"""


def drive(server: ApiServer, folder: Path, store: str = "", *address: str) -> subprocess.Popen[str]:
    """Start a driver in a process of its own."""
    command = [sys.executable, "-c", DRIVER, server.base_url, str(folder), store, *address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.cluster
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_killed_or_interrupted_goes_on(
    tmp_path: Path, server: ApiServer, number: signal.Signals, record_property: Record
) -> None:
    raw = splits(600)
    driver = drive(server, tmp_path)
    wait_for(server, 150)
    driver.send_signal(number)
    driver.communicate(timeout=60)
    assert driver.returncode != 0
    time.sleep(1)
    assert len(server.requests) < 600
    with on_ray(tmp_path, block_size=100) as workspace:
        made = answer(raw, engine(server), workspace)
    check(made, raw, server, 16 if number == signal.SIGKILL else 0, record_property)
    assert not list(tmp_path.glob("**/ray/*"))  # what the dead driver left is deleted


@pytest.mark.cluster
def test_two_drivers_on_one_cluster_pay_once(
    tmp_path: Path, server: ApiServer, cluster: Cluster, database: str, record_property: Record
) -> None:
    """Both run the same stage in the same workspace."""
    raw = splits(600)
    drivers = [drive(server, tmp_path, database, cluster.address) for _ in range(2)]
    for driver in drivers:
        said, errors = driver.communicate(timeout=120)
        assert said == "600\n", errors
    with on_ray(tmp_path, store_path=database) as workspace:
        made = answer(raw, engine(server), workspace)
    assert all(report.cached for report in workspace.reports)
    check(made, raw, server, 0, record_property)
