"""Memory of long computations in many small steps."""

import torch


def keep_freed_memory() -> None:
    """Have the C library keep what a step frees for the next step.

    glibc gives freed blocks above a threshold back to the system, and each page of the next step's
    buffers is a page fault again, a fifth of the time of a training step. The threshold grows to
    the largest block that was freed, up to 32 MB (mallopt(3), M_MMAP_THRESHOLD); so free one.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
