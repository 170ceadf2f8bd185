"""The server's process: `python -m synth_pipeline_tests.loopback`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

import synth_pipeline
from synth_pipeline.llm.offline import Grammar, load_grammar, load_voices
from synth_pipeline_tests.loopback.answering import Author
from synth_pipeline_tests.loopback.dials import Dials
from synth_pipeline_tests.loopback.lean import RECORD, LeanServer, start_lean, write_record
from synth_pipeline_tests.loopback.server import LoopbackServer

HOST = "127.0.0.1"
QUEUE = 1024
LOOK_FOR_PARENT_S = 1.0


def find_recipe_grammars() -> list[Path]:
    """Return the grammars of the recipes that ship; a grammar's folder is its recipe's name."""
    return sorted((Path(synth_pipeline.__file__).parent / "defs").glob("*/grammar.yaml"))


def load_grammars(files: Sequence[Path]) -> Mapping[str, Grammar]:
    """Return the grammars by recipe."""
    return {file.resolve().parent.name: load_grammar(file) for file in files}


@asynccontextmanager
async def running(given: argparse.Namespace) -> AsyncIterator[int]:
    """Yield the port that the server listens on; it stops in the end."""
    if given.lean:
        async with await start_lean(LeanServer(_content(given), _dials(given)), HOST, given.port, QUEUE) as server:
            yield server.sockets[0].getsockname()[1]
        return
    author = Author(given.voice, load_grammars(given.recipe_grammar or find_recipe_grammars()))
    runner = web.AppRunner(LoopbackServer(author, _dials(given)).make_app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, given.port, backlog=QUEUE).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _content(given: argparse.Namespace) -> str:
    if given.content is not None:
        return str(given.content.read_text(encoding="utf-8"))
    return write_record(RECORD if given.schema is None else json.loads(given.schema.read_text(encoding="utf-8")))


def _dials(given: argparse.Namespace) -> Dials:
    dials = {"latency": "constant"} if given.lean else {"content": given.content and _content(given)}
    return Dials().turned({**dials, "latency_s": given.latency, **given.dials})


async def serve(given: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM, or until the process that started this one is gone."""
    parent, stop = os.getppid(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(given) as port:
        sys.stdout.write(json.dumps({"base_url": f"http://{HOST}:{port}/v1"}) + "\n")
        sys.stdout.flush()
        while os.getppid() == parent and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_FOR_PARENT_S)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(
        prog="synth_pipeline_tests.loopback", description="A model server on 127.0.0.1, OpenAI-compatible and more."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--voice", default="formal", choices=sorted(load_voices()))
    parser.add_argument(
        "--recipe-grammar",
        type=Path,
        action="append",
        metavar="FILE",
        help="<recipe>/grammar.yaml, again for each recipe; without it, those of the recipes that ship",
    )
    parser.add_argument("--lean", action="store_true", help="one canned completion at the least cost, for benchmarks")
    parser.add_argument("--content", type=Path, metavar="FILE", help="what every completion says")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="lean: a JSON schema that the completion fits")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--dials", type=json.loads, default={}, metavar="JSON", help="other dials at the start")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
