"""Templates: Markdown files with front matter and one part a message; holes are strict, the sandbox is closed.

A template below `prompts/<recipe>/<role>.md` looks so:

    ---
    version: "1.0"
    role: write
    ---
    # system
    You write ...
    # user
    Write ... in {{ country }}.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from synth_pipeline.contracts.errors import PromptError
from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import Messages

FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
PART = re.compile(r"^# (system|user|assistant)[ \t]*\n", re.MULTILINE)


def _environment() -> ImmutableSandboxedEnvironment:
    # autoescape is off on purpose: prompts are plain text for a model, never HTML
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)
    environment.globals.clear()
    environment.filters["json"] = canonical_json
    return environment


ENVIRONMENT = _environment()


@dataclass(frozen=True)
class PromptTemplate:
    """A template of one role: its parts, version and hash."""

    path: str
    version: str
    role: str
    sha256: str
    parts: tuple[tuple[str, str], ...]

    @cached_property
    def holes(self) -> frozenset[str]:
        """The names that the template asks for."""
        trees = [ENVIRONMENT.parse(text) for _, text in self.parts]
        return frozenset(name for tree in trees for name in meta.find_undeclared_variables(tree))

    @cached_property
    def _compiled(self) -> list[tuple[str, Any]]:
        return [(speaker, ENVIRONMENT.from_string(text)) for speaker, text in self.parts]

    def render(self, values: Mapping[str, object]) -> Messages:
        """Return the prompt: one message a part, its holes filled from `values`.

        Raises:
            PromptError: a hole has no value, or the template reaches for what the sandbox forbids.
        """
        try:
            return tuple({"role": speaker, "content": part.render(values).strip()} for speaker, part in self._compiled)
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise PromptError(
                str(error), where=f"prompts/{self.path}", fix="use only names that the recipe plans"
            ) from error

    def require_holes(self, known: Iterable[str]) -> None:
        """Refuse a template that asks for a name which nothing fills.

        Raises:
            PromptError: names the hole and what may stand there.
        """
        unknown = sorted(self.holes - set(known))
        if unknown:
            raise PromptError(
                f"hole {{{{ {unknown[0]} }}}} is filled by no axis, attribute or number of the recipe",
                where=f"prompts/{self.path}",
                fix=f"declare {unknown[0]!r}, or use one of {', '.join(sorted(known))}",
            )


def find_prompts_folder() -> Path:
    """Return the folder of templates: beside the package in a checkout, inside it in an installed wheel.

    Raises:
        PromptError: neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent / "prompts", package / "prompts"):
        if folder.is_dir():
            return folder
    raise PromptError("no prompts folder", where=str(package.parent / "prompts"), fix="reinstall the package")


def load_template(folder: Path, recipe: str, role: str) -> PromptTemplate:
    """Return the template of a recipe's role.

    Raises:
        PromptError: the file is missing, not UTF-8, without version or parts, or no valid template.
    """
    relative = f"{recipe}/{role}.md"
    where = f"prompts/{relative}"
    try:
        content = (folder / relative).read_bytes()
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise PromptError(
            "the template is missing", where=where, fix="write it; copy another recipe's to begin"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"cannot be read: {error}", where=where, fix="save it as UTF-8 text") from error
    header, parts = _split(text, where)
    template = PromptTemplate(relative, str(header["version"]), role, hashlib.sha256(content).hexdigest(), parts)
    try:
        _ = template.holes
    except TemplateError as error:
        raise PromptError(f"not a valid template: {error}", where=where, fix="mend the Jinja syntax") from error
    if header.get("role", role) != role:
        raise PromptError(f"front matter says role {header['role']!r}", where=where, fix=f"write role: {role}")
    return template


def _split(text: str, where: str) -> tuple[Mapping[str, Any], tuple[tuple[str, str], ...]]:
    match = FRONT_MATTER.match(text)
    if match is None:
        raise PromptError("has no front matter", where=where, fix='begin with ---, version: "1.0", role: ..., ---')
    try:
        header = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise PromptError(f"front matter is not YAML: {error}", where=where, fix="mend it") from error
    if not isinstance(header, dict) or header.get("version") is None:
        raise PromptError("front matter names no version", where=where, fix='add version: "1.0"')
    pieces = PART.split(match[2])
    if pieces[0].strip():
        raise PromptError("has text before its first part", where=where, fix="put it below '# system' or '# user'")
    parts = tuple(zip(pieces[1::2], pieces[2::2], strict=True))
    if not any(speaker == "user" for speaker, _ in parts):
        raise PromptError("has no '# user' part", where=where, fix="add a line '# user' before the request")
    return header, parts
