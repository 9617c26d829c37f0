"""Text data on disk: the same rows from every format, and one message for what is missing."""

import json

import pytest

from harness.errors import UserError
from harness.texts import all_files, data_place, labels_of, numbered, read, splits, texts_of
from tests.tasks.checkpoints import labelled, write_saved, write_table

SUFFIXES = [".parquet", ".jsonl", ".csv", ".tsv", ".arrow"]
QUOTED = {"text": ['said "no', "it's, well", "plain"], "label": [0, 1, 0]}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    columns = {**labelled(), "unused": list(range(40))}
    write_table(tmp_path / f"data{suffix}", columns)
    found = read([tmp_path / f"data{suffix}"], ["text", "label"])
    assert found["text"] == columns["text"]
    assert labels_of(found, "label") == list(map(str, columns["label"]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_quotation_marks_are_part_of_a_text(tmp_path, suffix):
    write_table(tmp_path / f"data{suffix}", QUOTED)
    assert read([tmp_path / f"data{suffix}"], ["text"])["text"] == QUOTED["text"]


def test_glues_file_without_a_header_takes_the_names_given(tmp_path):
    (tmp_path / "train.tsv").write_text("gj04\t1\t\tOur friends won't buy \"this.\ngj05\t0\t*\tOne more.\n")
    found = read([tmp_path / "train.tsv"], ["sentence", "label"], ["source", "label", "star", "sentence"])
    assert found == {"sentence": ["Our friends won't buy \"this.", "One more."], "label": ["1", "0"]}


def test_splits_are_found_as_the_formats_name_them(tmp_path):
    saved, hub, glue, halves = (tmp_path / name for name in ("saved", "hub", "glue", "halves"))
    write_saved(saved / "train", labelled())
    write_saved(saved / "test", labelled())
    for folder in (hub, glue, halves):
        folder.mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        write_table(hub / f"{name}.parquet", labelled())
    for name in ("train", "dev", "training_notes"):
        write_table(glue / f"{name}.tsv", labelled())
    write_table(halves / "some.csv", labelled())

    def names(place, test=""):
        return [[path.name for path in part] for part in splits(place, "train", test)]

    assert names(saved) == [["data-00000-of-00001.arrow"]] * 2
    assert names(hub) == [
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        ["validation-00000-of-00001.parquet"],
    ]
    assert names(glue) == names(glue, "dev") == [["train.tsv"], ["dev.tsv"]]
    assert names(halves) == [["some.csv"], []]
    assert names(saved / "train") == [["data-00000-of-00001.arrow"], []]
    with pytest.raises(UserError, match=r"no split 'test_matched'; it holds dev.tsv, train.tsv, training_notes.tsv"):
        splits(glue, "train", "test_matched")
    with pytest.raises(UserError, match=r"no split 'fit'"):
        splits(glue, "fit", "")


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    for suffix in SUFFIXES:
        path = tmp_path / f"data{suffix}"
        write_table(path, labelled())
        with pytest.raises(UserError, match=f"data{suffix}: no column 'sentence'; its columns: text, label"):
            read([path], ["sentence", "label"])


def damaged_saved(folder):
    write_saved(folder, labelled())
    (folder / "data-00000-of-00001.arrow").unlink()
    return all_files(folder)


def reordered(folder):
    write_saved(folder, labelled())
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "indices.arrow"}]}))
    return all_files(folder)


def cut(folder):
    folder.mkdir()
    write_table(folder / "data.parquet", labelled())
    (folder / "data.parquet").write_bytes((folder / "data.parquet").read_bytes()[:-20])
    return read([folder / "data.parquet"], ["text"])


def uneven(folder):
    folder.mkdir()
    (folder / "data.tsv").write_text("text\tlabel\nfine\t1\ntoo\tmany\tcells\n")
    return read([folder / "data.tsv"], ["text"])


def no_text(folder):
    folder.mkdir()
    write_table(folder / "data.parquet", {"text": ["a", None]})
    return texts_of(read([folder / "data.parquet"], ["text"]), "text", [folder / "data.parquet"])


def nothing(folder):
    folder.mkdir()
    return all_files(folder)


HOSTILE = [
    (damaged_saved, "data-00000-of-00001.arrow: missing, though state.json lists it"),
    (reordered, r"rows are picked by an index file; save the data set after flatten_indices\(\)"),
    (cut, "data.parquet: cannot be read as parquet"),
    (uneven, "data.tsv: cannot be read as tsv .*Expected 2 columns, got 3"),
    (no_text, "column 'text', row 2: None is no text"),
    (nothing, "no data; expected files ending in .parquet"),
]


@pytest.mark.parametrize(("made", "message"), HOSTILE)
def test_damaged_data_are_one_message(tmp_path, made, message):
    with pytest.raises(UserError, match=message) as caught:
        made(tmp_path / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [("", "data is not given"), ("data.csv", "is not absolute"), ("/no/such/data.csv", "does not exist")],
)
def test_a_place_that_is_none_is_one_message(given, message):
    with pytest.raises(UserError, match=message):
        data_place(given, "data")


def test_a_label_outside_is_named():
    assert numbered(["b", "a", "b"], ["a", "b"], "here").tolist() == [1, 0, 1]
    with pytest.raises(UserError, match="here: label '-1' is not one of 0, 1; name another split or file"):
        numbered(["0", "-1"], ["0", "1"], "here")
    with pytest.raises(UserError, match="here: a row without a label"):
        numbered(["0", ""], ["0", "1"], "here")
