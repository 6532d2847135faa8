"""What a plan says, and that making one computes nothing."""

from pathlib import Path

from lepton_dask.run.pipeline import load_and_plan

REPOSITORY = Path(__file__).parent.parent


def test_a_plan_names_its_steps_in_order() -> None:
    plan = load_and_plan(REPOSITORY / "pipelines" / "medical_diagnosis.yaml").plan
    assert [step.name for step in plan.steps] == ["cells", "parts", "features", "model", "scores"]
