"""How many calls may be in flight, how fast they may start, when nobody may, and how long a failing one is tried."""

from synth_pipeline.llm.limits.gate import Gate, Slot
from synth_pipeline.llm.limits.patience import PATIENCE, Patience
from synth_pipeline.llm.limits.tickets import NEUTRAL, OK, Outcome, Ticket, outcome_of

__all__ = ["NEUTRAL", "OK", "PATIENCE", "Gate", "Outcome", "Patience", "Slot", "Ticket", "outcome_of"]
