"""What is asked and answered: the requests of our stage as the peers send them, and one answer that fits them all."""

import json

from generation_parts.jobs import Figures, Job
from generation_parts.ours import GRAMMAR, RECIPE, Stage
from synth_pipeline.contracts.identity import seed_for
from synth_pipeline.llm.offline import OfflineRequest, answer, load_grammar, load_voices
from synth_pipeline.llm.offline.answer import estimate_tokens
from synth_pipeline.llm.routes.structured import strict_schema
from synth_pipeline.stages.generation import prompt_values

TOKENS = 300  # of the answer, as nearly as a voice comes


def write_plan(job: Job) -> None:
    """Write the plan of a job."""
    Stage().plan(job).write_parquet(job.plan_file)


def write_questions(job: Job) -> None:
    """Write the bodies of the very requests that our stage makes for a job, one a line."""
    stage = Stage()
    schema = strict_schema(stage.record_class.model_json_schema(), keep_lengths=True)
    named = {"name": f"{RECIPE}__write", "schema": schema, "strict": True}
    settings = stage.recipe.roles.write
    with job.questions_file.open("w", encoding="utf-8") as file:
        for row in stage.plan(job).iter_rows(named=True):
            body = {
                "messages": stage.template.render(prompt_values(stage.recipe, row)),
                "temperature": settings.temperature,
                "max_tokens": settings.max_tokens,
                "seed": seed_for("write", row["planned_id"]),
                "response_format": {"type": "json_schema", "json_schema": named},
            }
            file.write(json.dumps(body) + "\n")


def write_answer(job: Job) -> Figures:
    """Write an answer that is a valid record, and return how long questions and answer are."""
    voice, grammars = load_voices()["formal"].without_faults(), {RECIPE: load_grammar(GRAMMAR)}
    with job.questions_file.open(encoding="utf-8") as file:
        questions = list(file)
    texts = [
        answer(OfflineRequest.from_params(body["messages"], body), voice, grammars).text
        for body in map(json.loads, questions)
    ]
    text = min(texts, key=lambda text: abs(estimate_tokens(len(text)) - TOKENS))
    Stage().record_class.model_validate_json(text)
    job.content_file.write_text(text, encoding="utf-8")
    question_bytes = sum(map(len, questions)) // len(questions)
    return {"answer_tokens": estimate_tokens(len(text)), "question_bytes": question_bytes}
