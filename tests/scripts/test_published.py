"""The four command lines of the published instructions, verbatim, and the files that they write.

After a change that is meant:  GOLDEN=write python -m pytest tests/scripts
"""

from __future__ import annotations

import shutil

import pytest

from tests.scripts.conftest import GIVEN, Site
from toolgen_hf.testing import ApiRequest, ApiServer

TOOL_API = (
    "python generate_tool_api.py --input ../data/raw/GSM8K/GSM8K_wrong.json "
    "--output ../data/stage1/GSM8K/GSM8K_wrong.json --dataset_name GSM8K --model w --multi_api_keys "
    "--engine gpt-turbo-0301 --api_keys_file ./openai_api_keys.txt"
)
GPT = (
    "python generate_response_gpt.py --input ../data/raw/GSM8K/GSM8K.json "
    "--output ../data/stage2/GSM8K/GSM8K_davinci_response.json --task math --mode w --multi_api_keys "
    "--example_num 4 --engine text-davinci-003 --api_key_file ./openai_api_keys.txt"
)
LLAMA = (
    "python generate_response_llama.py --base_model PLMs/vicuna-7b --task math "
    "--data_path ../data/raw/GSM8K/GSM8K.json --lora_weights vicuna-stage1-lora-step-39 --prompt_template vicuna "
    "--output_path ../data/stage2/GSM8K/GSM8K_vicuna_response.json"
)
SCORE = (
    "python score.py --task math --model vicuna --lora_weights vicuna-stage1-lora "
    "--data_path ../data/stage2/GSM8K --target_path ../data/stage2/GSM8K"
)


def teach(request: ApiRequest) -> str:
    """Verified calls, one of them at the second try, and none for Tom."""
    question = request.user.rpartition("Question: ")[2]
    if "Jean" in question:
        return "calculator(76/4*3)" if "which is not the Golden answer" in question else "calculator(76/4)"
    texts = {"Weng": " calculator((12/60)*50)\n", "Zoë": "calculator(3*4)", "Tom": "I cannot do that."}
    return next(text for name, text in texts.items() if name in question)


def respond(request: ApiRequest) -> str:
    texts = {
        "Natalia": " calculator(48+48/2)",
        "Weng": " She earned $10.",
        "Jean": " calculator(76/4*3)",
        "Zoë": " That are 12 crêpes.",
        "Tom": " calculator(2*6-",
    }
    return next(text for name, text in texts.items() if name in request.prompt.rpartition("Input: ")[2])


def test_generate_tool_api(site: Site) -> None:
    with ApiServer(teach) as server:
        site.environment["OPENAI_BASE_URL"] = server.base_url
        done = site.run(TOOL_API)
        asked = server.requests
    site.golden("stage1/GSM8K/GSM8K_wrong.json", "stage1/GSM8K/GSM8K_wrong_rejected.json")
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "generate_tool_api.py: 4 rows in, 3 out to ../data/stage1/GSM8K/GSM8K_wrong.json; 1 rejected ("
    )
    assert done.stderr.count("--multi_api_keys has no effect: all keys of --api_keys_file are used") == 1
    assert {request.body["model"] for request in asked} == {"gpt-3.5-turbo-0301"}
    assert {request.key for request in asked} == {"sk-first-key-abcdef", "sk-second-key-ghijkl"}
    assert "sk-" not in done.stderr


def test_generate_response_gpt(site: Site) -> None:
    with ApiServer(respond) as server:
        site.environment["OPENAI_BASE_URL"] = server.base_url
        done = site.run(GPT)
        assert len(server.requests) == 5
        assert all(request.api == "completions" for request in server.requests)
        assert server.requests[0].prompt.count("Output:") == 5
        site.golden("stage2/GSM8K/GSM8K_davinci_response.json")
        site.run(GPT)  # again: every text comes from the store
        assert len(server.requests) == 5
    assert "5 rows in, 5 out to ../data/stage2/GSM8K/GSM8K_davinci_response.json" in done.stderr


def test_generate_response_llama(with_models: Site) -> None:
    done = with_models.run(LLAMA)
    with_models.golden("stage2/GSM8K/GSM8K_vicuna_response.json")
    assert "5 rows in, 5 out to ../data/stage2/GSM8K/GSM8K_vicuna_response.json" in done.stderr


@pytest.mark.parametrize("target", ["../data/stage2/GSM8K", "../data/stage2/GSM8K/GSM8K.json"])
def test_score(site: Site, target: str) -> None:
    """Files by several hands: of the published evaluate.py, with question or input, with other ids and none."""
    shutil.copytree(GIVEN / "stage2", site.root / "data" / "stage2")
    done = site.run(SCORE.replace("--target_path ../data/stage2/GSM8K", f"--target_path {target}"))
    site.golden("stage2/GSM8K/GSM8K.json", "stage2/GSM8K/GSM8K_rejected.json")
    jean = site.rows("stage2/GSM8K/GSM8K.json")[0]
    assert list(jean) == ["query", "responses", "origin", "scores", "answer"]
    assert jean["scores"] == [20, 20, 20, 10, 15]
    assert jean["origin"] == ["gold", "chatgpt", "davinci", "vicuna", "alpaca"]
    assert jean["answer"] == ["57.0", "57.0", "57.0", "25.0", "54.0"]
    for reason in (
        "1 rejected (gold: the output does not give the answer)",
        "1 rejected (chatgpt: a second response to this question)",
        "1 rejected (davinci: no gold response to this question)",
        "1 rejected (vicuna: no response to this question)",
    ):
        assert reason in done.stderr.splitlines()[-1]
    assert done.stderr.count("has no effect") == 2
