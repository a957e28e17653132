"""Datasets read the folders of their publications; strange files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rushlight.vision.datasets as ours
from rushlight.vision.datasets.flow import read_flo, read_pfm
from rushlight.vision.datasets.listed import inside
from tests.vision.beside.trees import CASES, plain, plant, samples

COUNTS = {
    "Cityscapes": 1, "CREStereo": 8, "Flickr8k": 1, "FlyingThings3D": 4, "Kitti": 1,
    "MovingMNIST": 3, "Sintel": 4, "SintelStereo": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    plant(root)
    return root


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_reads_its_folders(name: str, planted: Path) -> None:
    count, found = samples(ours, planted, name)
    assert count == len(found) == COUNTS.get(name, 2)


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_gives_what_torchvision_gives(
    name: str, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = pytest.importorskip("torchvision.datasets")
    # The tiny archive's sum is not that of the large one.
    monkeypatch.setattr(theirs.omniglot, "check_integrity", lambda *args, **options: True)
    assert samples(ours, planted, name) == samples(theirs, planted, name)


def test_classes_are_numbered_in_the_order_of_their_list(planted: Path) -> None:
    aircraft = ours.FGVCAircraft(planted)
    assert aircraft.class_to_idx == {"707-320": 0, "A 340": 1}
    assert [aircraft[i][1] for i in range(2)] == [1, 0]
    assert ours.SUN397(planted).class_to_idx == {"abbey": 0, "bow/indoor": 1}


def test_a_species_has_a_number_for_each_rank(planted: Path) -> None:
    species = ours.INaturalist(planted, target_type=["full", "class", "family"])
    assert [species[i][1] for i in range(2)] == [(0, 0, 0), (1, 0, 1)]
    assert species.category_name("family", 1) == "F"


def test_faces_have_boxes_and_facts(planted: Path) -> None:
    notes = ours.WIDERFace(planted)[0][1]
    assert notes["bbox"].tolist() == [[0, 1, 2, 3]] * 2
    assert notes["invalid"].tolist() == [9, 9]


def test_flows_are_read_as_they_were_written(planted: Path) -> None:
    flow = ours.Sintel(planted)[0][2]
    path = planted / "Sintel/training/flow/alley_1/frame_0.flo"
    wanted = np.frombuffer(path.read_bytes()[12:], "<f4").reshape(7, 9, 2)
    assert np.array_equal(flow, wanted.transpose(2, 0, 1))


def test_transforms_see_image_and_target(planted: Path) -> None:
    made = ours.DTD(planted, transform=lambda image: image.size, target_transform=str)
    assert made[0] == ((9, 7), "0")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for make in (ours.DTD, ours.Omniglot, ours.Cityscapes, ours.Kitti, ours.MovingMNIST):
        with pytest.raises(RuntimeError, match="not found"):
            make(tmp_path)
    with pytest.raises(FileNotFoundError):
        ours.Sintel(tmp_path)


def test_unknown_splits_are_errors(planted: Path) -> None:
    with pytest.raises(ValueError, match="split"):
        ours.DTD(planted, "validation")
    with pytest.raises(ValueError, match="partition"):
        ours.DTD(planted, partition=11)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PIEH", b"PIEH" + np.array([2**30, 2**30], "<i4").tobytes(),
        b"PIEH" + np.array([-1, 4], "<i4").tobytes() + bytes(64),
    ],
)  # fmt: skip
def test_a_flow_file_that_lies_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.flo"):
        read_flo(path)


@pytest.mark.parametrize(
    "content", [b"", b"Pf\n9 7\n-1.0\n", b"Pf\n0 7\n-1.0\n", b"PG\n1 1\n1\n0000"]
)
def test_a_pfm_file_that_lies_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pfm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pfm"):
        read_pfm(path)


def test_a_list_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    for name in ("../x.jpg", "/etc/passwd", "a/../../x.jpg"):
        with pytest.raises(ValueError, match="outside"):
            inside(tmp_path, name)


def test_faces_in_the_wild_come_alone_and_in_pairs(planted: Path) -> None:
    base = planted / "lfw-py"
    for name in ("Ann_A/Ann_A_0001.jpg", "Ann_A/Ann_A_0002.jpg", "Bob_B/Bob_B_0001.jpg"):
        path = base / "lfw_funneled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((planted / "dtd/dtd/images/banded/b_1.jpg").read_bytes())
    (base / "lfw-names.txt").write_text("Ann_A\t2\nBob_B\t1\n")
    (base / "people.txt").write_text("2\n1\nAnn_A\t2\n1\nBob_B\t1\n")
    (base / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nAnn_A\t1\tBob_B\t1\n")
    assert ours.LFWPeople(planted).targets == [0, 0, 1]
    pairs = ours.LFWPairs(planted)
    assert pairs.targets == [1, 0]
    assert [plain(image)[0] for image in pairs[1][:2]] == [(7, 9, 3)] * 2


def test_expressions_are_read_from_the_table(tmp_path: Path) -> None:
    face = " ".join(["7"] * 48 * 48)
    (tmp_path / "fer2013").mkdir()
    table = f"emotion,pixels,Usage\n3,{face},Training\n5,{face},PublicTest\n"
    (tmp_path / "fer2013" / "fer2013.csv").write_text(table)
    train, test = ours.FER2013(tmp_path), ours.FER2013(tmp_path, "test")
    assert [train[0][1], test[0][1]] == [3, 5]
    assert np.asarray(train[0][0]).tolist() == [[7] * 48] * 48
