"""The fast path: LiteLLM's own request and response transforms over one HTTP session, with nothing else around them."""

import asyncio
import io
import json
import os
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from synth_pipeline.contracts.errors import CallError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.purchases import Answer, Purchase
from synth_pipeline.llm.routes.dialects import DIALECTS, Dialect, NotDrivable, Target
from synth_pipeline.llm.routes.errors import Place, Reply, request_id_of
from synth_pipeline.llm.routes.faults import broken_by, in_our_words
from synth_pipeline.llm.routes.forms import Form, Forms, Notice
from synth_pipeline.llm.routes.headers import read_rate
from synth_pipeline.llm.routes.litellm_route import LiteLLMRoute
from synth_pipeline.llm.routes.preparing import prepare_litellm
from synth_pipeline.llm.routes.reading import WholeReply, read_answer
from synth_pipeline.llm.routes.structured import Structure

if TYPE_CHECKING:
    import aiohttp

OK, BAD_REQUEST = range(200, 300), 400
CONNECT_S, DNS_S = 30.0, 60
LARGE = 2**20  # aiohttp warns of larger bodies that are not read piece by piece
USER_AGENT = "synth-pipeline"


class DirectRoute:
    """A way to one model of a provider in DIALECTS.

    A shape that LiteLLM's transforms cannot make goes by LiteLLM itself.

    Args:
        provider: the row; its key and address are read from the environment now.
        model: the LiteLLM model.
        notice: told once of each shape that goes by LiteLLM.

    Raises:
        NotDrivable: LiteLLM's transforms cannot ask this model.
    """

    def __init__(self, provider: Provider, model: str, notice: Notice) -> None:
        prepare_litellm()
        self._place = Place(provider, model)
        self._dialect = make_dialect(provider, model)
        self._structure = Structure(provider, model)
        self._forms = Forms(self._dialect, self._structure, notice)
        self._proxies: dict[str, str | None] = {}
        self._session: aiohttp.ClientSession | None = None
        self._by_litellm: LiteLLMRoute | None = None

    async def ask(self, purchase: Purchase) -> Answer:
        """Return one fresh answer: one HTTP request, never retried here.

        Raises:
            TransientCallError: a rate limit, time-out, broken connection, server error or truncated body.
            PermanentCallError: the provider refuses the request itself; carries its own message, secrets masked.
        """
        form = self._forms.find(purchase)
        if form is None:
            return await self._ask_litellm(purchase)
        options = form.options_for(purchase.request.seed)
        messages = self._structure.messages(purchase)
        reply = await self._post(form, json.dumps(self._dialect.body(messages, options)).encode())
        if reply.status_code not in OK:
            return self._answer_of_error(reply, messages)
        try:
            response = self._dialect.read(reply, messages, options)
        except Exception as error:  # noqa: BLE001  # LiteLLM raises bare Exception for a body that is no completion
            answer = in_our_words(error, self._place)
        else:
            return read_answer(response, reply.headers)
        if isinstance(answer, CallError):
            raise answer
        return answer

    async def close(self) -> None:
        """Let go of connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if self._by_litellm is not None:
            await self._by_litellm.close()

    async def _ask_litellm(self, purchase: Purchase) -> Answer:
        if self._by_litellm is None:
            self._by_litellm = LiteLLMRoute(self._place.provider, self._place.model)
        return await self._by_litellm.ask(purchase)

    async def _post(self, form: Form, body: bytes) -> WholeReply:
        import aiohttp

        if self._session is None:
            self._session = open_session()
        data = body if len(body) < LARGE else io.BytesIO(body)
        sent = self._session.post(
            form.url, data=data, headers=form.headers, proxy=self._proxy(form.url), allow_redirects=False
        )
        seconds = self._place.provider.timeout_s
        try:
            async with asyncio.timeout(seconds), sent as response:
                return WholeReply(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, ConnectionError) as error:
            broken = broken_by(error, self._place)
        except TimeoutError:
            broken = self._place.too_late(seconds)
        raise broken

    def _proxy(self, url: str) -> str | None:
        if url not in self._proxies:
            self._proxies[url] = proxy_of(url)
        return self._proxies[url]

    def _answer_of_error(self, reply: WholeReply, messages: list[dict[str, str]]) -> Answer:
        """Return the answer that an error response is; raise what it stands for where it is none."""
        failed = Reply(reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.text)
        mark = self._dialect.truncating_error
        if mark and failed.status == BAD_REQUEST and mark in failed.body.lower():
            return self._cut_off(failed, messages)
        answer = self._place.refusal(failed)
        if answer is None:
            raise self._place.error(failed)
        return answer

    def _cut_off(self, failed: Reply, messages: list[dict[str, str]]) -> Answer:
        """Return an answer cut off before its first token; the prompt was billed, and is estimated as LiteLLM does."""
        import litellm

        return Answer(
            content="",
            finish_reason="length",
            tokens_in=litellm.token_counter(model=self._dialect.target.model, messages=messages),
            provider_request_id=request_id_of(failed.headers),
            rate=read_rate(failed.headers),
        )


def make_dialect(provider: Provider, model: str) -> Dialect:
    """Return how `model` is asked, with the provider's key and address.

    Raises:
        NotDrivable: the provider is not in DIALECTS, or its key is left for LiteLLM to find.
    """
    import litellm

    name, family, key, base = litellm.get_llm_provider(
        model,
        api_key=os.environ.get(provider.api_key_env) if provider.api_key_env else None,
        api_base=os.environ.get(provider.api_base_env) if provider.api_base_env else None,
    )
    if family not in DIALECTS:
        raise NotDrivable(f"{family!r} is not among {', '.join(DIALECTS)}")
    if not key:
        raise NotDrivable("the row names no key")
    return DIALECTS[family](Target(family, name, key, base))


def open_session() -> "aiohttp.ClientSession":
    """Return a session for the running loop, with as many connections as calls and LiteLLM's choice of certificates."""
    import aiohttp
    from litellm.llms.custom_httpx.http_handler import get_ssl_configuration

    trusted = get_ssl_configuration()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_S, ssl=True if isinstance(trusted, str) else trusted),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT},
    )


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for `url`; None where it names none."""
    parts = urlsplit(url)
    named = urllib.request.getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
