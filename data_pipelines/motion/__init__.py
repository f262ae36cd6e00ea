"""Clips whose captions differ only in time: sprites that move, drawn and encoded here."""
