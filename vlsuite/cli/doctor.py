"""x"""

HELP = "x"
