"""The reference: the user's real examples, read from CSV, JSONL or Parquet and mapped to the recipe's words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml
from pydantic import ValidationError

from synth_pipeline.components.declaration import Declaration
from synth_pipeline.contracts.errors import ReferenceFileError
from synth_pipeline.contracts.identity import sha256_text
from synth_pipeline.contracts.recipe import ReferenceDeclaration
from synth_pipeline.contracts.tables import REFERENCE

MAX_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Reference:
    """REFERENCE, where it was read, and how many examples carry a label that the mapping does not know."""

    frame: pl.DataFrame
    path: str
    unmapped: dict[str, int]
    n_unlabelled: int

    @property
    def n_labelled(self) -> int:
        """Examples whose label is one of the recipe's."""
        return self.frame["label"].drop_nulls().len()

    def summary(self) -> str:
        """Return one sentence on what was read and what was not mapped."""
        if self.frame.is_empty():
            return "none declared; name one in the recipe to compare with real examples"
        told = f"{self.frame.height} real examples, {self.n_labelled} with a label of the recipe"
        if self.unmapped:
            listed = ", ".join(f"{label} ({n})" for label, n in self.unmapped.items())
            told += f"; labels without a mapping, kept but not compared: {listed}"
        return told + (f"; {self.n_unlabelled} without a label, kept but not compared" if self.n_unlabelled else "")


def load_reference(declaration: Declaration, override: str | None = None) -> Reference:
    """Return the recipe's reference, or the one at `override`.

    Args:
        declaration: the recipe; its mapping holds for another data file too.
        override: a data file, or a YAML file with path, text, label, id and labels of its own.

    Raises:
        ReferenceFileError: the file is missing or unreadable, a mapped column is not there, or it holds no text.
    """
    declared, folder = declaration.recipe.reference, declaration.folder
    if override is not None:
        path = Path(override).expanduser().resolve()
        if path.suffix in {".yaml", ".yml"}:
            declared, folder = _read_mapping(path), path.parent
        elif declared is None:
            raise ReferenceFileError(
                "the recipe maps no reference columns",
                where=override,
                fix="pass a YAML file with path, text and label",
            )
        else:
            declared = declared.model_copy(update={"path": str(path)})
    if declared is None:
        return Reference(REFERENCE.empty(), "none declared", {}, 0)
    file = folder / declared.path
    return _map(_read(file), declared, file, declaration.recipe.labels)


def _read_mapping(path: Path) -> ReferenceDeclaration:
    try:
        return ReferenceDeclaration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReferenceFileError(f"cannot be read: {error}", where=str(path), fix="mend the YAML") from error
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "mapping"
        raise ReferenceFileError(
            f"{field}: {fault['msg']}", where=str(path), fix="give path, text, label and id"
        ) from None


def _read(file: Path) -> pl.DataFrame:
    if file.suffix not in READERS:
        raise ReferenceFileError(
            f"ending {file.suffix!r} is not known",
            where=str(file),
            fix=f"save it as one of {', '.join(READERS)}",
        )
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ReferenceFileError(f"larger than {MAX_BYTES:,} bytes", where=str(file), fix="pass a sample of it")
        return READERS[file.suffix](file)
    except FileNotFoundError:
        raise ReferenceFileError("no such file", where=str(file), fix="correct reference.path or --reference") from None
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ReferenceFileError(
            f"cannot be read: {reason}",
            where=str(file),
            fix=f"save it as valid UTF-8 {file.suffix[1:].upper()}",
        ) from error


def _read_csv(file: Path) -> pl.DataFrame:
    return pl.read_csv(file, infer_schema=False)


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _read_csv,
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
    ".parquet": pl.read_parquet,
}


def _map(raw: pl.DataFrame, declared: ReferenceDeclaration, file: Path, labels: Sequence[str]) -> Reference:
    text = raw[_column(raw, declared.text, "text", file)].cast(pl.String)
    original = _label_column(raw, declared, file)
    mapping = {label: label for label in labels} | declared.labels
    mapped = original.replace_strict(mapping, default=None, return_dtype=pl.String())
    frame = pl.DataFrame({"label": mapped, "label_original": original, "text": text})
    ids = raw[_column(raw, declared.id, "id", file)].cast(pl.String) if declared.id else None
    kept = frame.with_columns(
        pl.Series("sha256", [sha256_text(one) if one is not None else None for one in text], dtype=pl.String())
    ).with_columns((ids if ids is not None else pl.col("sha256")).alias("example_id"))
    kept = kept.filter(pl.col("text").str.strip_chars() != "")
    if kept.is_empty():
        raise ReferenceFileError("holds no example with a text", where=str(file), fix="map the text column")
    doubled = kept["example_id"].is_duplicated()
    if declared.id and doubled.any():
        one = kept.filter(doubled)["example_id"][0]
        raise ReferenceFileError(
            f"id {one!r} stands twice", where=str(file), fix="make ids unique, or map no id column"
        )
    kept = kept.unique("example_id", keep="first", maintain_order=True)
    unknown = kept.filter(pl.col("label").is_null() & pl.col("label_original").is_not_null())["label_original"]
    counts = unknown.value_counts(sort=True).sort("count", "label_original", descending=[True, False])
    n_unlabelled = kept["label_original"].null_count()
    return Reference(REFERENCE.check(kept), str(file), dict(counts.iter_rows()), n_unlabelled)


def _label_column(raw: pl.DataFrame, declared: ReferenceDeclaration, file: Path) -> pl.Series:
    if declared.label is None:
        return pl.Series("label_original", [None] * raw.height, dtype=pl.String())
    return raw[_column(raw, declared.label, "label", file)].cast(pl.String)


def _column(raw: pl.DataFrame, wanted: str | list[str], field: str, file: Path) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    for name in names:
        if name in raw.columns:
            return name
    raise ReferenceFileError(
        f"reference.{field}: no column {' or '.join(map(repr, names))}; the file has {', '.join(raw.columns)}",
        where=str(file),
        fix=f"map reference.{field} to one of them in the recipe",
    )
