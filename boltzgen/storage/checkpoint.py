"""Checkpoints: named tensors and string metadata in safetensors, with a checksum; no pickle."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from boltzgen.errors import CorruptFileError
from boltzgen.storage.files import write_atomically

_CHECKSUM = "sha256"


def save_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata atomically, with the sha256 of both.

    Args:
        path: The file to create or replace.
        tensors: Tensors by name, any shape and dtype; they are written from the CPU.
        metadata: Strings by name; "sha256" is taken.

    Raises:
        ValueError: The metadata hold something else than strings, or the name "sha256".
        OSError: The file could not be written; the previous one is intact.
    """
    wrong = [name for name, value in metadata.items() if not isinstance(value, str)]
    if wrong or _CHECKSUM in metadata:
        raise ValueError(f"metadata: expected strings and no {_CHECKSUM!r}, got {wrong}")
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    labels = {**metadata, _CHECKSUM: _digest(plain, metadata)}
    content = save(plain, labels)
    write_atomically(path, lambda p: _write_bytes(p, content))


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote and verify its checksum.

    Args:
        path: The file.

    Returns:
        Tensors on the CPU by name, and the metadata without the checksum.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: The file is truncated, damaged or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise CorruptFileError(
            f"{path}: not a readable checkpoint, truncated, damaged or of another kind ({error})"
        ) from error
    expected = metadata.pop(_CHECKSUM, None)
    if expected is None:
        raise CorruptFileError(f"{path}: a safetensors file without checksum, not a checkpoint")
    if _digest(tensors, metadata) != expected:
        raise CorruptFileError(f"{path}: content does not match its checksum, the file is damaged")
    return tensors, metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(metadata.items()):
        digest.update(repr((name, value)).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
