"""The providers whose requests and answers LiteLLM's own transforms make for us, without its client around them.

One class a way of being driven, one row a provider. A provider that is not here goes by `litellm_route`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Json = dict[str, Any]
JSON_MODE, EXTRA_BODY = "json_mode", "extra_body"  # what LiteLLM's own client takes out of a request's options


class NotDrivable(Exception):
    """A model cannot be asked through LiteLLM's transforms; says why."""


def unexpected() -> tuple[type[Exception], ...]:
    """Return what LiteLLM's inner parts may raise where they are not as we know them."""
    from litellm.exceptions import LITELLM_EXCEPTION_TYPES
    from litellm.llms.base_llm.chat.transformation import BaseLLMException

    plain = (ImportError, AttributeError, TypeError, ValueError, LookupError, NotImplementedError, AssertionError)
    return (NotDrivable, *plain, BaseLLMException, *LITELLM_EXCEPTION_TYPES)


def reason_of(error: Exception) -> str:
    """Return why a model cannot be asked, on one line."""
    said = str(error).partition("\n")[0]
    return said if isinstance(error, NotDrivable) else f"LiteLLM is not as expected ({type(error).__name__}: {said})"


@dataclass(frozen=True)
class Target:
    """Who is asked.

    Args:
        provider: LiteLLM's name of the provider.
        model: the provider's name of the model.
        api_key: the key; None where the row names none.
        api_base: the address; None for the provider's own.
    """

    provider: str
    model: str
    api_key: str | None
    api_base: str | None


class Silent:
    """Stands where LiteLLM expects its logger: takes what it is told and forgets it."""

    optional_params: ClassVar[Json] = {}

    def __init__(self) -> None:
        self.model_call_details: Json = {}

    def post_call(self, *_: object, **__: object) -> None:
        """Forget what LiteLLM says of a response."""


class Dialect:
    """A provider whose chat configuration says all: how LiteLLM's shared HTTP handler drives it.

    Args:
        target: who is asked.

    Raises:
        NotDrivable: LiteLLM asks this model in another way.
    """

    truncating_error: ClassVar[str | None] = None  # an error that stands for an answer cut off before its first token

    def __init__(self, target: Target) -> None:
        from litellm.litellm_core_utils.get_litellm_params import get_litellm_params
        from litellm.types.utils import LlmProviders
        from litellm.utils import ProviderConfigManager

        self.target = target
        config = ProviderConfigManager.get_provider_chat_config(
            model=target.model, provider=LlmProviders(target.provider)
        )
        if config is None or config.uses_async_transform_request:
            raise NotDrivable(f"LiteLLM has no plain transforms for {target.model!r}")
        self.config: Any = config
        self.params = get_litellm_params(
            acompletion=True,
            api_key=target.api_key,
            api_base=target.api_base,
            custom_llm_provider=target.provider,
            drop_params=True,
            max_retries=0,
        )
        self._log = Silent()

    def url(self, options: Json) -> str:
        """Return the address of a request with these options."""
        return str(self.config.get_complete_url(**self._asked(), optional_params=options, litellm_params=self.params))

    def headers(self, options: Json) -> dict[str, str]:
        """Return the headers of a request with these options; the key is in them."""
        named = self.config.validate_environment(
            headers={}, messages=[], optional_params=options, litellm_params=self.params, **self._asked()
        )
        return {name: str(value) for name, value in named.items()}

    def body(self, messages: list[dict[str, str]], options: Json) -> Json:
        """Return the body of a request. What LiteLLM may write to is copied first."""
        extra = options.get(EXTRA_BODY)
        body: Json = self.config.transform_request(
            model=self.target.model,
            messages=messages,
            optional_params=_without(options, JSON_MODE, EXTRA_BODY),
            litellm_params=self.params,
            headers={},
        )
        if extra is None:
            return body
        added = self.config.transform_extra_body(
            extra_body=extra, request=body, model=self.target.model, litellm_params=self.params
        )
        return {**body, **added}

    def read(self, reply: Any, messages: list[dict[str, str]], options: Json) -> Any:
        """Return LiteLLM's response object for a reply with status 200."""
        from litellm.types.utils import ModelResponse

        return self.config.transform_response(
            model=self.target.model,
            raw_response=reply,
            model_response=ModelResponse(),
            logging_obj=self._log,
            api_key=self.target.api_key,
            request_data={},
            messages=messages,
            optional_params=options,
            litellm_params=self.params,
            encoding=None,
            json_mode=options.get(JSON_MODE, False),
        )

    def _asked(self) -> Json:
        return {"api_base": self.target.api_base, "api_key": self.target.api_key, "model": self.target.model}


