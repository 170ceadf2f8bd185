"""A new text dataset that runs at once: `dg scaffold defs synth_pipeline.components.TextDataset my_dataset`."""

from pathlib import Path

import dagster as dg

from synth_pipeline.contracts.errors import RecipeError

NEW_DATASET = Path(__file__).parent / "new_dataset"
RECIPE_FILE = "defs.yaml"


class TextDatasetScaffolder(dg.Scaffolder):
    """Writes a recipe, and its prompts into `prompts/<name>/`; nothing that exists is overwritten."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write the files of a new recipe.

        Raises:
            RecipeError: one of the files is there already.
        """
        prompts = Path(request.project_root or Path.cwd()) / "prompts" / request.target_path.name
        for source in sorted(NEW_DATASET.iterdir()):
            folder = request.target_path if source.name == RECIPE_FILE else prompts
            _write_new(folder / source.name, source.read_text(encoding="utf-8"))


def _write_new(file: Path, text: str) -> None:
    if file.exists():
        raise RecipeError("exists already", where=str(file), fix="choose another name, or move it away")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
