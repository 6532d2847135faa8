"""Errors without secrets, before anybody prints or writes them."""

from __future__ import annotations

from dataclasses import replace

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.errors import ClusterError, LeptonError, RunError, UserError


def redacted(error: LeptonError, redactor: Redactor) -> LeptonError:
    """The same error, its texts redacted."""
    match error:
        case UserError():
            return UserError(
                replace(each, found=redactor.text(each.found), fix=redactor.text(each.fix))
                for each in error.mistakes
            )
        case RunError():
            return RunError(
                redactor.text(error.what),
                fix=redactor.text(error.fix),
                step=error.step,
                file=None if error.file is None else redactor.text(error.file),
                partition=error.partition,
            )
        case ClusterError():
            return ClusterError(redactor.text(str(error)))
    return error
