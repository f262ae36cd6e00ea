"""OmniBench: questions about a picture and a sound together, asked and scored."""
