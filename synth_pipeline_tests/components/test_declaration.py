import shutil
from pathlib import Path

import pytest

from synth_pipeline.components.declaration import DEFS_FOLDER, list_recipes, load_declaration
from synth_pipeline.contracts.errors import InputError, PromptError, RecipeError
from synth_pipeline.llm.prompts import find_prompts_folder
from synth_pipeline.llm.providers import PROVIDERS_VARIABLE

SHIPPED = "evidence"


@pytest.fixture
def defs(tmp_path: Path) -> Path:
    shutil.copytree(DEFS_FOLDER / SHIPPED, tmp_path / "defs" / SHIPPED)
    return tmp_path / "defs"


def break_recipe(defs: Path, old: str, new: str) -> None:
    file = defs / SHIPPED / "defs.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_holds_together(name: str) -> None:
    assert load_declaration(name).recipe.labels


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("psm: {share: 0.14,", "psm: {share: -0.14,", ("axes.method.values.psm.share", "greater than or equal to 0")),
        ("psm: {share: 0.14,", "psm: {share: 0.24,", ("axes.method", "shares sum to 1.1, not 1")),
        ("applies_to: [scm]", "applies_to: [scm, rct]", ("flaws.short_pre_period.applies_to", "cannot damage 'rct'")),
        (
            "panel: {providers: [offline-terse,",
            "panel: {providers: [offline-loud,",
            ("panel.providers", "'offline-loud'"),
        ),
        ("  label: method\n\n  axes:", "  label: [method\n\n  axes:", ("cannot be read",)),
        ("        Education: 0.25\n", "        Health: 0.25\n", ("key 'Health' stands twice",)),
        ("  label: method\n\n  axes:", "  label: methods\n\n  axes:", ("label 'methods' is not declared",)),
        ("  n_records: 1000\n", "  n_record: 1000\n", ("n_record", "Extra inputs are not permitted")),
        ("type: synth_pipeline.components.TextDataset", "type: some.other.Component", ("is not a text dataset",)),
    ],
)
def test_a_contradiction_is_refused_with_file_field_and_fix(
    defs: Path, old: str, new: str, named: tuple[str, ...]
) -> None:
    break_recipe(defs, old, new)
    with pytest.raises(InputError) as refused:
        load_declaration(SHIPPED, defs)
    assert refused.value.exit_code == 2
    for part in ("defs.yaml", *named, "fix: "):
        assert part in str(refused.value)


def test_a_refused_field_is_named_with_its_line(defs: Path) -> None:
    break_recipe(defs, "psm: {share: 0.14,", "psm: {share: -0.14,")
    lines = (defs / SHIPPED / "defs.yaml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "share: -0.14" in text)
    with pytest.raises(RecipeError, match=rf"defs\.yaml:{line}: "):
        load_declaration(SHIPPED, defs)


def test_a_hole_that_nothing_fills_is_refused_with_its_template(defs: Path) -> None:
    break_recipe(defs, "    words:\n", "    n_words:\n")
    with pytest.raises(PromptError) as refused:
        load_declaration(SHIPPED, defs)
    assert f"prompts/{SHIPPED}/write.md" in str(refused.value)
    assert "{{ words }}" in str(refused.value)


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match=f"unknown recipe 'nothing'[^@]*{SHIPPED}"):
        load_declaration("nothing")


def test_a_broken_providers_file_is_refused_with_its_row(
    defs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text("mine: {family: mine, models: {default: a/b}, max_concurrency: 0}\n", encoding="utf-8")
    monkeypatch.setenv(PROVIDERS_VARIABLE, str(file))
    with pytest.raises(InputError, match=r"providers\.yaml: row 'mine', max_concurrency"):
        load_declaration(SHIPPED, defs)


def test_a_changed_template_changes_the_code_version_of_what_it_writes_and_nothing_else() -> None:
    declaration = load_declaration(SHIPPED)
    assert declaration.code_version("write") != declaration.code_version("flaw") != declaration.code_version()
    assert declaration.code_version("write") == load_declaration(SHIPPED).code_version("write")
    assert find_prompts_folder().is_dir()
