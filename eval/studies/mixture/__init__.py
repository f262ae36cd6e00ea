"""What sources and mixtures of them teach: accuracy against shifted sets, at equal samples."""
