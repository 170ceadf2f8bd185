"""The server's process: `python -m synth_pipeline_tests.loopback`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aiohttp import web

import synth_pipeline
from synth_pipeline.llm.offline import load_grammar, load_voices
from synth_pipeline_tests.loopback.server import LoopbackServer

HOST = "127.0.0.1"
QUEUE = 1024
LOOK_FOR_PARENT_S = 1.0


def find_recipe_grammars() -> list[Path]:
    """Return the grammars of the recipes that ship; a grammar's folder is its recipe's name."""
    return sorted((Path(synth_pipeline.__file__).parent / "defs").glob("*/grammar.yaml"))


async def serve(port: int, voice: str, grammar_files: Sequence[Path]) -> None:
    """Serve until SIGINT or SIGTERM, or until the process that started this one is gone."""
    parent, stop = os.getppid(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = LoopbackServer(voice, {file.resolve().parent.name: load_grammar(file) for file in grammar_files})
    runner = web.AppRunner(server.make_app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, port, backlog=QUEUE).start()
    sys.stdout.write(json.dumps({"base_url": f"http://{HOST}:{runner.addresses[0][1]}/v1"}) + "\n")
    sys.stdout.flush()
    while os.getppid() == parent and not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_FOR_PARENT_S)
    await runner.cleanup()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(
        prog="synth_pipeline_tests.loopback", description="An OpenAI-compatible model server on 127.0.0.1."
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
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.voice, given.recipe_grammar or find_recipe_grammars()))


if __name__ == "__main__":
    main()
