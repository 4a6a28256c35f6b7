#!/usr/bin/env python3
"""Makes docs/deniability.svg: runs the commands of docs/deniability.md, section "Deniability in your hand", in a
terminal of 80 columns, and draws what they write. Needs rich (pip install rich) and otr in the PATH.

    docs/recording/record.py
"""

import os
import pty
import subprocess
import tempfile
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
SECTION = "## Deniability in your hand\n"
COLUMNS = 80
# The picture asks no other host for a font.
FORMAT = CONSOLE_SVG_FORMAT[: CONSOLE_SVG_FORMAT.index("@font-face")] + CONSOLE_SVG_FORMAT[
    CONSOLE_SVG_FORMAT.index(".{unique_id}-matrix") :
].replace("Fira Code, monospace", "monospace")


def commands():
    """The indented lines of that section."""
    section = (ROOT / "docs/deniability.md").read_text().split(SECTION)[1].split("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def run(command, directory):
    """What the command shows on a terminal."""
    here, there = pty.openpty()
    env = {**os.environ, "OTR_DIR": directory, "COLUMNS": str(COLUMNS)}
    child = subprocess.Popen(
        ["sh", "-c", command], cwd=directory, env=env, stdout=there, stderr=there
    )
    os.close(there)
    shown = b""
    while True:
        try:
            read = os.read(here, 1 << 16)
        except OSError:  # the other end of the terminal was closed
            break
        if not read:
            break
        shown += read
    child.wait()
    os.close(here)
    return shown.decode().replace("\r\n", "\n")


def main():
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        for command in commands():
            console.print(Text("$ ", "bold green") + Text(command, "bold"), soft_wrap=False)
            console.print(Text.from_ansi(run(command, directory)))
    svg = console.export_svg(title="otr", theme=MONOKAI, code_format=FORMAT)
    (ROOT / "docs/deniability.svg").write_text(svg)


if __name__ == "__main__":
    main()
