"""Times and sizes in words."""

_SIZES = (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def in_time(seconds: int | float) -> str:
    """40 s, 12 min, 3 h 20 min, 2 days 5 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    days, hours = divmod(hours, 24)
    return f"{days:,} days {hours} h"


def in_bytes(number: int | float) -> str:
    """650 bytes, 1.2 MB, 34 GB; powers of ten."""
    for name, size in _SIZES:
        if number >= size:
            scaled = number / size
            return f"{scaled:,.3g} {name}" if scaled < 1000 else f"{scaled:,.0f} {name}"
    return f"{number:,.0f} bytes"
