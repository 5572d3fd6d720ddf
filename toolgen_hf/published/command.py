"""What the scripts share: the published flags, the form of the help, exit codes, the closing line.

parser.add_argument("--input", ...); add_engine(parser, "gpt-3.5-turbo")     flags
engine(options), local(options)                                              the settings that they describe
sys.exit(main(parser(), step))                                               the run
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from toolgen_hf.cli import attempt, ready_streams
from toolgen_hf.cli.options import add_spending, open_workspace, show_plan
from toolgen_hf.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from toolgen_hf.models.config import LocalConfig, OpenAIConfig
    from toolgen_hf.published.files import Outcome
    from toolgen_hf.runtime.workspace import Workspace as Workspace
    from toolgen_hf.tasks import TaskLike

    Made = TypeVar("Made", bound=BaseModel)

Done: TypeAlias = "Outcome | Sequence[Outcome] | None"
"""What a step returns for its closing line; None if there is nothing to say, as in a dry run."""
_Step: TypeAlias = "Callable[[argparse.Namespace, Workspace], Done]"

logger = logging.getLogger(__name__)


class Parser(argparse.ArgumentParser):
    """A script's command line. A flag may be written with ``_``, as published, or with ``-``."""

    def __init__(self, description: str | None, example: str, modern: str) -> None:
        does, _, _ = (description or "").strip().partition("\n")
        super().__init__(
            description=does,
            epilog=f"example:\n  python {example}\n\nthe same with this library's own command:\n  {modern}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        given = sys.argv[1:] if args is None else args
        parsed: argparse.Namespace = super().parse_args([self._spelled(one) for one in given], namespace)
        return parsed

    def _spelled(self, argument: str) -> str:
        name, sign, value = argument.partition("=")
        for old, new in (("-", "_"), ("_", "-")):
            other = "--" + name[2:].replace(old, new)
            if name.startswith("--") and other in self._option_string_actions:
                return other + sign + value
        return argument

    def add(
        self, flag: str, kind: Any, does: str, *more: str, default: Any = None, required: bool = False
    ) -> None:
        """A flag with a value; ``more`` are other names of it."""
        self.add_argument(flag, *more, type=kind, default=default, required=required, help=does)

    def add_switch(self, flag: str, does: str) -> None:
        """A flag that may have the value True or False, as in the published scripts: ``--load_8bit True``."""
        self.add_argument(flag, type=_boolean, nargs="?", const=True, default=False, help=does)

    def without_effect(self, flag: str, meaning: str) -> None:
        """A published flag that changes nothing here; a note says why, once, where it is given."""
        self.add_argument(flag, action=_Noted, nargs="?", help=f"no effect: {meaning}")


class _Noted(argparse.Action):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: object, flag: str | None = None
    ) -> None:
        noted = getattr(namespace, "noted", [])
        namespace.noted = list(dict.fromkeys([*noted, f"{flag} has {self.help}"]))


def main(parser: Parser, step: _Step, argv: Sequence[str] | None = None) -> int:
    """Parse the flags, run the step and log its closing line; returns an exit code, as ``toolgen-hf`` does."""
    ready_streams()
    _add_common(parser)
    options = parser.parse_args(argv)
    options.command = lambda options: _run(parser.prog, step, options)
    return attempt(options)


def _run(name: str, step: _Step, options: argparse.Namespace) -> None:
    for note in getattr(options, "noted", []):
        logger.warning("%s", note)
    with open_workspace(options) as workspace:
        try:
            done = step(options, workspace)
        except ConfigError as error:
            raise ConfigError(_in_flags(str(error))) from error
        if workspace.plan is not None:
            show_plan(workspace.plan)
    for outcome in done if isinstance(done, Sequence) else [] if done is None else [done]:
        logger.info("%s: %s", name, outcome)


def _in_flags(message: str) -> str:
    """A message with the flags of these scripts in place of the settings' names."""
    for setting, flag in {
        "base_url": "base_url",
        "keys_file": "api_keys_file",
        "allow_http": "allow_http",
    }.items():
        alone = rf"(?<![\w/'-]){setting}(?![\w./'])"  # not in a path
        message = re.sub(alone, f"--{flag}", re.sub(f"{alone}: ", f"--{flag} ", message))
    return message


def _add_common(parser: Parser) -> None:
    """Where things are kept, and how much is printed."""
    parser.add("--cache_dir", Path, "where stages are cached (default: $TOOLGEN_HF_HOME)")
    parser.add("--store", Path, "the text store's file (default: store.sqlite in the cache)")
    quiet = "no progress, no stage lines, no closing line"
    parser.add_argument("-q", "--quiet", action="store_true", help=quiet)


def add_task(parser: Parser) -> None:
    parser.add("--task", str, "in any case: math, qa, lama, mlqa (default: math)", default="math")


def add_tools(parser: Parser) -> None:
    tools = "a YAML file with the keys tools and reader, as in a recipe (math needs none)"
    parser.add("--tools", Path, tools)


