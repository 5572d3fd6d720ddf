#!/usr/bin/env bash
# The whole flow one stage at a time, on a few questions, as a story to read and to change.
# `toolgen-hf run quickstart` does the same in one go, with more questions and every source.
#
#   scripts/quickstart.sh [FOLDER]        (default: outputs/stages)
set -euo pipefail
out=${1:-outputs/stages}
mkdir -p "$out"/responses "$out"/executed

# 1. The questions: 16 of GSM8K's train split, bundled with the library.
toolgen-hf raw "$out"/raw.jsonl --set 'dataset.rows={train: 16}'

# 2. The student answers without a tool. Where it is wrong, it needs one.
toolgen-hf answer "$out"/raw.jsonl "$out"/answered.jsonl

# 3. A tool call for each wrong one, executed and verified against the gold answer.
toolgen-hf tool-api "$out"/answered.jsonl "$out"/called.jsonl

# 4. Stage 1, behavior cloning: the response where it was right, the call where it was wrong.
toolgen-hf stage1 "$out"/called.jsonl "$out"/stage1.jsonl

# 5. A few LoRA steps on it, so that the model can both answer and call. Prints the checkpoint to use.
adapter=$(toolgen-hf finetune "$out"/stage1.jsonl "$out"/adapters/alpaca --name alpaca --set finetune.alpaca.max_steps=4)

# 6. Responses: stage 1's outputs as gold, a few-shot source, the fine-tuned model.
toolgen-hf gold "$out"/stage1.jsonl "$out"/responses/gold.jsonl
toolgen-hf respond "$out"/raw.jsonl "$out"/responses/few-shot.jsonl --name smollm2-fewshot
toolgen-hf respond "$out"/raw.jsonl "$out"/responses/alpaca.jsonl --name smollm2-alpaca \
  --set sources.smollm2-alpaca.generator.adapter="$adapter"

# 7. Execution: tool calls are run, answers are read.
for source in gold few-shot alpaca; do
  toolgen-hf execute "$out"/responses/$source.jsonl "$out"/executed/$source.jsonl
done

# 8. Stage 2, RLEF: every question's responses with their scores.
toolgen-hf score "$out"/executed "$out"/stage2.jsonl
head -n 1 "$out"/stage2.jsonl
