"""Written answers: which of some options they choose."""
