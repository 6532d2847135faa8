"""The verbs: what they print, where, and what they exit with."""

from conftest import REPOSITORY, Lepton


def test_a_valid_pipeline_is_said_to_have_no_mistakes(lepton: Lepton) -> None:
    done = lepton("validate", REPOSITORY / "pipelines" / "medical_diagnosis.yaml")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.endswith("5 steps, no mistakes\n")
