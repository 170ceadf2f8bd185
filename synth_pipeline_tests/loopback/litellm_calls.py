"""What LiteLLM makes of the server, in a process of its own: it leaves connections open that nobody else can close.

`python -m synth_pipeline_tests.loopback.litellm_calls <function> <argument>...` prints what the function gives.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import synth_pipeline
from synth_pipeline_tests.loopback.talking import chat

ROOT = Path(synth_pipeline.__file__).parents[1]
MODELS = {
    "openai/gpt-4.1-mini": "/v1",
    "anthropic/claude-sonnet-4-5": "",
    "anthropic/claude-haiku-4-5": "",
    "anthropic/claude-3-haiku-20240307": "",
    "gemini/gemini-2.5-flash": "/v1beta",
    "gemini/gemini-2.0-flash": "/v1beta",
}
ENDED = ("completed", "failed", "expired", "cancelled")


def run_apart(function: str, *arguments: str) -> Any:
    """Return what the function gives when it is run in a process of its own."""
    command = [sys.executable, "-m", "synth_pipeline_tests.loopback.litellm_calls", function, *arguments]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True"}
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | offline, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


async def complete_all(root_url: str) -> dict[str, Any]:
    """Return what a model in each format answers to the same request."""
    return {model: await _complete(model, root_url + base) for model, base in MODELS.items()}


async def _complete(model: str, api_base: str) -> dict[str, Any]:
    import litellm

    asked = chat()
    response: Any = await litellm.acompletion(
        model=model,
        messages=[{"role": "system", "content": "Be brief."}, *asked["messages"]],
        response_format=asked["response_format"],
        max_tokens=500,
        api_base=api_base,
        api_key="sk-canary",
        num_retries=0,
    )
    [choice] = response.choices
    return {
        "content": choice.message.content,
        "finish_reason": choice.finish_reason,
        "tokens_in": response.usage.prompt_tokens,
        "tokens_out": response.usage.completion_tokens,
    }


async def buy_batch(base_url: str, content: str) -> dict[str, Any]:
    """Return what becomes of a batch of these lines, once it has ended."""
    import litellm

    where: dict[str, Any] = {"custom_llm_provider": "openai", "api_base": base_url, "api_key": "k", "max_retries": 0}
    given: Any = await litellm.acreate_file(file=("in.jsonl", content.encode()), purpose="batch", **where)
    batch: Any = await litellm.acreate_batch(
        completion_window="24h",
        endpoint="/v1/chat/completions",
        input_file_id=given.id,
        metadata={"run": "r1"},
        **where,
    )
    while batch.status not in ENDED:
        batch = await litellm.aretrieve_batch(batch_id=batch.id, **where)
    output: Any = await litellm.afile_content(file_id=batch.output_file_id, **where)
    listed: Any = await litellm.alist_batches(limit=5, **where)
    return {
        "id": batch.id,
        "status": batch.status,
        "metadata": batch.metadata,
        "counts": batch.request_counts.model_dump(),
        "content": output.text,
        "listed": [row.id for row in listed.data],
    }


FUNCTIONS: Mapping[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "complete_all": complete_all,
    "buy_batch": buy_batch,
}


async def main(function: str, *arguments: str) -> None:
    """Print what the function gives, as JSON."""
    import litellm

    litellm.suppress_debug_info = True
    sys.stdout.write(json.dumps(await FUNCTIONS[function](*arguments)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