class OpenAIClient(Dialect):
    """OpenAI, which LiteLLM asks through OpenAI's client; that client adds headers and takes some options out."""

    truncating_error = "could not finish the message because max_tokens or model output limit was reached"
    NOT_SENT: ClassVar = ("max_retries", "stream")

    def __init__(self, target: Target) -> None:
        import litellm
        from litellm.main import responses_api_bridge_check

        if os.environ.get("OPENAI_CUSTOM_HEADERS") or _settings_of(litellm.OpenAIConfig):
            raise NotDrivable("OPENAI_CUSTOM_HEADERS or OpenAIConfig is set")
        info, _ = responses_api_bridge_check(model=target.model, custom_llm_provider=target.provider)
        if info.get("mode") == "responses":
            raise NotDrivable(f"{target.model!r} has the responses API alone")
        base = litellm.OpenAIGPTConfig.get_api_base(target.api_base)
        super().__init__(Target(target.provider, target.model, target.api_key, base))

    def headers(self, options: Json) -> dict[str, str]:
        """Return the headers, with the organization and the project that the environment names."""
        import litellm

        set_in_litellm = getattr(litellm, "organization", None)
        organization = set_in_litellm or os.environ.get("OPENAI_ORGANIZATION") or os.environ.get("OPENAI_ORG_ID")
        named = {"OpenAI-Organization": organization, "OpenAI-Project": os.environ.get("OPENAI_PROJECT_ID")}
        return super().headers(options) | {name: value for name, value in named.items() if value}

    def body(self, messages: list[dict[str, str]], options: Json) -> Json:
        """Return the body without what is for the client."""
        return super().body(messages, _without(options, *self.NOT_SENT))


class Anthropic(Dialect):
    """Anthropic, which LiteLLM asks by a handler of its own; the body's content decides the headers."""

    PATH: ClassVar = "/v1/messages"

    def url(self, options: Json) -> str:
        """Return the address, its path added where it is not there."""
        from litellm.secret_managers.main import get_secret_bool, get_secret_str

        base = self.target.api_base or get_secret_str("ANTHROPIC_API_BASE") or get_secret_str("ANTHROPIC_BASE_URL")
        if not base:
            return f"https://api.anthropic.com{self.PATH}"
        whole = base.endswith(self.PATH) or get_secret_bool("LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX")
        return base if whole else base + self.PATH

    def headers(self, options: Json) -> dict[str, str]:
        """Return the headers, with the beta features that the options need."""
        from litellm.anthropic_beta_headers_manager import update_headers_with_filtered_beta

        headers = super().headers(_without(options, JSON_MODE))
        self.config.update_headers_with_optional_anthropic_beta(headers, _without(options, JSON_MODE))
        return dict(update_headers_with_filtered_beta(headers=headers, provider=self.target.provider))


class Gemini(Dialect):
    """Google's Gemini, whose requests LiteLLM makes beside its configuration."""

    def url(self, options: Json) -> str:
        """Return the address of the model."""
        return self._token_and_url()[1]

    def headers(self, options: Json) -> dict[str, str]:
        """Return the headers; the key is in one of Google's own."""
        token, _ = self._token_and_url()
        named = self.config.validate_environment(
            api_key=token,
            headers=None,
            model=self.target.model,
            messages=[],
            optional_params=options,
            litellm_params={},
        )
        return {name: str(value) for name, value in named.items()}

    def body(self, messages: list[dict[str, str]], options: Json) -> Json:
        """Return the body of a request."""
        from litellm.llms.vertex_ai.gemini.transformation import transform_request_body

        return dict(
            transform_request_body(
                messages=messages,  # type: ignore[arg-type]  # plain role and content are what its union's members hold
                model=self.target.model,
                optional_params=dict(options),
                custom_llm_provider="gemini",
                litellm_params=dict(self.params),
                cached_content=None,
            )
        )

    def _token_and_url(self) -> tuple[Any, str]:
        import litellm
        from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import VertexLLM
        from litellm.secret_managers.main import get_secret_str

        token, url = VertexLLM().get_token_and_url(
            model=self.target.model,
            auth_header=None,
            gemini_api_key=self.target.api_key,
            vertex_project=None,
            vertex_location=None,
            vertex_credentials=None,
            stream=None,
            custom_llm_provider="gemini",
            api_base=self.target.api_base or litellm.api_base or get_secret_str("GEMINI_API_BASE"),
        )
        return token, url


DIALECTS: Mapping[str, type[Dialect]] = {
    "anthropic": Anthropic,
    "gemini": Gemini,
    "hosted_vllm": Dialect,
    "mistral": Dialect,
    "openai": OpenAIClient,
    "xai": Dialect,
}


def _settings_of(config: Any) -> Json:
    """Return what somebody has set in a configuration of LiteLLM for all requests."""
    return dict(config.get_config())


def _without(options: Json, *names: str) -> Json:
    return {name: value for name, value in options.items() if name not in names}
