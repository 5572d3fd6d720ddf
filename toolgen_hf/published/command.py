"""What the scripts have in common: the published flags, an example in every help, exit codes, the closing line."""

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

    from toolgen_hf.published.files import Outcome
    from toolgen_hf.models.config import LocalConfig, OpenAIConfig
    from toolgen_hf.runtime.workspace import Workspace as Workspace

    Made = TypeVar("Made", bound=BaseModel)

Done: TypeAlias = "Outcome | Sequence[Outcome] | None"
"""What a script's step gives, for its closing line; None where there is nothing to say, as in a dry run."""
Step: TypeAlias = "Callable[[argparse.Namespace, Workspace], Done]"

logger = logging.getLogger(__name__)


class Parser(argparse.ArgumentParser):
    """A script's command line. Flags are known with ``_`` and with ``-``, as the method's and ours are written."""

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

    def without_effect(self, flag: str, meaning: str) -> None:
        """A published flag that changes nothing here; whoever gives it is told why, once."""
        self.add_argument(flag, action=_Noted, nargs="?", help=f"no effect: {meaning}")


class _Noted(argparse.Action):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: object, flag: str | None = None
    ) -> None:
        noted = getattr(namespace, "noted", [])
        namespace.noted = list(dict.fromkeys([*noted, f"{flag} has {self.help}"]))


def main(parser: Parser, step: Step, argv: Sequence[str] | None = None) -> int:
    """Run a script: its flags, its step, its closing line on stderr; returns the exit code of ``toolgen-hf``."""
    ready_streams()
    options = parser.parse_args(argv)
    options.command = lambda options: _run(parser.prog, step, options)
    return attempt(options)


def _run(name: str, step: Step, options: argparse.Namespace) -> None:
    for note in getattr(options, "noted", []):
        logger.warning("%s", note)
    with open_workspace(options) as workspace:
        if options.dry_run:
            from toolgen_hf.runtime.plan import Plan

            workspace.plan = Plan()
        try:
            done = step(options, workspace)
        except ConfigError as error:
            raise ConfigError(_in_flags(str(error))) from error
        if workspace.plan is not None:
            show_plan(workspace.plan)
    for outcome in done if isinstance(done, Sequence) else [] if done is None else [done]:
        logger.info("%s: %s", name, outcome)


def _in_flags(message: str) -> str:
    """A message about settings, with the flags that stand for them here."""
    for setting, flag in (
        ("base_url", "--base_url"),
        ("keys_file", "--api_keys_file"),
        ("allow_http", "--allow_http"),
    ):
        alone = rf"(?<![\w/'-]){setting}(?![\w./'])"  # and not in a path
        message = re.sub(f"{alone}: ", f"{flag} ", message)
        message = re.sub(alone, flag, message)
    return message


def add_common(parser: Parser) -> None:
    """Where things are kept, and how much is said."""
    parser.add_argument("--cache_dir", type=Path, help="where stages are cached (default: $TOOLGEN_HF_HOME)")
    parser.add_argument(
        "--store", type=Path, help="the text store's file (default: store.sqlite in the cache)"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress, no stage lines, no closing line"
    )
    parser.set_defaults(dry_run=False, max_cost=None)


def add_task(parser: Parser) -> None:
    parser.add_argument("--task", default="math", help="in any case: math, Math (default: math)")


def add_mode(parser: Parser, default: str = "a") -> None:
    """``--mode``, which the published instructions also write ``--model``."""
    parser.add_argument(
        "--mode",
        "--model",
        choices=("w", "a"),
        default=default,
        help="w: write the output anew; a: keep its rows, add those whose id is not there. Either way a text that was "
        f"generated before comes from the store. The instructions also call it --model (default: {default})",
    )


def add_engine(parser: Parser, default: str | None) -> None:
    """Which engine, where it is, with which keys, for how much."""
    parser.add_argument("--engine", default=default, help=f"also by its published name (default: {default})")
    parser.add_argument(
        "--base_url", help="any server with OpenAI's API, up to /v1 (default: $OPENAI_BASE_URL, else OpenAI)"
    )
    parser.add_argument(
        "--api_keys_file",
        "--api_key_file",
        metavar="FILE",
        help="API keys, one a line; all of them are used (default: $OPENAI_API_KEY)",
    )
    parser.add_argument(
        "--allow_http",
        type=_yes,
        nargs="?",
        const=True,
        default=False,
        help="send a key to another machine by http, where others on the way can read it",
    )
    parser.without_effect("--multi_api_keys", "all keys of --api_keys_file are used in any case")
    parser.add_argument(
        "--api_key", help="a key; others on this machine can read it here, so rather $OPENAI_API_KEY"
    )
    parser.add_argument("--max_tokens", type=int, help="of a text (default: 128, 2048 for reasoning engines)")
    parser.add_argument("--temperature", type=float, default=0.0, help="default: 0")
    add_spending(parser)


def add_local(parser: Parser, required: bool = True) -> None:
    """Which local model, with which adapter and prompt; decoding as published."""
    parser.add_argument(
        "--base_model",
        required=required,
        help="a folder, a .gguf file, pip:NAME or a Hub id, such as PLMs/vicuna-7b",
    )
    parser.add_argument(
        "--lora_weights", default="", help="a LoRA adapter: a folder or a Hub id (default: none)"
    )
    parser.add_argument(
        "--prompt_template",
        default="alpaca",
        help="alpaca, vicuna, chat, completion or a file (default: alpaca)",
    )
    parser.add_argument("--max_new_tokens", type=int, default=128, help="default: 128")
    parser.add_argument("--num_beams", type=int, default=4, help="default: 4, as published")
    parser.add_argument("--repetition_penalty", type=float, default=1.3, help="default: 1.3, as published")
    parser.add_argument(
        "--batch_size", type=int, help="sequences decoded together (default: this library's own)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: auto)")
    parser.add_argument(
        "--load_8bit",
        type=_yes,
        nargs="?",
        const=True,
        default=False,
        help="weights in 8 bits, on a CUDA GPU",
    )


def engine(options: argparse.Namespace) -> OpenAIConfig:
    """The engine that ``add_engine``'s flags describe."""
    from toolgen_hf.models.config import OpenAIConfig

    if options.api_key:
        os.environ["OPENAI_API_KEY"] = options.api_key
    return checked(
        OpenAIConfig,
        engine=options.engine,
        base_url=options.base_url,
        keys_file=options.api_keys_file,
        allow_http=options.allow_http,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
    )


def local(options: argparse.Namespace) -> LocalConfig:
    """The model that ``add_local``'s flags describe.

    The published script gives temperature, top-p and top-k, and does not sample: a beam search, on which they have no
    effect.
    """
    from toolgen_hf.models.config import LocalConfig

    return checked(
        LocalConfig,
        model=options.base_model,
        adapter=adapter(options.lora_weights) if options.lora_weights else None,
        template=options.prompt_template,
        max_new_tokens=options.max_new_tokens,
        num_beams=options.num_beams,
        repetition_penalty=options.repetition_penalty,
        device=options.device,
        temperature=0.2,
        top_p=0.75,
        top_k=40,
        **({} if options.batch_size is None else {"batch_size": options.batch_size}),
        **({"quantization": "8bit"} if options.load_8bit else {}),
    )


def _yes(text: str) -> bool:
    """A switch as the published scripts also take it: ``--load_8bit True``."""
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
        ConfigError: names the flag, and what is wrong with its value.
    """
    from pydantic import ValidationError

    from toolgen_hf.recipe.mistakes import problems

    try:
        return config(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(f"--{problem}" for problem in problems(config, error))) from error
