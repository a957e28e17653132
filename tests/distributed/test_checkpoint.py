"""`distributed.checkpoint` writes folders that PyTorch reads, and reads those that it wrote."""

from __future__ import annotations

import os
import pickle
import warnings

import pytest

import rushlight
import rushlight.distributed.checkpoint as mine

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    theirs = pytest.importorskip("torch.distributed.checkpoint")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def trained(lib):
    """A state as programs save it: of a model, its optimizer, and other things."""
    lib.manual_seed(0)
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    optimizer = lib.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        model(lib.randn(5, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def state(lib, model, optimizer, step):
    return {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
        "parts": [lib.ones(2) * step, {"places": lib.arange(3) + step}], "plain": [1, step],
    }  # fmt: skip


def lists(value):
    if isinstance(value, dict):
        return {str(key): lists(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [lists(inner) for inner in value]
    return value.tolist() if hasattr(value, "tolist") else value


def spoiled(lib):
    """The same state with other values."""
    model, optimizer = trained(lib)
    with lib.no_grad():
        for one in model.parameters():
            one.fill_(7.0)
    return state(lib, model, optimizer, 9)


@pytest.mark.parametrize("writer", ["mine", "theirs"])
@pytest.mark.parametrize("reader", ["mine", "theirs"])
def test_what_one_wrote_the_other_reads(tmp_path, writer, reader):
    lib, checkpoint = (rushlight, mine) if writer == "mine" else (torch, theirs)
    saved = state(lib, *trained(lib), 3)
    checkpoint.save(saved, checkpoint_id=tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".metadata", "__0_0.distcp"]
    lib, checkpoint = (rushlight, mine) if reader == "mine" else (torch, theirs)
    found = spoiled(lib)
    weight = found["model"]["0.weight"]
    checkpoint.load(found, checkpoint_id=tmp_path)
    assert found["model"]["0.weight"] is weight  # filled in place
    assert lists(found) == lists(saved)


def test_objects_with_a_state_give_and_take_it(tmp_path):
    model, optimizer = trained(rushlight)
    mine.save({"model": model, "optimizer": optimizer}, checkpoint_id=tmp_path)
    other, fresh = trained(rushlight)
    with rushlight.no_grad():
        other[0].weight.zero_()
    mine.load({"model": other, "optimizer": fresh}, checkpoint_id=tmp_path)
    assert other[0].weight.tolist() == model[0].weight.tolist()
    assert lists(fresh.state_dict()) == lists(optimizer.state_dict())


def test_a_later_write_does_not_reach_a_checkpoint_under_way(tmp_path):
    weight = rushlight.ones(3)
    future = mine.async_save({"weight": weight}, checkpoint_id=tmp_path)
    weight.zero_()
    assert isinstance(future.result(), mine.Metadata)
    found = {"weight": rushlight.zeros(3)}
    mine.load(found, checkpoint_id=tmp_path)
    assert found["weight"].tolist() == [1.0, 1.0, 1.0]


def test_what_is_missing_or_of_another_shape_is_said(tmp_path):
    mine.save({"weight": rushlight.ones(3)}, checkpoint_id=tmp_path)
    with pytest.raises(RuntimeError, match=r"Missing key in checkpoint state_dict: bias\."):
        mine.load({"bias": rushlight.ones(3)}, checkpoint_id=tmp_path)
    with pytest.raises(ValueError, match="Size mismatch"):
        mine.load({"weight": rushlight.ones(2)}, checkpoint_id=tmp_path)
    both = {"weight": rushlight.zeros(3), "bias": rushlight.full((2,), 5.0)}
    mine.load(
        both, checkpoint_id=tmp_path, planner=mine.DefaultLoadPlanner(allow_partial_load=True)
    )
    assert (both["weight"].sum().item(), both["bias"].tolist()) == (3.0, [5.0, 5.0])
    keeping = mine.FileSystemWriter(tmp_path, overwrite=False)
    with pytest.raises(RuntimeError, match="overwrite=False"):
        mine.save({"weight": rushlight.ones(3)}, storage_writer=keeping)


def test_pieces_of_several_processes_are_put_together(tmp_path):
    # As two processes of PyTorch would have written the rows of one matrix.
    theirs.save({"a": torch.arange(6.0).reshape(2, 3)}, checkpoint_id=tmp_path)
    content = (tmp_path / "__0_0.distcp").read_bytes()
    parts = []
    for row in range(2):
        theirs.save({"a": torch.full((1, 3), float(row))}, checkpoint_id=tmp_path / str(row))
        parts.append((tmp_path / str(row) / "__0_0.distcp").read_bytes())
    assert content
    with open(tmp_path / ".metadata", "rb") as file:
        metadata = pickle.load(file)
    kinds = theirs.metadata
    saved = metadata.state_dict_metadata["a"]
    saved.chunks = [
        kinds.ChunkStorageMetadata(torch.Size([row, 0]), torch.Size([1, 3])) for row in range(2)
    ]
    info = theirs.filesystem._StorageInfo
    metadata.storage_data = {
        kinds.MetadataIndex("a", [row, 0], row): info(f"__{row}_0.distcp", 0, len(part))
        for row, part in enumerate(parts)
    }
    for row, part in enumerate(parts):
        (tmp_path / f"__{row}_0.distcp").write_bytes(part)
    with open(tmp_path / ".metadata", "wb") as file:
        pickle.dump(metadata, file)
    found = {"a": rushlight.zeros(2, 3)}
    mine.load(found, checkpoint_id=tmp_path)
    assert found["a"].tolist() == [[0.0] * 3, [1.0] * 3]


def test_metadata_that_names_anything_else_is_refused(tmp_path):
    (tmp_path / ".metadata").write_bytes(pickle.dumps(os.system))
    with pytest.raises(pickle.UnpicklingError, match="no part of a checkpoint's metadata"):
        mine.load({"a": rushlight.zeros(1)}, checkpoint_id=tmp_path)


def test_a_folder_becomes_a_file_and_a_file_a_folder(tmp_path):
    saved = state(rushlight, *trained(rushlight), 3)
    mine.save(saved, checkpoint_id=tmp_path / "folder")
    mine.format_utils.dcp_to_torch_save(tmp_path / "folder", tmp_path / "file.pt")
    found = torch.load(tmp_path / "file.pt", weights_only=False)
    assert lists(found) == lists(saved)
    mine.format_utils.torch_save_to_dcp(tmp_path / "file.pt", tmp_path / "again")
    again = spoiled(rushlight)
    mine.load(again, checkpoint_id=tmp_path / "again")
    assert lists(again) == lists(saved)


@pytest.mark.parametrize("writes", ["ours", "theirs"])
def test_a_state_is_kept_whole_where_the_planner_says_so(tmp_path, writes):
    lib, module = (rushlight, mine) if writes == "ours" else (torch, theirs)
    given = {"weight": lib.ones(3), "nested": {"a": lib.arange(2), "b": [1, 2]}}
    planner = module.DefaultSavePlanner(flatten_state_dict=False)
    module.save(given, checkpoint_id=tmp_path, planner=planner)
    found = {"weight": rushlight.zeros(3), "nested": {}}
    whole = mine.DefaultLoadPlanner(flatten_state_dict=False)
    mine.load(found, checkpoint_id=tmp_path, planner=whole)
    assert found["weight"].tolist() == [1.0] * 3 and found["nested"]["b"] == [1, 2]
    assert found["nested"]["a"].tolist() == [0, 1]
    other = {"weight": torch.zeros(3), "nested": {}}
    theirs.load(
        other, checkpoint_id=tmp_path, planner=theirs.DefaultLoadPlanner(flatten_state_dict=False)
    )
    assert other["weight"].tolist() == [1.0] * 3


def test_a_planner_of_the_program_is_refused(tmp_path):
    class Own(mine.DefaultSavePlanner):
        def create_local_plan(self):
            return None

    with pytest.raises(NotImplementedError, match="the planner is a Own"):
        mine.save({"a": rushlight.ones(1)}, checkpoint_id=tmp_path, planner=Own())
    with pytest.raises(NotImplementedError, match="use DefaultLoadPlanner"):
        mine.load({}, checkpoint_id=tmp_path, planner=object())
    with pytest.raises(TypeError):
        mine.DefaultSavePlanner(unknown=True)
