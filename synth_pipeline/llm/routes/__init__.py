"""The ways to a model: LiteLLM's transforms over one session of our own, and LiteLLM itself.

Both ask once, tell faults apart in the same words, and give equal answers.
"""

from synth_pipeline.llm.routes.choosing import choose_route
from synth_pipeline.llm.routes.direct import DirectRoute
from synth_pipeline.llm.routes.litellm_route import LiteLLMRoute
from synth_pipeline.llm.routes.preparing import prepare_litellm
from synth_pipeline.llm.routes.structured import explicit_mode, structured_mode

__all__ = ["DirectRoute", "LiteLLMRoute", "choose_route", "explicit_mode", "prepare_litellm", "structured_mode"]
