"""What a user can mend in an evaluation or a report (family: data_pipelines.errors)."""

from data_pipelines.errors import UserError


class EvaluationError(UserError):
    """A data set, a model or a result file does not allow the evaluation asked for."""


class UnansweredError(EvaluationError):
    """A model that is asked left questions without an answer; other tasks may still be measured.

    Every process of an evaluation raises it at the same place, so that all can go on.
    """
