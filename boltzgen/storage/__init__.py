"""Storage: safetensors, HDF5 and JSON, written whole or not at all."""

from boltzgen.storage.checkpoint import load_tensors, save_tensors
from boltzgen.storage.files import read_json, write_atomically, write_json
from boltzgen.storage.inference_data import to_inference_data
from boltzgen.storage.metrics import MetricsLog, read_metrics, truncate_metrics
from boltzgen.storage.samples import Samples, read_samples, write_samples
from boltzgen.storage.u_kn import ReducedEnergies, read_u_kn, to_alchemlyb, write_u_kn

__all__ = [
    "MetricsLog",
    "ReducedEnergies",
    "Samples",
    "load_tensors",
    "read_json",
    "read_metrics",
    "read_samples",
    "read_u_kn",
    "save_tensors",
    "to_alchemlyb",
    "to_inference_data",
    "truncate_metrics",
    "write_atomically",
    "write_json",
    "write_samples",
    "write_u_kn",
]
