"""The flow of a sweep: building, training, keeping, sending to workers."""

import base64
import json

import torch
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Generator, Tensor

import boltzgen
from boltzgen.base import Density
from boltzgen.config import from_mapping, to_mapping
from boltzgen.errors import CorruptFileError
from boltzgen.flows import Flow
from boltzgen.flows.lattice import (
    LatticeLayout,
    ParityNetwork,
    SinhArcsinh,
    TanhStep,
    TranslationAverage,
    lattice_flow,
)
from boltzgen.objectives import (
    CausalSampler,
    CentralDifference,
    ControlGradient,
    ControlSampler,
    ExpectationTable,
    ForwardKL,
    GradientBalance,
    Huber,
    Ramp,
    ReverseKL,
    Term,
    UniformBox,
    Weighted,
    log_spaced_grid,
)
from boltzgen.protocols import Objective, Target
from boltzgen.random import seeded, spawn
from boltzgen.storage import load_tensors, save_tensors
from boltzgen.training import RandomBatches, Trainer
from pipeline.learning import averaged_weights, learn
from pipeline.run_folder import RunFolder
from sweep.lattice import LatticeConfig
from sweep.settings import FlowConfig, SweepConfig
from systems.ledger import EnergyLedger

_TRANSFORMS: dict[str, type[SinhArcsinh | TanhStep]] = {
    "sinh-arcsinh": SinhArcsinh, "tanh-step": TanhStep,
}  # fmt: skip
_SHOWN = ("nll", "trade_rms", "reverse_kl")


def build_flow(lattice: LatticeConfig, bounds: list[list[float]], config: FlowConfig) -> Flow:
    """Build the flow; call it inside `seeded`.

    Args:
        lattice: The model.
        bounds: Smallest and largest value of each control, two lists of C.
        config: Its size.
    """
    return lattice_flow(
        LatticeLayout(lattice.shape, *bounds), _TRANSFORMS[config.transform](),
        n_couplings=config.n_couplings, n_channels=config.n_channels, n_blocks=config.n_blocks,
        kernel=config.kernel,
    )  # fmt: skip


def bounds_of(config: SweepConfig) -> list[list[float]]:
    """Smallest and largest value of each control."""
    return [[v[0] for v in config.values], [v[-1] for v in config.values]]


def streams(config: SweepConfig) -> list[Generator]:
    """Random streams of a run: first weights, training, data, evaluation."""
    return spawn(Generator().manual_seed(config.seed), 4)


def new_flow(config: SweepConfig) -> Flow:
    """The untrained flow of a run; the same one for the same settings."""
    with seeded(streams(config)[0]):
        return build_flow(config.lattice, bounds_of(config), config.flow)


def build_objective(config: SweepConfig, target: Target) -> Objective:
    """The objective by its name."""
    options = config.learn
    data = Term("forward_kl", ForwardKL())
    if options.objective == "nll":
        return Weighted([data])
    if options.objective == "trade":
        return _trade(config, target, data)
    low, high = bounds_of(config)
    controls: ControlSampler = UniformBox(low, high)
    backward = ReverseKL(target, controls, n_samples=options.batch_size)
    if options.objective == "backward-kl":
        return Weighted([Term("backward_kl", backward)])
    return Weighted([data, Term("backward_kl", backward)])


def _trade(config: SweepConfig, target: Target, data: Term) -> Weighted:
    options, ((low,), (high,)) = config.learn, bounds_of(config)
    known = [value for (value,) in config.data.boundaries]
    grid = log_spaced_grid(low, high, options.n_grid, boundary=known)
    trade = ControlGradient(
        target, sampler=CausalSampler(grid, strength=0.0),
        table=ExpectationTable(grid, n_samples=options.table_samples, every=options.table_every),
        n_points=options.batch_size, derivative=CentralDifference(), penalty=Huber(options.huber),
    )  # fmt: skip
    terms = [data, Term("trade", trade, 1.0, Ramp(options.warm_up, options.ramp))]
    return Weighted(terms, GradientBalance(len(terms), every=100))


def train_flow(
    run: RunFolder[SweepConfig],
    config: SweepConfig,
    target: Target,
    data: tuple[Tensor, Tensor],
    *,
    device: torch.device,
    show_progress: bool,
) -> float:
    """Fit the flow, or go on from the checkpoint, and write the model file.

    A flow may start from one of another lattice: its weights do not depend on the size.

    Returns:
        Seconds of training, those of earlier pieces included.
    """
    flow = new_flow(config)
    if config.start is not None:
        given = RunFolder(config.start, SweepConfig)
        flow.load_state_dict(read_weights(given, config, any_lattice=True))
    flow.to(device)
    x, c = (each.float().to(device) for each in data)
    trainer = Trainer(
        flow, build_objective(config, target),
        RandomBatches(x, c, batch_size=config.learn.batch_size), config.train,
        generator=streams(config)[1],
    )  # fmt: skip
    seconds = learn(
        run, trainer, every=config.checkpoint_every, ledger=EnergyLedger(), shown=_SHOWN,
        show_progress=show_progress,
    )  # fmt: skip
    metadata = {
        "lattice": json.dumps(to_mapping(config.lattice)), "bounds": json.dumps(bounds_of(config)),
        "flow": json.dumps(to_mapping(config.flow)), "version": boltzgen.__version__,
        "seconds": repr(seconds),
    }  # fmt: skip
    save_tensors(run.model, averaged_weights(trainer), metadata)
    return seconds


def read_weights(
    run: RunFolder[SweepConfig], config: SweepConfig, *, any_lattice: bool = False
) -> dict[str, Tensor]:
    """Read the weights of a trained flow, possibly of another lattice of as many dimensions.

    Raises:
        FileNotFoundError: There is no model.
        CorruptFileError: It is damaged or belongs to another model.
    """
    tensors, metadata = load_tensors(run.model)
    expected = {
        "lattice": to_mapping(config.lattice), "bounds": bounds_of(config),
        "flow": to_mapping(config.flow),
    }  # fmt: skip
    if any_lattice:
        there = from_mapping(json.loads(metadata.get("lattice", "{}")), LatticeConfig)
        same = (there.kind, len(there.shape)) == (config.lattice.kind, len(config.lattice.shape))
        if not same:
            raise ValueError(
                f"--start: expected a flow of {config.lattice.kind} in {len(config.lattice.shape)} "
                f"dimensions, got one of {there.name}"
            )
        del expected["lattice"]
    for name, value in expected.items():
        if json.loads(metadata.get(name, "null")) != json.loads(json.dumps(value)):
            raise CorruptFileError(
                f"{run.model}: expected a flow for {name} {value}, got {metadata.get(name)}"
            )
    return tensors


def training_seconds(run: RunFolder[SweepConfig]) -> float:
    """Seconds that the training of a finished flow took."""
    return float(load_tensors(run.model)[1]["seconds"])


def pack(weights: dict[str, Tensor]) -> str:
    """Weights as text, which travels to workers inside the description of a point."""
    return base64.b64encode(save_bytes(weights)).decode("ascii")


def unpack(
    text: str, lattice: LatticeConfig, bounds: list[list[float]], config: FlowConfig
) -> Density:
    """The trained flow, exact under all symmetries, in float64 but for its networks."""
    with seeded(Generator().manual_seed(0)):
        flow = build_flow(lattice, bounds, config)
    flow.load_state_dict(load_bytes(base64.b64decode(text)))
    average = TranslationAverage(flow).double().eval()
    for module in average.modules():
        if isinstance(module, ParityNetwork):
            module.float()  # exact all the same, and four times faster: see the class
    return average
