"""All published steps from the first to the last, as a user types them, and the result on a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scripts.conftest import Site
from tests.scripts.test_published import GPT, LLAMA, SCORE, TOOL_API, respond, teach
from tests.support.hub import LocalHub
from tests.support.hub.process import environment
from toolgen_hf.testing import ApiRequest, ApiServer

ANSWER = "python answer_questions.py --input ../data/raw/GSM8K/GSM8K.json --engine student --base_url {url}"
MERGE = (
    "python merge.py --right ../data/raw/GSM8K/GSM8K_right.json --wrong ../data/stage1/GSM8K/GSM8K_wrong.json "
    "--output ../data/stage1/GSM8K/GSM8K.json"
)
FINETUNE = (
    "python finetune_lora.py --base_model PLMs/vicuna-7b --data_path ../data/stage1/GSM8K/GSM8K.json --num_epochs 2 "
    "--output_dir vicuna-stage1-lora --prompt_template_name vicuna --batch_size 2 --save_every 1 --wandb_project x"
)
GOLD = (
    "python gold_response.py --input ../data/stage1/GSM8K/GSM8K.json "
    "--output ../data/stage2/GSM8K/GSM8K_gold_response.json"
)
MIX = (
    "python mix.py --input ../data/stage1/GSM8K/GSM8K.json ../data/stage1/Own/Own.json "
    "--output ../data/stage1/mix/mix.json"
)
PUSH = "python push.py --data_path ../data --dataset_name GSM8K --repo_id ann/story --version 1.0.0"
PULL = "python pull.py --repo_id ann/story --output_dir ../outputs/pulled"


def study(request: ApiRequest) -> str:
    """The student's answers, right about Natalia, and everyone else's."""
    if "Solve the math problem step by step" in request.prompt:
        return "24 and 48 make 72. The answer is 72." if "Natalia" in request.user else "The answer is 1."
    return respond(request) if request.api == "completions" else teach(request)


@pytest.mark.slow
def test_the_whole_story(with_models: Site, local_hub: LocalHub, tmp_path: Path) -> None:
    site, data = with_models, with_models.root / "data"
    for left in ("GSM8K_right.json", "GSM8K_wrong.json"):
        (data / "raw/GSM8K" / left).unlink()
    (site.root / "scripts/vicuna-stage1-lora-step-39").rename(site.root / "another")
    with ApiServer(study) as server:
        site.environment["OPENAI_BASE_URL"] = server.base_url
        site.run(ANSWER.format(url=server.base_url))
        site.run(TOOL_API)
        site.run(GPT)
    site.golden("raw/GSM8K/GSM8K_right.json", "raw/GSM8K/GSM8K_wrong.json")
    site.run(MERGE)
    site.golden("stage1/GSM8K/GSM8K.json")
    done = site.run(FINETUNE)
    assert done.stdout.strip() == "vicuna-stage1-lora/checkpoint-2"
    assert "--wandb_project has no effect: nothing is sent anywhere" in done.stderr
    site.run(LLAMA.replace("step-39", "step-2"))  # the checkpoint of that step
    site.run(GOLD)
    site.golden("stage2/GSM8K/GSM8K_gold_response.json")
    scored = site.run(SCORE)
    assert "4 rows in, 4 out to ../data/stage2/GSM8K/GSM8K.json" in scored.stderr
    assert "1 rejected (davinci: no gold response to this question)" in scored.stderr
    assert [row["origin"] for row in site.rows("stage2/GSM8K/GSM8K.json")] == [
        ["gold", "davinci", "vicuna"]
    ] * 4

    own = {"instruction": "I", "input": "1+1?", "output": "calculator(1+1)"}
    (data / "stage1/Own").mkdir()
    (data / "stage1/Own/Own.json").write_text(json.dumps(own) + "\n")
    site.run(MIX)
    assert len(site.rows("stage1/mix/mix.json")) == 5

    site.environment |= environment(local_hub.endpoint, tmp_path / "hf", "hf_ann")
    assert site.run(PUSH).stdout.startswith("pushed ann/story v1.0.0, commit")
    assert site.run(PUSH).stdout.startswith("nothing to do, it is there already")
    site.run(PULL)
    pulled = site.root / "outputs/pulled/data/stage2/GSM8K/GSM8K.json"
    assert pulled.read_bytes() == (data / "stage2/GSM8K/GSM8K.json").read_bytes()
