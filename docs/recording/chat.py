#!/usr/bin/env python3
"""Makes docs/chat.svg: two people chat in two terminals, which tmux plays, through a postbox on this
machine; the picture is what one of them sees. Needs tmux, rich (pip install rich) and otr in the PATH.

    docs/recording/chat.py
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from record import FORMAT, ROOT

COLUMNS, ROWS = 80, 16


class Terminal:
    def __init__(self, directory, who, command):
        self.socket = f"{directory}/{who}.tmux"
        env = {**os.environ, "OTR_DIR": f"{directory}/{who}", "LC_ALL": "C.UTF-8"}
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        tmux = ["tmux", "-f", "/dev/null", "-S", self.socket, "new-session", "-d", *size, command]
        subprocess.run(tmux, env=env, check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")

    def tmux(self, *command):
        done = subprocess.run(["tmux", "-S", self.socket, *command], check=True, capture_output=True)
        return done.stdout.decode()

    def wait_for(self, text):
        for _ in range(2000):
            shown = "".join(line.rstrip() + "\n" for line in self.tmux("capture-pane", "-p").splitlines())
            if text in shown:
                return shown
            time.sleep(0.01)
        raise SystemExit(f"{text} does not show:\n{shown}")

    def enter(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")


def after(shown, what):
    return shown.split(what)[1].splitlines()[0].strip()


def talk(directory, url):
    """The two; what Bob sees at last, with its colours."""
    with Terminal(directory, "alice", f"otr chat --postbox {url}") as alice:
        code = after(alice.wait_for("the code: "), "the code: ")
        with Terminal(directory, "bob", f"otr chat {code}") as bob:
            return said(alice, bob)


def said(alice, bob):
    alice.wait_for("the four words: ")
    bob.wait_for("the four words: ")
    for one, other, text in [
        (bob, alice, "here I am. What are your four words?"),
        (alice, bob, "not here: I'll call you and read them to you"),
    ]:
        one.enter(text)
        other.wait_for(f"they: {text}")
        one.wait_for(f"you:  {text}\n")
    for one in (alice, bob):
        one.enter("/words same")
        one.wait_for("checked by secret and words")
    alice.enter("good. The draft has three pages, have a look at the second")
    bob.wait_for("second")
    bob.tmux("send-keys", "-l", "give me a minute")
    bob.wait_for("> give me a minute")
    return bob.tmux("capture-pane", "-p", "-e")


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        command = ["otr", "postbox", "--listen", "127.0.0.1:0"]
        postbox = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for line in postbox.stderr:
                if line.startswith("OTR_POSTBOX="):
                    shown = talk(directory, line.strip().split("=", 1)[1])
                    break
        finally:
            postbox.kill()
            postbox.wait()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))
    for line in shown.rstrip("\n").splitlines():
        console.print(Text.from_ansi(line), soft_wrap=False, no_wrap=True)
    svg = console.export_svg(title="otr chat", theme=MONOKAI, code_format=FORMAT)
    (ROOT / "docs/chat.svg").write_text(svg)


if __name__ == "__main__":
    main()
