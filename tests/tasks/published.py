"""Small data sets in the formats that CelebA, CIFAR and folders of pictures are published in."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image


def write_celeba(folder, parts=(30, 12, 12)):
    """Pictures of 178 x 218 with the attribute and partition files of CelebA; returns the attributes by picture."""
    rng = np.random.RandomState(0)
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, sum(parts) + 1)]
    attributes = {name: rng.choice([-1, 1], 40) for name in names}
    heading = " ".join(f"Attribute_{number}" for number in range(40))
    lines = [f"{name}  " + " ".join(f"{value:2d}" for value in attributes[name]) for name in names]
    (folder / "list_attr_celeba.txt").write_text(f"{len(names)}\n{heading} \n" + "\n".join(lines) + "\n")
    part_of = np.repeat([0, 1, 2], parts)
    listed = [f"{name} {part}" for name, part in zip(names, part_of, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(listed) + "\n")
    for name in names:
        # The first attribute is what the picture's middle shows, so that there is something to learn.
        level = 200 if attributes[name][0] > 0 else 50
        pixels = np.clip(level + rng.randint(-40, 40, (218, 178, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=90)
    return attributes


def python2_pickle(arrays):
    """A dict of arrays and lists of small numbers, byte for byte as Python 2 wrote CIFAR's files (protocol 2)."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def array(value):
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        shape = b"".join(b"J" + struct.pack("<i", size) for size in value.shape) + b"\x86"
        dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
        dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        raw = value.tobytes()
        return made + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"

    def numbers(value):
        return b"](" + b"".join(b"K" + bytes([number]) for number in value) + b"e"

    items = (
        text(name) + (array(value) if isinstance(value, np.ndarray) else numbers(value))
        for name, value in arrays.items()
    )
    return b"\x80\x02}(" + b"".join(items) + b"u."


def write_cifar(folder, dataset="cifar10", each=20, binary=False):
    """CIFAR-10 or CIFAR-100 with few images a file; returns images and labels of the training files and the test."""
    rng = np.random.RandomState(1)
    folder.mkdir(parents=True)
    train = [f"data_batch_{number}" for number in range(1, 6)] if dataset == "cifar10" else ["train"]
    test = "test_batch" if dataset == "cifar10" else "test"
    classes = 10 if dataset == "cifar10" else 100
    made = []
    for name in (*train, test):
        images = rng.randint(0, 256, (each, 3072)).astype(np.uint8)
        labels = rng.permutation(np.arange(each) % classes)
        coarse = [int(label) // 5 for label in labels]
        if binary:
            heads = [labels] if dataset == "cifar10" else [coarse, labels]
            rows = np.column_stack([*(np.array(head, np.uint8) for head in heads), images])
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
        elif dataset == "cifar10":
            (folder / name).write_bytes(python2_pickle({b"data": images, b"labels": labels.tolist()}))
        else:
            held = {b"data": images, b"coarse_labels": coarse, b"fine_labels": labels.tolist()}
            (folder / name).write_bytes(python2_pickle(held))
        made.append((images.reshape(-1, 3, 32, 32), labels))
    return [np.concatenate(part) for part in zip(*made[:-1], strict=True)], made[-1]


def write_folders(folder, domains, each=10):
    """folder/DOMAIN/CLASS/PICTURE; `domains` maps a domain's name to its classes. Every picture is of one grey."""
    grey = 0
    for domain, classes in domains.items():
        for kind in classes:
            (folder / domain / kind / "more").mkdir(parents=True)
            for number in range(each):
                where = folder / domain / kind / ("more" if number % 2 else "")
                Image.new("RGB", (40, 30), (grey % 256,) * 3).save(where / f"picture {number}.png")
                grey += 1
