"""Which option a written answer chose: our parser, and three published ones frozen as they are."""
