"""The local hub when it fails, as the real client sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import Fault, HubRequest, LocalHub
from tests.support.hub.process import environment

LARGE = bytes(range(256)) * 40_000


@pytest.fixture
def api(hub_here: LocalHub) -> HfApi:
    hub_here.create("ann/set")
    return HfApi(endpoint=hub_here.endpoint, token="hf_ann")


def push(api: HfApi, path: str = "a.txt", content: bytes = b"a") -> str:
    add = [CommitOperationAdd(path, content)]
    return str(api.create_commit("ann/set", add, commit_message="Add", repo_type="dataset").oid)


@pytest.mark.parametrize("code", [500, 503])
@pytest.mark.parametrize("applied", [False, True])
def test_a_commit_that_is_answered_with_an_error(
    api: HfApi, hub_here: LocalHub, code: int, applied: bool
) -> None:
    hub_here.fault = Fault(code, applied=applied).on("POST .*/commit/main")
    with pytest.raises(HfHubHTTPError) as failed:
        push(api)
    assert failed.value.response.status_code == code
    assert ("a.txt" in hub_here.snapshot("ann/set")) is applied


@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_that_is_reset(api: HfApi, hub_here: LocalHub, applied: bool) -> None:
    hub_here.fault = Fault("reset", applied=applied).on("/commit/")
    with pytest.raises(httpx2.TransportError):
        push(api)
    assert ("a.txt" in hub_here.snapshot("ann/set")) is applied
    assert [request.fault for request in hub_here.requests] == [None, "reset"]


def test_an_upload_that_is_cut_in_the_middle_is_sent_again(api: HfApi, hub_here: LocalHub) -> None:
    hub_here.fault = Fault("cut").on("^PUT ")
    push(api, "large.parquet", LARGE)
    puts = [request.status for request in hub_here.requests if request.method == "PUT"]
    assert puts == [None, 200]
    assert hub_here.snapshot("ann/set")["large.parquet"] == LARGE


def test_too_many_requests_say_when_to_come_again(api: HfApi, hub_here: LocalHub) -> None:
    hub_here.fault = plan = Fault(429, retry_after=0).on("/preupload/")
    began = time.monotonic()
    push(api)
    assert plan.hits == 1
    assert time.monotonic() - began >= 1
    hub_here.fault = Fault(429)
    with pytest.raises(HfHubHTTPError, match="429"):
        api.dataset_info("ann/set")


@pytest.mark.parametrize(("number", "fails"), [(1, "preupload"), (2, "commit"), (3, None)])
def test_a_fault_at_a_request_by_its_number(
    api: HfApi, hub_here: LocalHub, number: int, fails: str | None
) -> None:
    hub_here.fault = Fault(400).at(number)
    if fails is None:
        push(api)
    else:
        with pytest.raises(HfHubHTTPError):
            push(api)
    assert [request.path.split("/")[5] for request in hub_here.requests if request.fault] == (
        [fails] if fails else []
    )


def test_a_client_gives_up_on_an_answer_that_never_comes(api: HfApi, hub_here: LocalHub) -> None:
    hub_here.fault = Fault("hang").on("/refs")
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{hub_here.endpoint}/api/datasets/ann/set/refs", timeout=0.2)
    assert api.dataset_info("ann/set").id == "ann/set"


def test_a_client_is_killed_at_a_request(hub_here: LocalHub, tmp_path: Path) -> None:
    hub_here.create("ann/set")
    code = "from huggingface_hub import upload_file as up; up(path_or_fileobj=b'a', path_in_repo='a.txt', "
    code += "repo_id='ann/set', repo_type='dataset')"
    here = environment(hub_here.endpoint, tmp_path, "hf_ann")

    def kill(request: HubRequest) -> Fault | None:
        if "/commit/" in request.line:
            os.kill(process.pid, signal.SIGKILL)
            return Fault("hang")
        return None

    hub_here.fault = kill
    with subprocess.Popen([sys.executable, "-c", code], env=here) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert "a.txt" not in hub_here.snapshot("ann/set")


def test_a_hub_that_is_down_comes_back_as_it_was(api: HfApi, hub_here: LocalHub) -> None:
    oid = push(api)
    hub_here.stop()
    with pytest.raises(httpx2.ConnectError):
        api.dataset_info("ann/set")
    hub_here.start()
    assert api.dataset_info("ann/set").sha == oid


def test_what_a_script_raises_is_raised_where_the_hub_ends() -> None:
    def broken(request: HubRequest) -> Fault | None:
        raise ZeroDivisionError

    hub = LocalHub(users={}).start()
    hub.fault = broken
    assert httpx2.get(hub.endpoint).status_code == 500
    with pytest.raises(ZeroDivisionError):
        hub.__exit__(None, None, None)


def test_a_failure_at_any_request_leaves_nothing_half_done(api: HfApi, hub_here: LocalHub) -> None:
    """A push of several files at each of its requests: all of it is there, or nothing."""
    before = hub_here.snapshot("ann/set")
    for number in range(1, 7):
        hub_here.fault = Fault(403).at(number)
        add = [
            CommitOperationAdd(f"{number}.parquet", b"%d" % number),
            CommitOperationAdd(f"{number}.txt", b"a"),
        ]
        try:
            api.create_commit("ann/set", add, commit_message="Add", repo_type="dataset")
        except (HfHubHTTPError, RuntimeError):  # the latter where a large file was not sent
            assert hub_here.snapshot("ann/set") == before
        else:
            assert number == 6
            assert {f"{number}.parquet", f"{number}.txt"} <= set(hub_here.snapshot("ann/set"))
