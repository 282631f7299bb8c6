"""Small maps with known inverses, as encoders and decoders of tests."""

from torch import nn


class Scale(nn.Module):
    """factor x."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x, c):
        return self.factor * x


class Bounded(nn.Module):
    """Reaches values between -1 and 1 alone."""

    def forward(self, z, c):
        return z.tanh()
