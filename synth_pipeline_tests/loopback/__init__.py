"""A model server on 127.0.0.1 that speaks the providers' formats and fails on demand.

The offline voices answer, over real HTTP, from a process of its own:

    python -m synth_pipeline_tests.loopback --port 0 --voice formal

prints `{"base_url": "http://127.0.0.1:.../v1"}` once it listens. It has OpenAI's chat completions, embeddings, models,
files and batches, Anthropic's messages and Gemini's content generation. `GET /stats` says what it was asked; `POST
/dials` sets how it behaves and counts from nothing, `PATCH /dials` changes it and counts on; `POST /forget` drops files
and batches. A voice's own faults are off unless the dial `voice_faults` turns them on.

    python -m synth_pipeline_tests.loopback --lean --latency 0.2 --content completion.json

says the same to all at the least cost, for benchmarks.
"""

from synth_pipeline_tests.loopback.running import RunningServer, running_lean_server, running_server

__all__ = ["RunningServer", "running_lean_server", "running_server"]
