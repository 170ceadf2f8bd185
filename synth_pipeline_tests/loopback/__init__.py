"""A model server on 127.0.0.1 that speaks OpenAI's chat completions and fails on demand.

The offline voices answer, over real HTTP, from a process of its own:

    python -m synth_pipeline_tests.loopback --port 0 --voice formal

prints `{"base_url": "http://127.0.0.1:.../v1"}` once it listens. `GET /stats` says what it was asked, `POST /dials`
changes how it behaves. A voice's own faults are off unless the dial `voice_faults` turns them on.
"""

from synth_pipeline_tests.loopback.running import RunningServer, running_server

__all__ = ["RunningServer", "running_server"]
