"""Make the data that ships in ``builders/data`` from the official files (for maintainers).

    python scripts/bundle_data.py gsm8k path/to/grade_school_math/data   # train.jsonl, test.jsonl, LICENSE
    python scripts/bundle_data.py svamp path/to/SVAMP                    # SVAMP.json, LICENSE

GSM8K goes into Parquet (a quarter of the size) only if its official bytes can be made from it again.
``SOURCE.json`` records what the official files were: ``{"train.jsonl": {"sha256": ..., "rows": 7473, ...}}``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BUNDLE = Path(__file__).parent.parent / "builders" / "data"
FILES = {"gsm8k": ("train.jsonl", "test.jsonl"), "svamp": ("SVAMP.json",)}
HOMEPAGES = {
    "gsm8k": "https://github.com/openai/grade-school-math",
    "svamp": "https://github.com/arkilpatel/SVAMP",
}


def bundle(name: str, official: Path, out: Path) -> dict[str, object]:
    """Write one dataset's folder, return its record. Raises `ValueError` if a file cannot be kept exactly."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for file in FILES[name]:
        content = (official / file).read_bytes()
        if file.endswith(".jsonl"):
            rows = [json.loads(line) for line in content.splitlines()]
            if to_jsonl(rows) != content:
                raise ValueError(f"{official / file}: its bytes cannot be made again from its rows")
            target = out / file.replace(".jsonl", ".parquet")
            pq.write_table(pa.Table.from_pylist(rows), target, compression="zstd", compression_level=22)
        else:
            rows = json.loads(content)
            (out / file).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files[file] = {"sha256": digest, "bytes": len(content), "rows": len(rows)}
    shutil.copyfile(official / "LICENSE", out / "LICENSE")
    record: dict[str, object] = {"homepage": HOMEPAGES[name], "license": "MIT", "files": files}
    (out / "SOURCE.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def to_jsonl(rows: Sequence[dict[str, str]]) -> bytes:
    """Rows in the form of GSM8K's official files."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode("ascii")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(FILES))
    parser.add_argument("official", type=Path, help="folder with the official files and their LICENSE")
    parser.add_argument("--out", type=Path, help=f"default {BUNDLE.name}/{{name}} of the builders")
    args = parser.parse_args(argv)
    print(json.dumps(bundle(args.name, args.official, args.out or BUNDLE / args.name), indent=2))


if __name__ == "__main__":
    main()
