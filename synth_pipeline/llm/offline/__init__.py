"""The offline provider: voices that write from a seeded grammar over what a prompt gives, with no network."""

from synth_pipeline.llm.offline.answer import OfflineAnswer, answer
from synth_pipeline.llm.offline.grammar import Grammar
from synth_pipeline.llm.offline.loading import load_grammar, parse_grammar
from synth_pipeline.llm.offline.prompt import OfflineRequest
from synth_pipeline.llm.offline.provider import find_voice, register_offline_provider
from synth_pipeline.llm.offline.voices import Dials, Voice, load_voices

__all__ = [
    "Dials",
    "Grammar",
    "OfflineAnswer",
    "OfflineRequest",
    "Voice",
    "answer",
    "find_voice",
    "load_grammar",
    "load_voices",
    "parse_grammar",
    "register_offline_provider",
]
