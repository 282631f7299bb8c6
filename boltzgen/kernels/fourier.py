"""Fourier acceleration: each momentum mode of a periodic field moves on its own scale."""

from torch import Tensor, fft


class FourierScale:
    """A scale that is diagonal in momentum space, for `HMC(scale=...)`.

    The leapfrog runs in the coordinates S^-1 x with S v = F^-1 [s_k F v]; the usual choice is
    s_k = 1 / sqrt(K(k)), K(k) the stiffness of mode k, so that all modes have one period and long
    wavelengths no longer limit the step. It changes the path, never the distribution.

    Args:
        size: s_k, positive and with s_k = s_-k, in the order of `torch.fft.fftn`, of the shape
            of the event.

    Raises:
        ValueError: A size is not finite and positive, or s_k differs from s_-k.

    References:
        Batrouni et al., Phys. Rev. D 32, 2736 (1985); Duane, Kenway, Pendleton and Roweth, Phys.
        Lett. B 176, 143 (1986).
    """

    def __init__(self, size: Tensor) -> None:
        if not bool((size.isfinite() & (size > 0)).all()):
            raise ValueError(f"size: expected finite numbers above 0, got {size.min().item()}")
        axes = tuple(range(size.dim()))
        mirrored = size.flip(axes).roll([1] * size.dim(), axes)
        if not bool((size - mirrored).abs().max() <= 1e-9 * size.max()):
            raise ValueError("size: expected s_k = s_-k, got different values")
        self.size = size

    def __call__(self, v: Tensor) -> Tensor:
        """Apply S to v, (B, *E).

        Raises:
            ValueError: v has another event shape.
        """
        if v.shape[1:] != self.size.shape:
            raise ValueError(
                f"scale: expected event shape {tuple(v.shape[1:])}, got {tuple(self.size.shape)}"
            )
        axes = tuple(range(1, v.dim()))
        return fft.ifftn(fft.fftn(v, dim=axes) * self.size.to(v), dim=axes).real
