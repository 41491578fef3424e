"""Pictures and bars of block characters, for a terminal of 80 columns. Used by examples/demo.py."""

import sys

SHADES = " ░▒▓█"
LEVELS = "▁▂▃▄▅▆▇█"
ACROSS = 4  # pictures side by side, each 16 columns wide


def tolerate():
    """Print ? for characters that the terminal's encoding does not have, instead of raising an error."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def pictures(rows, captions):
    """Print pictures of 8 by 8 pixels from 0 to 1 side by side, with a caption below each. A pixel is two columns."""
    for lines in zip(*rows.reshape(-1, 8, 8), strict=True):
        print("   ".join("".join(SHADES[round(4 * float(pixel))] * 2 for pixel in line) for line in lines).rstrip())
    print("   ".join(f"{caption:^16}" for caption in captions).rstrip() + "\n")


def bars(values, low, lines=6):
    """Print a bar for the value of each epoch, from `low` to 1."""
    heights = [round(8 * lines * max(0.0, (value - low) / (1 - low))) for value in values]
    for line in reversed(range(lines)):
        parts = [min(max(height - 8 * line, 0), 8) for height in heights]
        name = {lines - 1: "100%", 0: f"{low:.0%}"}.get(line, "")
        print(f"{name:>5} " + " ".join(2 * (LEVELS[part - 1] if part else " ") for part in parts).rstrip())
    print("      " + " ".join(f"{epoch:2}" for epoch in range(1, len(values) + 1)) + "  epochs\n")
