"""What a report tells: everything is computed already."""

from dataclasses import dataclass, field

from boltzgen.flows.free_form import RoundTrip
from pipeline.angles import AnglePair
from pipeline.evaluation import AtTemperature, Evaluation, Frames
from pipeline.reference import Agreement
from pipeline.settings import RunConfig


@dataclass(frozen=True)
class Story:
    """All that a report tells; certificates of a free-form flow by temperature in K."""

    config: RunConfig
    evaluation: Evaluation
    agreement: Agreement | None
    frames: dict[float, Frames]
    angles: AnglePair | None
    history: list[dict[str, float]]
    warnings: list[str]
    energy_calls: dict[str, int]
    seconds: dict[str, float]
    command: str
    certificates: dict[float, RoundTrip] = field(default_factory=dict)


def shown_points(story: Story) -> list[AtTemperature]:
    """First, middle and last temperature."""
    points = story.evaluation.points
    return [points[i] for i in sorted({0, len(points) // 2, len(points) - 1})]
