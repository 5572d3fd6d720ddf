"""A fault at each HTTP call of a push, and a kill: the repository holds the old version or the new one, whole."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub.conftest import REPO, Clock, Repository, Sets
from tests.support.hub import Fault, HubRequest, LocalHub
from tests.support.hub.process import environment
from toolgen_hf.errors import HubError
from toolgen_hf.hub import push

ONCE = {
    "reset before": Fault("reset"),
    "reset after": Fault("reset", applied=True),
    "500 before": Fault(500),
    "500 after": Fault(500, applied=True),
    "503": Fault(503),
    "429": Fault(429, retry_after=3),
}


@pytest.fixture
def new(repository: Repository, sets: Sets) -> dict[str, bytes]:
    """What the repository holds after an undisturbed push of the second version."""
    push(sets.slim_new, REPO, "1.1.0")
    return repository.files


def is_complete(repository: Repository, new: dict[str, bytes]) -> None:
    """The second version is there once, and tagged where it is."""
    assert repository.files == new
    assert repository.titles == ["sums v1.1.0", "sums v1.0.0"]
    assert set(repository.tags) == {"v1.0.0", "v1.1.0"}
    assert repository.at("v1.0.0") == repository.first
    assert repository.at("v1.1.0") == new


def state(repository: Repository, new: dict[str, bytes]) -> str:
    """What is there: the old version whole, or the new one whole, tagged or not."""
    files = repository.files
    assert files in (repository.first, new), "a mixture"
    assert "v1.0.0" in repository.tags
    if "v1.1.0" in repository.tags:
        assert repository.at("v1.1.0") == new
        return "new, tagged"
    return "new, no tag yet" if files == new else "old"


def call(request: HubRequest) -> str:
    """A request without what differs from run to run."""
    path = re.sub(r"[0-9a-f]{40,64}", "…", request.path).replace("/datasets/ann/set", "").replace("/api", "")
    return f"{request.method} {path.replace('/dataset/ann/set', 'storage')}"


@pytest.mark.parametrize("kind", ONCE)
def test_one_fault_at_each_call_is_survived(
    repository: Repository, sets: Sets, new: dict[str, bytes], kind: str
) -> None:
    for number in count(1):
        repository.reset()
        repository.hub.fault = plan = ONCE[kind].at(number)
        done = push(sets.slim_new, REPO, "1.1.0")
        repository.hub.fault = None
        is_complete(repository, new)
        assert repository.tags["v1.1.0"] == done.commit
        if not plan.hits:
            assert number > 18
            break


@pytest.mark.parametrize("kind", ["reset before", "reset after", "500 after"])
def test_one_fault_at_each_call_of_the_first_push(
    repository: Repository, sets: Sets, hub_here: LocalHub, kind: str
) -> None:
    for number in count(1):
        HfApi().delete_repo(REPO, repo_type="dataset")
        hub_here.fault = plan = ONCE[kind].at(number)
        done = push(sets.slim_old, REPO, "1.0.0")
        hub_here.fault = None
        assert (repository.files, repository.titles) == (repository.first, ["sums v1.0.0"])
        assert repository.tags == {"v1.0.0": done.commit}
        if not plan.hits:
            break


@pytest.mark.parametrize("pattern", ["^PUT ", "^POST .*/commit/", "^POST .*/preupload/"])
def test_a_request_that_is_cut_in_the_middle_is_sent_again(
    repository: Repository, sets: Sets, new: dict[str, bytes], pattern: str
) -> None:
    repository.reset()
    repository.hub.fault = plan = Fault("cut").on(pattern)
    push(sets.slim_new, REPO, "1.1.0")
    assert plan.hits == 1
    is_complete(repository, new)


@pytest.mark.parametrize("kind", ["reset before", "reset after", "500 after"])
def test_a_hub_that_fails_from_some_call_on_is_completed_later(
    repository: Repository, sets: Sets, new: dict[str, bytes], kind: str
) -> None:
    seen = set()
    repository.reset()
    repository.hub.requests.clear()
    push(sets.slim_new, REPO, "1.1.0")
    calls = list(repository.hub.requests)
    for number in count(1):
        repository.reset()
        start = len(repository.hub.requests)
        repository.hub.fault = plan = ONCE[kind].at(number, times=10_000)
        if number > len(calls):
            push(sets.slim_new, REPO, "1.1.0")
            assert not plan.hits
            break
        with pytest.raises(HubError, match="run again"):
            push(sets.slim_new, REPO, "1.1.0")
        repository.hub.fault = None
        held = state(repository, new)
        seen.add(held)
        print(f"{kind:<12} {call(repository.hub.requests[start + number - 1]):<60} {held}")
        push(sets.slim_new, REPO, "1.1.0")
        is_complete(repository, new)
    assert seen == (
        {"old", "new, no tag yet"} if kind == "reset before" else {"old", "new, no tag yet", "new, tagged"}
    )


FORKER = """
import os, sys
from toolgen_hf.hub import push
import toolgen_hf.hub.check, huggingface_hub.hf_api, huggingface_hub._commit_api
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        push(sys.argv[1], "ann/set", "1.1.0")
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Pusher:
    """Real processes that push: each a fork of one that has imported everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.child = process, 0

    def start(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("push\n")
        self.process.stdin.flush()
        self.child = int(self._line())

    def wait(self) -> int:
        """The exit code; of a killed one minus the signal."""
        return int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def pusher(endpoint: str, home: Path, directory: Path) -> Iterator[Pusher]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKER, str(directory)],
        env=environment(endpoint, home, "hf_ann"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Pusher(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("applied", [False, True])
def test_killed_at_each_call_it_is_completed_by_the_next_push(
    repository: Repository, sets: Sets, new: dict[str, bytes], clock: Clock, tmp_path: Path, applied: bool
) -> None:
    hub, seen = repository.hub, set()
    with pusher(hub.endpoint, tmp_path / "home", sets.slim_new) as process:
        for number in count(1):
            repository.reset()
            shutil.rmtree(tmp_path / "home" / "hub", ignore_errors=True)
            start = len(hub.requests)
            process.start()

            def kill() -> None:
                with suppress(ProcessLookupError):  # by another of its requests
                    os.kill(process.child, signal.SIGKILL)

            def fault(request: HubRequest, at: int = start + number - 1) -> Fault | None:
                if request.index < at:
                    return None
                return Fault("reset", applied=applied, then=kill)

            hub.fault = fault
            code = process.wait()
            hub.fault = None
            if code == 0:
                break
            assert code == -signal.SIGKILL
            held = state(repository, new)
            seen.add(held)
            moment = "after" if applied else "before"
            print(f"killed {moment:<6} {call(hub.requests[start + number - 1]):<60} {held}")
            push(sets.slim_new, REPO, "1.1.0")
            is_complete(repository, new)
    assert number > 18
    assert seen == {"old", "new, no tag yet", *(["new, tagged"] if applied else [])}
