"""Tasks that read the user's own files: the formats as published, and what is said where the files are others."""

import pickle
from itertools import combinations

import numpy as np
import pytest
import torch

from harness.data import content_hash, size
from harness.errors import UserError
from harness.plan import facts
from harness.settings import build
from harness.task import check_task_class
from tasks import TASKS
from tasks.celeba import CelebA
from tasks.cifar import Cifar
from tasks.image_folder import ImageFolder
from tests.tasks.published import python2_pickle, write_celeba, write_cifar, write_folders

SPLITS = ("source_train", "source_test", "target_pool", "target_test")
BOTH = {"source": ["cat", "dog"], "target": ["cat", "dog"]}


@pytest.fixture(params=["celeba", "celeba resnet18", "cifar", "image_folder"])
def loaded(request, tmp_path):
    """Each task on small files of its format."""
    folder = tmp_path / "data"
    if request.param.startswith("celeba"):
        write_celeba(folder)
        size = "resnet18" if request.param.endswith("18") else "small"
        return CelebA(folder=str(folder), images=20, network_size=size)
    if request.param == "cifar":
        write_cifar(folder)
        return Cifar(folder=str(folder))
    write_folders(folder, BOTH)
    return ImageFolder(folder=str(folder))


def test_the_contract_holds_on_small_files(loaded):
    """Complete, the same at every call, without an image in two splits, and trained by a loss that reaches all."""
    check_task_class(type(loaded), "here")
    assert TASKS[loaded.name] is type(loaded)
    data = loaded.datasets()
    assert content_hash(vars(data)) == content_hash(vars(loaded.datasets()))
    rows = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in SPLITS}
    assert not any(rows[one] & rows[other] for one, other in combinations(SPLITS, 2))
    network, head = loaded.network(), loaded.new_head()
    parts = (*loaded.blocks(network), loaded.head)
    named = [f"{part}.{n}" for part in parts for n, _ in network.get_submodule(part).named_parameters()]
    assert named == [name for name, _ in network.named_parameters()]
    for problem in (data.source_train, data.target_pool):
        loss = loaded.loss(network, {name: tensor[:8] for name, tensor in problem.items()})
        loss.backward()
        assert loss.isfinite()
        assert all(parameter.grad is not None for parameter in network.parameters())
        if head is not None:
            network.set_submodule(loaded.head, head)
    predictions = loaded.predict(network, data.target_test)
    assert 0 <= loaded.score(predictions, data.target_test) <= 1


def test_where_the_data_lie_is_part_of_no_name_and_no_key(loaded, tmp_path):
    """A campaign goes on after the folder has moved, and its record names no folder."""
    moved = (tmp_path / "data").rename(tmp_path / "elsewhere")
    other = build(type(loaded), {**vars(loaded), "folder": str(moved)}, "here")
    assert other.id == loaded.id
    assert other.parameters() == loaded.parameters()
    assert "folder" not in other.parameters()
    assert "folder" not in other.source_parameters()
    assert facts(other).data_hash == content_hash(vars(other.datasets()))


