"""An index with bm25s: faster for many queries over a large corpus. Passages come from the SQLite index."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from filelock import FileLock

from toolgen_hf._utils import library_version, replacing_directory
from toolgen_hf.errors import ConfigError
from toolgen_hf.tools.search.corpus import Passage
from toolgen_hf.tools.search.fts5 import Fts5Index, index_folder, query_words, words_of

VERSION = 2


class Bm25Index(Fts5Index):
    """The same corpus, ranked by bm25s (Lucene's BM25, without stems). Titles count like contents."""

    def identity(self) -> dict[str, Any]:
        """The engine, its version, and the corpus by its digest and size."""
        _bm25s()
        return {**super().identity(), "engine": f"bm25s {library_version('bm25s')}", "index": VERSION}

    def search(self, query: str, k: int) -> list[Passage]:
        """At most ``k`` passages that have a word of the query, the best first; equal ones in the corpus' order."""
        words = [word for word in query_words(query) if word in self._ranking.vocab_dict]
        if not words:
            return []
        scores = self._ranking.get_scores(words)
        least = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
        [there] = np.nonzero(scores >= max(least, np.finfo(scores.dtype).tiny))
        best = sorted(there.tolist(), key=lambda at: (-scores[at], at))
        found = (
            self._run("SELECT id, title, contents FROM passages WHERE rowid = ?", (at + 1,))
            for at in best[:k]
        )
        return [Passage(*row) for [row] in found]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_ranking"}

    @cached_property
    def _ranking(self) -> Any:
        bm25s = _bm25s()
        folder = index_folder() / f"bm25s-{VERSION}-{library_version('bm25s')}-{self._digest[:32]}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                ranking = bm25s.BM25()
                texts = self._run("SELECT title || ' ' || contents FROM passages ORDER BY rowid")
                words = [words_of(text) for (text,) in texts]
                if not any(words):
                    raise ConfigError(f"the corpus {self.corpus.source!r} has no word")
                ranking.index(words, show_progress=False)
                with replacing_directory(folder, "index") as new:
                    ranking.save(new, show_progress=False)
        return bm25s.BM25.load(folder, mmap=True, allow_pickle=False, show_progress=False)


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise ConfigError("engine: bm25s is not installed: pip install 'toolgen_hf[search]'") from error
    return bm25s