def task(options: argparse.Namespace) -> TaskLike:
    """The task that ``--task`` or ``--dataset_name`` names, with what answers its tools.

    Raises:
        ConfigError: there is no such task, the file is not one of tools, or the task needs more than it names.
    """
    from toolgen_hf.published.ask import task_of
    from toolgen_hf.recipe import tools_of
    from toolgen_hf.tasks import Equipped

    name = options.task if "task" in options else task_of(options.dataset_name)
    equipped = Equipped(name) if options.tools is None else Equipped(name, *tools_of(options.tools))
    try:
        equipped.require()
    except ConfigError as error:
        raise ConfigError(f"{error}; here in the file of --tools") from error
    return equipped


def add_mode(parser: Parser, default: str = "a") -> None:
    """``--mode``, which the published instructions also call ``--model``."""
    parser.add_argument(
        "--mode",
        "--model",
        choices=("w", "a"),
        default=default,
        help="w: write the output anew; a: keep its rows, add those whose id is not there. Either way a text that was "
        f"generated before comes from the store. The instructions also call it --model (default: {default})",
    )


def add_engine(parser: Parser, default: str | None) -> None:
    """Which engine, its address, its keys, and what it may cost."""
    parser.add("--engine", str, f"also by its published name (default: {default})", default=default)
    url = "any server with OpenAI's API, up to /v1 (default: $OPENAI_BASE_URL, else OpenAI)"
    parser.add("--base_url", str, url)
    keys = "a file of API keys, one a line; all of them are used (default: $OPENAI_API_KEY)"
    parser.add("--api_keys_file", str, keys, "--api_key_file")
    http = "send a key to another machine by http, where others on the way can read it"
    parser.add_switch("--allow_http", http)
    parser.without_effect("--multi_api_keys", "all keys of --api_keys_file are used in any case")
    key = "a key; other users of this machine can read it here, so prefer $OPENAI_API_KEY"
    parser.add("--api_key", str, key)
    parser.add("--max_tokens", int, "tokens of a text (default: 128, 2048 for reasoning engines)")
    parser.add("--temperature", float, "default: 0", default=0.0)
    add_spending(parser)


def add_local(parser: Parser, required: bool = True) -> None:
    """Which local model, with which adapter and prompt; it decodes as published."""
    model = "a folder, a .gguf file, pip:NAME or a Hub id, such as PLMs/vicuna-7b"
    parser.add("--base_model", str, model, required=required)
    parser.add("--lora_weights", str, "a LoRA adapter: a folder or a Hub id (default: none)", default="")
    template = "alpaca, vicuna, chat, completion or a file (default: alpaca)"
    parser.add("--prompt_template", str, template, default="alpaca")
    parser.add("--max_new_tokens", int, "default: 128", default=128)
    parser.add("--num_beams", int, "default: 4, as published", default=4)
    parser.add("--repetition_penalty", float, "default: 1.3, as published", default=1.3)
    parser.add("--batch_size", int, "sequences decoded together (default: chosen by the library)")
    parser.add("--device", str, "auto, cpu, cuda, cuda:1 (default: auto)", default="auto")
    parser.add_switch("--load_8bit", "weights in 8 bits, on a CUDA GPU")


def engine(options: argparse.Namespace) -> OpenAIConfig:
    """The engine that ``add_engine``'s flags describe."""
    from toolgen_hf.models.config import OpenAIConfig

    if options.api_key:
        os.environ["OPENAI_API_KEY"] = options.api_key
    names = ("engine", "base_url", "allow_http", "max_tokens", "temperature")
    return checked(
        OpenAIConfig, keys_file=options.api_keys_file, **{name: getattr(options, name) for name in names}
    )


def local(options: argparse.Namespace) -> LocalConfig:
    """The model that ``add_local``'s flags describe.

    The published script gives temperature, top-p and top-k but does not sample: it runs a beam search, on which they
    have no effect.
    """
    from toolgen_hf.models.config import LocalConfig

    names = ("max_new_tokens", "num_beams", "repetition_penalty", "device")
    return checked(
        LocalConfig,
        model=options.base_model,
        adapter=adapter(options.lora_weights) if options.lora_weights else None,
        template=options.prompt_template,
        temperature=0.2,
        top_p=0.75,
        top_k=40,
        **{name: getattr(options, name) for name in names},
        **({} if options.batch_size is None else {"batch_size": options.batch_size}),
        **({"quantization": "8bit"} if options.load_8bit else {}),
    )


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() == "true"


def adapter(name: str) -> str:
    """``vicuna-stage1-lora-step-39``, or the checkpoint of that step in the folder ``vicuna-stage1-lora``."""
    folder, found, step = name.rpartition("-step-")
    checkpoint = Path(folder) / f"checkpoint-{step}"
    return str(checkpoint) if found and not Path(name).exists() and checkpoint.is_dir() else name


def checked(config: type[Made], **values: object) -> Made:
    """A config from flags.

    Raises:
        ConfigError: a value makes no sense; names the flag.
    """
    from pydantic import ValidationError

    from toolgen_hf.recipe.mistakes import problems

    try:
        return config(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(f"--{problem}" for problem in problems(config, error))) from error