def test_celeba_is_read_as_published(tmp_path):
    """Parts make the splits, the first twenty attributes the source and the others the target."""
    attributes = write_celeba(tmp_path / "data")
    data = CelebA(folder=str(tmp_path / "data"), images=20, size=178).datasets()
    assert [size(getattr(data, name)) for name in SPLITS] == [20, 2, 4, 4]
    for name, first, half in (
        ("source_train", 1, slice(0, 20)),
        ("source_test", 21, slice(0, 20)),
        ("target_pool", 31, slice(20, 40)),
        ("target_test", 43, slice(20, 40)),
    ):
        examples = getattr(data, name)
        for place in range(size(examples)):
            given = attributes[f"{first + place:06}.jpg"]
            assert examples["targets"][place].tolist() == (given[half] > 0).tolist()
            bright = examples["inputs"][place].float().mean() > 125
            assert bool(bright) == bool(given[0] > 0)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("dataset", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_is_read_as_published(tmp_path, dataset, classes, binary):
    """Lower classes are the source, upper classes counted from 0 the target; every pixel is where the file has it."""
    (train, train_labels), (test, test_labels) = write_cifar(tmp_path / "data", dataset, each=100, binary=binary)
    data = Cifar(folder=str(tmp_path / "data"), dataset=dataset).datasets()
    half = classes // 2
    for name, images, labels, upper in (
        ("source_train", train, train_labels, False),
        ("source_test", test, test_labels, False),
        ("target_pool", train, train_labels, True),
        ("target_test", test, test_labels, True),
    ):
        chosen = (labels >= half) == upper
        examples = getattr(data, name)
        assert np.array_equal(examples["inputs"].numpy(), images[chosen])
        assert np.array_equal(examples["targets"].numpy(), labels[chosen] % half)


class Malicious:
    """A pickle that writes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_is_read_without_running_it(tmp_path):
    write_cifar(tmp_path / "data")
    (tmp_path / "data" / "data_batch_3").write_bytes(pickle.dumps({b"data": Malicious(tmp_path / "ran")}, protocol=2))
    with pytest.raises(UserError, match=r"data_batch_3.*asks for (_io|io)\.open, which data do not need"):
        Cifar(folder=str(tmp_path / "data")).datasets()
    assert not (tmp_path / "ran").exists()


def test_folders_are_read_with_their_classes(tmp_path):
    """A label is the class's place by name; pictures below a class count; no picture is lost or taken twice."""
    write_folders(tmp_path, {"art": ["cat", "dog"], "photo": ["bird", "cat", "dog"]})
    task = ImageFolder(folder=str(tmp_path), source="art", target="photo")
    data = task.datasets()
    assert [size(getattr(data, name)) for name in SPLITS] == [16, 4, 15, 15]
    for names, offset in ((SPLITS[:2], 0), (SPLITS[2:], 20)):
        greys = torch.cat([getattr(data, name)["inputs"][:, 0, 0, 0] for name in names])
        labels = torch.cat([getattr(data, name)["targets"] for name in names])
        assert sorted(greys.tolist()) == list(range(offset, offset + len(greys)))
        assert torch.equal(labels, (greys.long() - offset) // 10)
    assert task.network().head.out_features == 2
    assert task.new_head().out_features == 3
    write_folders(tmp_path / "same", BOTH)
    assert ImageFolder(folder=str(tmp_path / "same")).new_head() is None


def broken_picture(folder):
    write_folders(folder, BOTH)
    next((folder / "source" / "cat").glob("*.png")).write_bytes(b"no picture")


def empty_class(folder):
    write_folders(folder, BOTH)
    (folder / "source" / "owl").mkdir()


def few_attributes(folder):
    write_celeba(folder)
    (folder / "list_attr_celeba.txt").write_text("1\nYoung\n000001.jpg 1\n")


def words_for_parts(folder):
    write_celeba(folder)
    (folder / "list_eval_partition.txt").write_text("000001.jpg train\n")


def missing_picture(folder):
    write_celeba(folder)
    (folder / "img_align_celeba" / "000002.jpg").unlink()


def short_binary(folder):
    write_cifar(folder, binary=True)
    (folder / "data_batch_2.bin").write_bytes(b"1234")


def other_shape(folder):
    write_cifar(folder)
    (folder / "test_batch").write_bytes(python2_pickle({b"data": np.zeros((2, 5), np.uint8), b"labels": [1, 2]}))


FOREIGN = [
    (CelebA, {}, None, "folder is not given; expected the path of CelebA: list_attr_celeba.txt"),
    (CelebA, {"folder": "data"}, None, "'data' is not absolute"),
    (CelebA, {}, "nothing", "is not a folder; expected CelebA"),
    (CelebA, {}, "empty", r"list_attr_celeba.txt: cannot be read .*No such file.*; expected CelebA"),
    (CelebA, {}, few_attributes, "expected 40 attributes for every picture"),
    (CelebA, {}, words_for_parts, r"list_eval_partition.txt: cannot be read \(invalid literal"),
    (CelebA, {}, missing_picture, r"000002.jpg: not a picture that can be read"),
    (Cifar, {}, "empty", r"data_batch_1: cannot be read .*No such file.*; expected CIFAR-10"),
    (Cifar, {"dataset": "cifar100"}, "empty", r"train: cannot be read .*; expected CIFAR-100"),
    (Cifar, {}, short_binary, r"data_batch_2.bin: cannot be read .*; expected CIFAR-10"),
    (Cifar, {}, other_shape, r"test_batch: cannot be read .*uint8 of shape \(2, 5\)"),
    (ImageFolder, {}, "empty", "has no domain 'source'; expected domains"),
    (ImageFolder, {}, broken_picture, r"picture \d.png: not a picture that can be read"),
    (ImageFolder, {}, empty_class, "owl: no picture; expected files ending in .bmp"),
]


@pytest.mark.parametrize(("cls", "given", "files", "message"), FOREIGN)
def test_absent_and_foreign_files_are_one_message(tmp_path, cls, given, files, message):
    folder = tmp_path / "data"
    if files == "empty":
        folder.mkdir()
    elif callable(files):
        files(folder)
    if files is not None:
        given = {**given, "folder": str(folder)}
    with pytest.raises(UserError, match=message) as caught:
        build(cls, given, "tasks[0]").datasets()
    assert "\n" not in str(caught.value)


def test_the_command_says_what_is_wrong_with_a_folder(pacbench, tmp_path):
    """One message that names the task, exit status 2, nothing started."""
    suite = tmp_path / "suite.toml"
    suite.write_text('name = "mine"\ntasks = ["celeba"]\nmethods = ["fine_tuning"]\ntarget_sizes = [25]\n')
    process = pacbench("plan", suite)
    assert process.returncode == 2
    assert "task celeba: folder is not given; expected the path of CelebA" in " ".join(process.stderr.split())
    assert "Traceback" not in process.stderr
