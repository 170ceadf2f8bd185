"""A recipe as it is declared: its folder read, its templates loaded, everything held against everything else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synth_pipeline.contracts.errors import InputError, RecipeError
from synth_pipeline.contracts.identity import canonical_json, digest, sha256_text
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.kinds.text import TextKind, known_holes, template_roles
from synth_pipeline.llm.prompts import PromptTemplate, find_prompts_folder, load_template
from synth_pipeline.llm.providers import find_provider, find_providers_file, load_providers

DEFS_FOLDER = Path(__file__).resolve().parent.parent / "defs"
DEFS_FILE, GRAMMAR_FILE = "defs.yaml", "grammar.yaml"
NAME = re.compile(r"^[a-z][a-z0-9_]*$")
COMPONENT = "synth_pipeline.components.TextDataset"


@dataclass(frozen=True)
class Declaration:
    """A recipe that has been read and holds together."""

    name: str
    folder: Path
    recipe: Recipe
    templates: Mapping[str, PromptTemplate]
    providers: Mapping[str, Provider]

    @cached_property
    def kind(self) -> TextKind:
        """The recipe's stages."""
        return TextKind(self.name, self.recipe, self.templates)

    @property
    def grammar_file(self) -> Path:
        """Where the offline provider's grammar stands, if the recipe has one."""
        return self.folder / GRAMMAR_FILE

    def code_version(self, *roles: str) -> str:
        """Return a version of the recipe's content and of the templates of `roles`; it changes when they do."""
        return digest(
            self.recipe.model_dump(mode="json"),
            *(self.templates[r].sha256 for r in roles if r in self.templates),
        )

    @property
    def identity(self) -> dict[str, object]:
        """Hashes of what an export is made from: the recipe and each template."""
        return {
            "recipe": self.name,
            "recipe_sha256": sha256_text(canonical_json(self.recipe.model_dump(mode="json"))),
            "templates": {role: f"{t.path}@{t.version}:{t.sha256}" for role, t in sorted(self.templates.items())},
        }


def declare(name: str, folder: Path, recipe: Recipe) -> Declaration:
    """Return the recipe with its templates, each hole held against what the recipe plans.

    Raises:
        RecipeError: the name is no identifier, or the panel names an unknown provider.
        PromptError: a template is missing, broken, or asks for a name that nothing fills.
        ProviderError: the providers file is broken.
    """
    if not NAME.match(name):
        raise RecipeError(
            f"name {name!r} is not lower-case letters, digits and _",
            where=str(folder),
            fix="rename the folder",
        )
    providers = load_providers(find_providers_file())
    for member in recipe.panel.providers:
        try:
            find_provider(providers, member)
        except InputError as error:
            raise RecipeError(
                f"panel.providers: {error.what}", where=_shown(folder / DEFS_FILE), fix=error.fix
            ) from None
    prompts = find_prompts_folder()
    templates = {role: load_template(prompts, name, role) for role in template_roles(recipe)}
    for role, template in templates.items():
        template.require_holes(known_holes(recipe, role))
    return Declaration(name, folder, recipe, templates, providers)


def list_recipes(defs: Path = DEFS_FOLDER) -> list[str]:
    """Return the names of the recipes below the defs folder."""
    return sorted(file.parent.name for file in defs.glob(f"*/{DEFS_FILE}"))


def load_declaration(name: str, defs: Path = DEFS_FOLDER) -> Declaration:
    """Return the recipe called `name`.

    Raises:
        RecipeError: there is none, its file is not YAML, or it contradicts itself; names file, line, field and fix.
        InputError: as `declare`.
    """
    if name not in list_recipes(defs):
        raise RecipeError(
            f"unknown recipe {name!r}", where=_shown(defs), fix=f"use one of {', '.join(list_recipes(defs))}"
        )
    file = defs / name / DEFS_FILE
    return declare(name, file.parent, read_recipe(file))


def read_recipe(file: Path) -> Recipe:
    """Return the recipe that a defs.yaml declares.

    Raises:
        RecipeError: it cannot be read, is no YAML, or contradicts itself; names file, line, field and fix.
    """
    try:
        text = file.read_text(encoding="utf-8")
        loaded = yaml.load(text, StrictLoader)  # noqa: S506  # a SafeLoader that refuses doubled keys too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(
            f"cannot be read: {error}", where=_shown(file), fix="mend the YAML; it is UTF-8 text"
        ) from error
    if not isinstance(loaded, dict) or loaded.get("type") != COMPONENT:
        raise RecipeError("is not a text dataset", where=_shown(file), fix=f"begin with `type: {COMPONENT}`")
    try:
        return Recipe.model_validate(loaded.get("attributes") or {})
    except ValidationError as error:
        raise _explained(error, file, text) from None


class StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that stands twice in a mapping: the first would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping.

        Raises:
            yaml.constructor.ConstructorError: a key stands twice; carries its line.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                problem = f"key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _explained(error: ValidationError, file: Path, text: str) -> RecipeError:
    fault = error.errors()[0]
    path = [str(part) for part in fault["loc"]]
    message = fault["msg"].removeprefix("Value error, ")
    line = _line_of(yaml.compose(text, Loader=yaml.SafeLoader), ["attributes", *path])
    field = ".".join(path)
    what = f"{field}: {message}" if field else message
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return RecipeError(what + more, where=f"{_shown(file)}:{line}", fix=_fix(fault))


def _fix(fault: Any) -> str:
    advice = {
        "missing": "add the field",
        "extra_forbidden": "remove the field, or spell it as documented in contracts/recipe.py",
        "string_type": "write text; quote what YAML reads as something else, such as 'no', 'null' or '1'",
        "value_error": "change one of the two so that they agree",
    }
    return advice.get(fault["type"], "write a value that the message allows")


def _line_of(node: Any, path: list[str]) -> int:
    """Return the line of the deepest node on `path` that the file holds."""
    line: int = node.start_mark.line + 1
    for part in path:
        child = None
        if isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if str(key.value) == part), None)
            line = next((key.start_mark.line + 1 for key, _ in node.value if str(key.value) == part), line)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            child = node.value[int(part)]
            line = child.start_mark.line + 1
        if child is None:
            continue  # a discriminator's tag in pydantic's path has no node of its own
        node = child
    return line


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
