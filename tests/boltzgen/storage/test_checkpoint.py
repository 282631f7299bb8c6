import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from boltzgen.errors import CorruptFileError
from boltzgen.storage import load_tensors, save_tensors


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(4, 3, generator=generator, dtype=torch.float64),
        "half": torch.randn(5, generator=generator).to(torch.bfloat16),
        "scalar": torch.tensor(3),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 2),
        "generator": generator.get_state(),
        "transposed": torch.randn(2, 5, generator=generator).T,
    }


def test_round_trip_is_bit_for_bit(tmp_path):
    path = tmp_path / "a.safetensors"
    original = tensors()
    save_tensors(path, original, {"config": '{"n": 1}', "note": "ä"})
    loaded, metadata = load_tensors(path)
    assert metadata == {"config": '{"n": 1}', "note": "ä"}
    assert set(loaded) == set(original)
    for name, tensor in original.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    resumed = torch.Generator()
    resumed.set_state(loaded["generator"])


def test_shared_memory_and_no_tensors(tmp_path):
    tensor = torch.arange(6.0)
    save_tensors(tmp_path / "a", {"a": tensor, "b": tensor[:3]}, {})
    assert torch.equal(load_tensors(tmp_path / "a")[0]["b"], tensor[:3])
    save_tensors(tmp_path / "b", {}, {"only": "metadata"})
    assert load_tensors(tmp_path / "b") == ({}, {"only": "metadata"})


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "a"
    save_tensors(path, tensors(), {"step": "7"})
    content = path.read_bytes()
    for length in [0, 3, 8, 20, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CorruptFileError, match="truncated, damaged or of another kind"):
            load_tensors(path)


def test_flipped_bits_are_found(tmp_path):
    path = tmp_path / "a"
    save_tensors(path, {"weight": torch.linspace(0, 1, 50)}, {"step": "7"})
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    places = [*rng.integers(header, len(content), 20), content.index(b'"7"') + 1]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(0, 4))
        path.write_bytes(bytes(damaged))
        with pytest.raises(CorruptFileError):
            load_tensors(path)


def test_other_files(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"not a checkpoint at all, but long enough to have a header")
    with pytest.raises(CorruptFileError, match="not a readable checkpoint"):
        load_tensors(path)
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(CorruptFileError, match="without checksum, not a checkpoint"):
        load_tensors(path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        load_tensors(tmp_path / "missing")


def test_bad_metadata(tmp_path):
    with pytest.raises(ValueError, match=r"metadata: expected strings .* got \['step'\]"):
        save_tensors(tmp_path / "a", {}, {"step": 7})
    with pytest.raises(ValueError, match="sha256"):
        save_tensors(tmp_path / "a", {}, {"sha256": "x"})
