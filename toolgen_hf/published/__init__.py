"""The method's published steps, from file to file in its own layout; ``scripts/`` runs them.

    data/raw/GSM8K/GSM8K.json ── answer_questions ──> GSM8K_right.json, GSM8K_wrong.json
    GSM8K_wrong.json ── generate_tool_api ──> data/stage1/GSM8K/GSM8K_wrong.json
    both ── merge ──> data/stage1/GSM8K/GSM8K.json ── finetune_lora ──> an adapter
    data/stage1/GSM8K/GSM8K.json ── gold_response ──> data/stage2/GSM8K/GSM8K_gold_response.json
    data/raw/GSM8K/GSM8K.json ── generate_response ──> data/stage2/GSM8K/GSM8K_davinci_response.json
    data/stage2/GSM8K/*_response.json ── score ──> data/stage2/GSM8K/GSM8K.json

Each step runs the stage of the same name, with the same cache and store. A row keeps all of its fields and gets those
of the step. A row that cannot be used is in ``..._rejected.json`` beside the output, with the reason.
"""
