"""Question sets on the Hub: files in each set's own form, on a local Hub, give questions with all accepted answers."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from tests.builders.conftest import Write
from tests.support.hub import LocalHub
from tests.support.recipes import BASE
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.builders import QA, load
from toolgen_hf.builders.question_sets import CONFIGS, CONVERTED
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.recipe import DatasetConfig
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.schemas import RAW

TEXT, TEXTS = pa.string(), pa.list_(pa.string())
SPANS = pa.struct({"text": TEXTS, "answer_start": pa.list_(pa.int32())})
ASDIV = pa.schema(dict.fromkeys(("body", "question", "solution_type", "answer", "formula"), TEXT))
MGSM = pa.schema({"question": TEXT, "answer": TEXT, "answer_number": pa.int32(), "equation_solution": TEXT})
WEB_QUESTIONS = pa.schema({"url": TEXT, "question": TEXT, "answers": TEXTS})
NQ_OPEN = pa.schema({"question": TEXT, "answer": TEXTS})
TRIVIA_QA = pa.schema(
    {
        "question": TEXT,
        "question_id": TEXT,
        "question_source": TEXT,
        "entity_pages": pa.struct(dict.fromkeys(("doc_source", "filename", "title", "wiki_context"), TEXTS)),
        "search_results": pa.struct(
            {
                **dict.fromkeys(("description", "filename"), TEXTS),
                "rank": pa.list_(pa.int32()),
                **dict.fromkeys(("title", "url", "search_context"), TEXTS),
            }
        ),
        "answer": pa.struct(
            {
                "aliases": TEXTS,
                "normalized_aliases": TEXTS,
                "matched_wiki_entity_name": TEXT,
                "normalized_matched_wiki_entity_name": TEXT,
                "normalized_value": TEXT,
                "type": TEXT,
                "value": TEXT,
            }
        ),
    }
)
LAMA = pa.schema(
    dict.fromkeys(
        (
            *(
                "uuid",
                "obj_uri",
                "obj_label",
                "sub_uri",
                "sub_label",
                "predicate_id",
                "sub_surface",
                "obj_surface",
            ),
            *("masked_sentence", "template", "template_negated", "label", "description", "type"),
        ),
        TEXT,
    )
)
MLQA = pa.schema({"context": TEXT, "question": TEXT, "answers": SPANS, "id": TEXT})
XQUAD = pa.schema({"id": TEXT, "context": TEXT, "question": TEXT, "answers": SPANS})


def parquet(schema: pa.Schema, rows: list[dict[str, Any]]) -> bytes:
    """A Parquet file; columns that a row leaves out are null."""
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    file = io.BytesIO()
    pq.write_table(pa.table(columns, schema), file)
    return file.getvalue()


def put(hub: LocalHub, name: str, files: dict[str, bytes]) -> None:
    """Files in the repository of a config, at the revision that the config names."""
    config = QA.known_config(name)
    hub.create(config.repo)
    oid = hub.commit(config.repo, dict(files))
    repo = hub.repo(config.repo)
    if config.revision == CONVERTED:
        repo.refs[CONVERTED] = oid
    else:  # the commit gets the id of the real one
        commit = repo.commits.pop(oid)
        vars(commit)["oid"] = config.revision
        repo.commits[config.revision] = commit
        repo.refs["refs/heads/main"] = config.revision


def trivia(question: str, value: str, *aliases: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {name: [] for name in ("doc_source", "filename", "title", "wiki_context")}
    answer = {
        "aliases": list(aliases),
        "normalized_aliases": [alias.lower() for alias in aliases],
        "matched_wiki_entity_name": "",
        "normalized_matched_wiki_entity_name": "",
        "normalized_value": value.lower(),
        "type": "WikipediaEntity",
        "value": value,
    }
    return {"question": question, "question_id": "tc_1", "entity_pages": nothing, "answer": answer}


def fact(subject: str, label: str, sentence: str, template: str) -> dict[str, Any]:
    return {"sub_label": subject, "obj_label": label, "masked_sentence": sentence, "template": template}


def reading(context: str, question: str, *texts: str) -> dict[str, Any]:
    answers = {"text": list(texts), "answer_start": [context.index(text) for text in texts]}
    return {"id": "5a1", "context": context, "question": question, "answers": answers}


Made = dict[str, list[tuple[str, str, list[str], str | None]]]

SETS: dict[str, tuple[dict[str, bytes], Made]] = {
    "asdiv": (
        {
            "asdiv/validation-00000-of-00001.parquet": parquet(
                ASDIV,
                [
                    {
                        "body": "Seven red apples and two green apples are in the basket.",
                        "question": "How many apples are in the basket?",
                        "solution_type": "Addition",
                        "answer": "9 (apples)",
                        "formula": "7+2=9",
                    },
                    {
                        "body": "A",
                        "question": "How many?",
                        "answer": "3 (nickels); 2 (dimes)",
                        "formula": "x",
                    },
                    {"body": "B", "question": "How many?", "answer": "-(3)", "formula": "x"},
                ],
            )
        },
        {
            "validation": [
                (
                    "ASDiv-validation-0",
                    "Seven red apples and two green apples are in the basket. How many apples are in the basket?",
                    ["9"],
                    "7+2=9",
                ),
                ("ASDiv-validation-1", "A. How many?", ["3; 2"], "x"),
                ("ASDiv-validation-2", "B. How many?", ["-(3)"], "x"),
            ]
        },
    ),
    "mgsm.de": (
        {
            "de/train-00000-of-00001.parquet": parquet(
                MGSM,
                [
                    {
                        "question": "Frage: Roger hat fünf Tennisbälle. Wie viele hat er jetzt?",
                        "answer": "Schritt-für-Schritt-Antwort: Roger begann mit 5 Bällen. Die Antwort ist 11.",
                        "answer_number": 11,
                        "equation_solution": "5 + 6 = 11.",
                    }
                ],
            ),
            "de/test-00000-of-00001.parquet": parquet(
                MGSM, [{"question": "Zutaten: 1 Ei. Wie viele Eier sind es?", "answer_number": 1}]
            ),
        },
        {
            "train": [
                (
                    "MGSM-de-train-0",
                    "Roger hat fünf Tennisbälle. Wie viele hat er jetzt?",
                    ["11"],
                    "5 + 6 = 11.",
                )
            ],
            "test": [("MGSM-de-test-0", "Zutaten: 1 Ei. Wie viele Eier sind es?", ["1"], None)],
        },
    ),
    "web_questions": (
        {
            f"data/{split}-00000-of-00001.parquet": parquet(
                WEB_QUESTIONS,
                [
                    {
                        "url": "http://www.freebase.com/view/en/jamaica",
                        "question": f"what does jamaican people speak in {split}?",
                        "answers": ["Jamaican Creole English Language", "Jamaican English"],
                    }
                ],
            )
            for split in ("train", "test")
        },
        {
            split: [
                (
                    f"WebQuestions-{split}-0",
                    f"what does jamaican people speak in {split}?",
                    ["Jamaican Creole English Language", "Jamaican English"],
                    None,
                )
            ]
            for split in ("train", "test")
        },
    ),
    "nq_open": (
        {
            f"nq_open/{split}-00000-of-00001.parquet": parquet(
                NQ_OPEN,
                [{"question": "where did they film hot tub time machine", "answer": ["Fernie", "Canada"]}],
            )
            for split in ("train", "validation")
        },
        {
            split: [
                (
                    f"NQ-Open-{split}-0",
                    "where did they film hot tub time machine",
                    ["Fernie", "Canada"],
                    None,
                )
            ]
            for split in ("train", "validation")
        },
    ),
    "trivia_qa": (
        {
            "rc.nocontext/train-00000-of-00001.parquet": parquet(
                TRIVIA_QA,
                [
                    trivia("Who wrote Babbitt?", "Sinclair Lewis", "Harry Sinclair Lewis", "Sinclair Lewis"),
                    trivia("Where is it?", "Rome", "Roma"),
                    trivia("Who wrote Babbitt?", "Sinclair Lewis", "H. S. Lewis"),
                ],
            ),
            "rc.nocontext/validation-00000-of-00001.parquet": parquet(TRIVIA_QA, [trivia("Q?", "A", "A")]),
            "rc.nocontext/test-00000-of-00001.parquet": parquet(TRIVIA_QA, [trivia("T?", "<unk>")]),
        },
        {
            "train": [
                (
                    "TriviaQA-train-0",
                    "Who wrote Babbitt?",
                    ["Sinclair Lewis", "Harry Sinclair Lewis", "H. S. Lewis"],
                    None,
                ),
                ("TriviaQA-train-1", "Where is it?", ["Rome", "Roma"], None),
            ],
            "validation": [("TriviaQA-validation-0", "Q?", ["A"], None)],
        },
    ),
    "lama": (
        {
            "trex/train/0000.parquet": parquet(
                LAMA,
                [
                    fact("Dante", "Florence", "Dante left [MASK].", "[X] was born in [Y] ."),
                    fact("Dante", "Florence", "[MASK] exiled him.", "[X] was born in [Y] ."),
                    fact("Spain", "France", "Spain and [MASK].", "[X] shares border with [Y] ."),
                ],
            ),
            "trex/train/0001.parquet": parquet(
                LAMA,
                [
                    fact("Spain", "Portugal", "[MASK] and Spain.", "[X] shares border with [Y] ."),
                    fact("Spain", "Madrid", "[MASK] is its capital.", ""),
                ],
            ),
        },
        {
            "train": [
                ("LAMA-train-0", "Dante was born in [MASK].", ["Florence"], None),
                ("LAMA-train-1", "Spain shares border with [MASK].", ["France", "Portugal"], None),
                ("LAMA-train-2", "[MASK] is its capital.", ["Madrid"], None),
            ]
        },
    ),
    "mlqa.en.de": (
        {
            f"mlqa.en.de/{split}/0000.parquet": parquet(
                MLQA, [reading("Rome is in Italy.", "Wo liegt Rom?", "in Italy", "Italy")]
            )
            for split in ("validation", "test")
        },
        {
            split: [
                (
                    f"MLQA-en-de-{split}-0",
                    "Context: Rome is in Italy.\nQuestion: Wo liegt Rom?",
                    ["in Italy", "Italy"],
                    None,
                )
            ]
            for split in ("validation", "test")
        },
    ),
    "xquad.de": (
        {
            "xquad.de/validation-00000-of-00001.parquet": parquet(
                XQUAD, [reading("Rom liegt in Italien.", "Wo liegt Rom?", "Italien")]
            )
        },
        {
            "validation": [
                (
                    "XQuAD-de-validation-0",
                    "Context: Rom liegt in Italien.\nQuestion: Wo liegt Rom?",
                    ["Italien"],
                    None,
                )
            ]
        },
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_on_the_hub(hub_here: LocalHub, cache: Path, name: str) -> None:
    files, made = SETS[name]
    put(hub_here, name, files)
    data = load(QA(name, cache_dir=cache))
    assert all(rows.features == RAW for rows in data.values())
    assert {split: [tuple(row.values()) for row in rows] for split, rows in data.items()} == made
    assert not any("/test-" in line for line in hub_here.lines if "trivia_qa" in line), "it has no answers"


def test_a_set_without_a_language_is_all_of_them(hub_here: LocalHub, cache: Path) -> None:
    files = {}
    for language in ("ar", "de", "en", "es", "hi", "vi", "zh"):
        for split in ("validation", "test"):
            rows = [reading("Rome is in Italy.", f"Rome? ({language})", "Italy")]
            files[f"mlqa.en.{language}/{split}/0000.parquet"] = parquet(MLQA, rows)
    put(hub_here, "mlqa", files)
    rows = load(QA("mlqa", cache_dir=cache))["test"]
    assert rows["id"][:] == [f"MLQA-test-{n}" for n in range(6)]
    asked = [question.rpartition("(")[2] for question in rows["question"]]
    assert asked == ["ar)", "de)", "es)", "hi)", "vi)", "zh)"], "contexts are English, questions are not"


def test_a_commit_is_downloaded_once(hub_here: LocalHub, cache: Path) -> None:
    put(hub_here, "xquad.de", SETS["xquad.de"][0])
    QA("xquad.de", cache_dir=cache)
    hub_here.requests.clear()
    load(QA("xquad.de", cache_dir=cache))
    assert not hub_here.lines


def test_a_branch_may_move(hub_here: LocalHub, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toolgen_hf")
    put(hub_here, "lama", SETS["lama"][0])
    load(QA("lama", cache_dir=cache))
    commit = hub_here.refs("facebook/lama")[CONVERTED]
    assert f"facebook/lama@refs/convert/parquet is commit {commit} now: give it as revision" in caplog.text
    later = parquet(LAMA, [fact("Ada", "London", "Ada in [MASK].", "[X] lived in [Y] .")])
    hub_here.commit("facebook/lama", {"trex/train/0000.parquet": later}, revision=CONVERTED)
    assert load(QA("lama", cache_dir=cache))["train"][0]["answer"] == ["London"]
    assert load(QA("lama", revision=commit, cache_dir=cache))["train"][0]["answer"] == ["Florence"]


def test_rows_without_an_answer_are_left_out(
    hub_here: LocalHub, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"question": f"Q{n}", "answer": answer} for n, answer in enumerate(([], ["A", ""], [" "], ["B"]))]
    files = {
        "nq_open/train-00000-of-00001.parquet": parquet(NQ_OPEN, rows),
        "nq_open/validation-00000-of-00001.parquet": parquet(NQ_OPEN, rows[1:]),
    }
    put(hub_here, "nq_open", files)
    rows_made = load(QA("nq_open", cache_dir=cache))["train"].to_list()
    assert [(row["id"], row["question"], row["answer"]) for row in rows_made] == [
        ("NQ-Open-train-0", "Q1", ["A"]),
        ("NQ-Open-train-1", "Q3", ["B"]),
    ]
    assert "nq_open, train: 2 rows without an answer are left out" in caplog.text


def test_files_of_your_own_replace_those_on_the_hub(write: Write, cache: Path) -> None:
    original = """{"version": 1.0, "data": [{"title": "Rome", "paragraphs": [{"context": "Rome is in Italy.", "qas": [
        {"question": "Wo liegt Rom?", "answers": [{"text": "Italy", "answer_start": 11}], "id": "1"}]}]}]}"""
    path = write("test-context-en-question-de.json", original)
    (row,) = load(QA("mlqa.en.de", data_files={"test": path}, cache_dir=cache))["test"]
    assert row["id"] == "MLQA-en-de-test-0"
    assert row["question"] == "Context: Rome is in Italy.\nQuestion: Wo liegt Rom?"
    assert row["answer"] == ["Italy"]


def test_columns_of_your_own_replace_those_of_the_set(write: Write, cache: Path) -> None:
    sentence = fact("Dante", "Florence", "Dante left [MASK].", "[X] was born in [Y] .")
    path = write("train.jsonl", [sentence])
    columns = {"question": "masked_sentence", "answer": "obj_label"}
    (row,) = load(QA("lama", data_files=path, columns=columns, cache_dir=cache))["train"]
    assert (row["question"], row["answer"]) == ("Dante left [MASK].", ["Florence"])


def test_a_recipe_names_a_set(hub_here: LocalHub) -> None:
    put(hub_here, "web_questions", SETS["web_questions"][0])
    raw, origin = load_raw(DatasetConfig(builder="qa", config="web_questions", rows={"test": 1}))
    assert raw["test"]["id"][:] == ["WebQuestions-test-0"]
    assert (origin.name, origin.license) == ("WebQuestions", "unknown")
    assert origin.homepage.endswith("stanfordnlp/web_questions")
    assert "berant2013webquestions" in origin.citation


def test_the_card_names_the_set_and_its_terms(
    hub_here: LocalHub, tmp_path: Path, scripted_models: None
) -> None:
    rows = [{"question": f"What is {n} plus 1?", "answer_number": n + 1} for n in range(3)]
    files = {f"en/{split}-00000-of-00001.parquet": parquet(MGSM, rows) for split in ("train", "test")}
    put(hub_here, "mgsm.en", files)
    data = {**BASE, "name": "sums", "dataset": {"builder": "qa", "config": "mgsm.en"}}
    done = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    card = DatasetCard.load(done.directory / "README.md")
    assert (card.data.license, card.data.language) == ("cc-by-sa-4.0", "en")
    assert "[MGSM-en](https://github.com/google-research/url-nlp) is under CC-BY-SA-4.0" in card.text
    assert "@inproceedings{shi2023multilingual" in card.text


def test_what_the_hub_lacks(hub_here: LocalHub, cache: Path, write: Write) -> None:
    with pytest.raises(
        HubError, match=r"google/xquad@51adfef1.*: cannot be read [^$]*give them as data_files"
    ):
        QA("xquad.de", cache_dir=cache)
    put(hub_here, "web_questions", {"data/train-00000-of-00001.parquet": b""})
    with pytest.raises(HubError, match=r"web_questions@0e47.*: there is no file data/test\[-/\]\*.parquet"):
        QA("web_questions", cache_dir=cache)
    with pytest.raises(HubError, match="web_questions@v9: cannot be read"):
        QA("web_questions", revision="v9", cache_dir=cache)
    hub_here.stop()
    with pytest.raises(HubError, match="facebook/lama@refs/convert/parquet: cannot be read"):
        QA("lama", cache_dir=cache)
    path = write("train.jsonl", [{"question": "Q", "answer": None}])
    with pytest.raises(ConfigError, match="revision='main' is of a repository on the Hub"):
        QA("nq_open", data_files=path, revision="main")
    with pytest.raises(ConfigError, match=r"no config 'mlqa.en.dd'; .*'mlqa.en.de'. Did you mean 'mlqa.en.d"):
        QA("mlqa.en.dd")
    with pytest.raises(DataError, match=r"train.jsonl': no row of 'train' has an answer"):
        load(QA("nq_open", data_files=path, cache_dir=cache))


def test_every_entry_is_whole() -> None:
    names = [config.name for config in CONFIGS]
    assert len(names) == len(set(names)) == 10 + 49 + 12 + 11
    datasets = [config.dataset for config in CONFIGS]
    assert len(datasets) == len(set(datasets)), "ids of two sets must differ"
    for config in CONFIGS:
        if config.repo:
            assert config.folders
            assert config.splits
            assert len(config.revision) == 40 or config.revision == CONVERTED
            assert config.license
            assert config.citation.startswith("@")
            assert config.homepage.startswith("https://")
