"""One BLAS thread, whoever loads BLAS when."""

import subprocess
import sys

SCRIPT = """
from lepton_dask.learn.blas import pin_blas
pin_blas()
import threadpoolctl
print([each["num_threads"] for each in threadpoolctl.threadpool_info()
       if each["user_api"] == "blas"])
"""


def test_a_process_that_pins_blas_before_anything_else_has_one_thread():
    environment = {"OPENBLAS_NUM_THREADS": "4", "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[1]"
