"""The errors a user or a caller can meet.

SynthError
├── InputError                 the user's files or arguments; exit code 2
│   ├── RecipeError            a recipe contradicts itself or its prompts
│   ├── PromptError            a template cannot be read or filled
│   ├── ProviderError          a provider row is broken or unknown
│   │   └── MissingKey         its key or address is not in the environment
│   └── ReferenceFileError     the reference cannot be read or mapped
├── TableError                 a frame breaks the contract of its table
├── StorageError               a table or the ledger cannot be read or written
├── ExportError                an export cannot be written
├── VerificationError          an export is not what its manifest says
└── CallError                  a model could not be asked
    ├── TransientCallError     asking again may help
    ├── PermanentCallError     asking again cannot help
    └── ProviderDown           a provider has not answered for too long
"""

from typing import Literal

Fault = Literal["rate_limit", "server_error", "timeout", "connection", "truncated"]


class SynthError(Exception):
    """Something went wrong; says what, where and what to do now.

    Args:
        what: the fault, with the culprit's value.
        where: file, field, table or provider it stands in.
        fix: what to do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix), self.__dict__


def _rebuild(error_class: type[SynthError], what: str, where: str, fix: str) -> SynthError:
    return error_class(what, where=where, fix=fix)


class InputError(SynthError):
    """The user's files or arguments are at fault."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe contradicts itself, its prompts or the providers."""


class PromptError(InputError):
    """A template cannot be read, parsed or filled."""


class ProviderError(InputError):
    """A provider row is broken, or no row has that name."""


class MissingKey(ProviderError):
    """A provider's key or address is not in the environment."""


class ReferenceFileError(InputError):
    """The reference file cannot be read, or its columns do not fit the mapping."""


class TableError(SynthError):
    """A frame breaks the contract of its table."""


class StorageError(SynthError):
    """A table or the call ledger cannot be read or written."""


class ExportError(SynthError):
    """An export cannot be written."""


class VerificationError(SynthError):
    """An export's files are not what its manifest says."""


class CallError(SynthError):
    """A model could not be asked."""


class TransientCallError(CallError):
    """The call failed in a way that asking again may mend.

    Args:
        fault: what kind of failure it was; retries are counted by it.
        http_status: the response's status; None where none came.
        retry_after_s: how long the provider asks to wait, in seconds; None where it does not say.
        may_be_billed: whether the provider may have done the work (no answer came back whole).
    """

    def __init__(  # noqa: PLR0913  # what is known of a failed call, each by name
        self,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        fault: Fault = "server_error",
        http_status: int | None = None,
        retry_after_s: float | None = None,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.fault, self.http_status = fault, http_status
        self.retry_after_s, self.may_be_billed = retry_after_s, may_be_billed


class PermanentCallError(CallError):
    """The call failed in a way that asking again cannot mend (a bad key, model or request).

    Args:
        http_status: the response's status; None where none came.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", http_status: int | None = None) -> None:
        super().__init__(what, where=where, fix=fix)
        self.http_status = http_status


class ProviderDown(CallError):
    """A provider has answered nothing for too long; what was bought is in the ledger."""
