"""OpenAI's chat completions."""

from synth_pipeline_tests.loopback.dialects.ask import Ask, read_messages
from synth_pipeline_tests.loopback.faults import Completion, Json, TurnedAway


class OpenAI:
    """`POST /v1/chat/completions`."""

    def read(self, body: Json, model: str) -> Ask:
        """Return what the body asks for."""
        wanted = (body.get("response_format") or {}).get("json_schema") or {}
        return Ask(
            model=str(body["model"]) or model,
            messages=read_messages(body.get("messages")),
            schema=wanted.get("schema"),
            schema_name=wanted.get("name"),
            seed=int(body.get("seed") or 0),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        )

    def write(self, ask: Ask, completion: Completion, name: str) -> Json:
        """Return a `chat.completion`."""
        message = {"role": "assistant", "content": completion.content, "refusal": completion.refusal}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
        usage = {"prompt_tokens": completion.tokens_in, "completion_tokens": completion.tokens_out}
        return {
            "id": name,
            "object": "chat.completion",
            "created": 0,
            "model": ask.model,
            "choices": [choice] if completion.has_choice else [],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }

    def refuse(self, refused: TurnedAway, text: str) -> Json:
        """Return OpenAI's error."""
        return {"error": {"message": text, "type": refused.kind, "param": None, "code": refused.code}}


OPENAI = OpenAI()
