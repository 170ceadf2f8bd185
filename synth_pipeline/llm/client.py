"""The completer: the one structured call path to models."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from synth_pipeline.contracts.errors import TransientCallError
from synth_pipeline.contracts.identity import call_key
from synth_pipeline.contracts.protocols import CallRequest, CallResult, Messages, Progress
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.asking import Purchase, ask, call_parameters, close_connections, prepare_litellm
from synth_pipeline.llm.ledger import Ledger, LedgerEntry
from synth_pipeline.llm.limits import Pace, worst_case_tokens
from synth_pipeline.llm.parsing import Parsed, parse_completion
from synth_pipeline.llm.providers import price_of, require_environment

MAX_ASKS = 2
ONE_LOOP = threading.Lock()  # LiteLLM logs through one worker a process, which two event loops at once would tear apart


@dataclass(frozen=True)
class Patience:
    """How often a failed call is tried, and the seconds waited: at random up to `first_wait_s`, doubled each time."""

    max_tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 30

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait before the next try: no fewer than the provider asked for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, TransientCallError) else None
        return max(asked or 0.0, wait_random_exponential(self.first_wait_s, self.longest_wait_s)(state))


PATIENCE = Patience()


@dataclass
class Usage:
    """What the completer has done so far: completions bought now, found in the ledger, and dollars spent now."""

    n_bought: int = 0
    n_replayed: int = 0
    cost_usd: float = 0.0


class LedgeredCompleter:
    """Completes prompts with one provider, through the call ledger.

    Args:
        provider: who answers.
        ledger: every completion is appended to it before it is parsed, and looked up there before it is bought.
        progress: told of every result.
        prepare: called once before the first call that is bought; imports what calls need, which a replay does not.
        patience: how long it tries to get an answer.

    Raises:
        MissingKey: the provider's key or address is not in the environment.
    """

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        progress: Progress,
        prepare: Callable[[], object] = prepare_litellm,
        patience: Patience = PATIENCE,
    ) -> None:
        require_environment(provider)
        self._row, self._ledger, self._progress, self._prepare = provider, ledger, progress, prepare
        self._prices: dict[str, Price] = {}
        self._pace, self._patience = Pace(provider.rpm, provider.tpm), patience
        self.usage = Usage()

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._row.name

    def __call__(self, requests: Sequence[CallRequest]) -> list[CallResult]:
        """Return one result a request, in the requests' order.

        Raises:
            PermanentCallError: the provider refuses a request itself; what was bought before is in the ledger.
            ProviderError: a model's price is not known.
        """
        results: list[CallResult | None] = [None] * len(requests)
        self._progress.start(len(requests), f"{self.provider}: {requests[0].role if requests else 'nothing'}")
        try:
            with ONE_LOOP:
                asyncio.run(self._complete_all(enumerate(requests), results))
        except BaseExceptionGroup as group:
            raise _first_cause(group) from None
        finally:
            self._progress.finish()
        return [result for result in results if result is not None]

    async def _complete_all(self, work: Iterator[tuple[int, CallRequest]], results: list[CallResult | None]) -> None:
        async def worker() -> None:
            for index, request in work:
                results[index] = await self._complete(request)
                self._progress.advance(cost_usd=self.usage.cost_usd, n_replayed=self.usage.n_replayed)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._row.max_concurrency):
                    group.create_task(worker())
        finally:
            if self._prices:  # something was bought, not only replayed
                await close_connections()

    async def _complete(self, request: CallRequest) -> CallResult:
        entries: list[LedgerEntry] = []
        messages = request.messages
        parsed = Parsed("failed", "nothing was asked")
        for attempt in range(MAX_ASKS):
            try:
                entries.append(await self._bought(request, messages, attempt))
            except TransientCallError as error:
                reason = f"given up after {self._patience.max_tries} tries: {error.what}"
                return self._result(request, Parsed("failed", reason), entries)
            parsed = parse_completion(entries[-1], request.record_class)
            if parsed.state != "unparsable":
                break
            messages = _repair(messages, entries[-1], parsed)
        return self._result(request, parsed, entries)

    async def _bought(self, request: CallRequest, messages: Messages, attempt: int) -> LedgerEntry:
        key = self._key(request, messages, attempt)
        entry = self._ledger.find(key)
        if entry is not None:
            self.usage.n_replayed += 1
            return entry
        entry = await self._ask_patiently(Purchase(request, messages, key, attempt, self._price(request)))
        kept = self._ledger.append(entry)
        self.usage.n_bought += 1
        self.usage.cost_usd += entry.cost_usd
        return kept

    async def _ask_patiently(self, purchase: Purchase) -> LedgerEntry:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientCallError),
            stop=stop_after_attempt(self._patience.max_tries),
            wait=self._patience.wait,
            reraise=True,
        )

        async def ask_at_pace() -> LedgerEntry:
            await self._pace.wait(worst_case_tokens(purchase.request, purchase.messages))
            return await ask(self._row, purchase)

        return await retrying(ask_at_pace)

    def _price(self, request: CallRequest) -> Price:
        model = self._row.model_for(request.role)
        if model not in self._prices:
            self._prepare()
            self._prices[model] = price_of(self._row, model)
        return self._prices[model]

    def _key(self, request: CallRequest, messages: Messages, attempt: int) -> str:
        return call_key(
            model=f"{self.provider}:{self._row.model_for(request.role)}",
            messages=messages,
            parameters=call_parameters(request),
            schema={"name": request.schema_name, "schema": request.record_class.model_json_schema()},
            template_version=f"{request.template.path}@{request.template.version}:{request.template.sha256}",
            sample=request.sample,
            attempt=attempt,
        )

    def _result(self, request: CallRequest, parsed: Parsed, entries: Sequence[LedgerEntry]) -> CallResult:
        provenance = _provenance(self._row, request, entries)
        return CallResult(request.sample, parsed.state, parsed.reason, parsed.value, provenance)


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the calls: an interrupt before an error, the first of each."""
    causes = [_first_cause(one) if isinstance(one, BaseExceptionGroup) else one for one in group.exceptions]
    return next((cause for cause in causes if not isinstance(cause, Exception)), causes[0])


def _repair(messages: Messages, entry: LedgerEntry, parsed: Parsed) -> Messages:
    complaint = f"That answer cannot be used: {parsed.reason}. Answer again with the JSON object alone."
    answered = {"role": "assistant", "content": entry.content or "(empty)"}
    return (*messages, answered, {"role": "user", "content": complaint})


def _provenance(provider: Provider, request: CallRequest, entries: Sequence[LedgerEntry]) -> Mapping[str, Any]:
    last = entries[-1] if entries else None
    return {
        "model": provider.model_for(request.role),
        "family": provider.family,
        "offline": provider.offline,
        "role": request.role,
        "template": request.template.path,
        "template_version": request.template.version,
        "template_sha256": request.template.sha256,
        "temperature": request.temperature,
        "call_key": last.call_key if last else None,
        "attempts": len(entries),
        "tokens_in": sum(entry.tokens_in for entry in entries),
        "tokens_out": sum(entry.tokens_out for entry in entries),
        "cost_usd": sum(entry.cost_usd for entry in entries),
        "completed_at": last.completed_at if last else None,
        "latency_s": last.latency_s if last else None,
        "finish_reason": last.finish_reason if last else None,
    }
