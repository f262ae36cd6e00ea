"""What a user can mend in an evaluation or a report (family: data_pipelines.errors)."""

from data_pipelines.errors import UserError


class EvaluationError(UserError):
    """A data set, a model or a result file does not allow the evaluation asked for."""
