"""Completion in real shells: what is typed becomes a command, an option, the name of a suite or a board."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness.arguments import parser
from harness.cli import main

TYPED = {
    "pacbench compl": "pacbench completion",
    "pacbench run stand": "pacbench run standard",
    "pacbench run my_": "pacbench run my_suite.toml",
    "pacbench compare x --board stand": "pacbench compare x --board standard",
    "pacbench run quick --retry": "pacbench run quick --retry-failed",
    "pacbench status ru": "pacbench status runs/",
}


@pytest.fixture
def script(tmp_path, capsys, monkeypatch):
    """script(shell): the path of its script, beside a suite file and a folder."""
    (tmp_path / "my_suite.toml").write_text("")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(shell, name="script"):
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} here")
        assert main(["completion", shell]) == 0
        (tmp_path / name).write_text(capsys.readouterr().out)
        return tmp_path / name

    return write


class Terminal:
    """An interactive shell with a terminal of its own."""

    def __init__(self, *command):
        self.shown = ""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execvpe(command[0], command, os.environ | {"TERM": "dumb", "PS1": "ready> ", "PROMPT": "ready> "})

    def until(self, text, seconds=60):
        """What the shell shows next, up to a text."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} never came after {self.shown!r}"
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.shown += os.read(self.terminal, 65536).decode(errors="replace")
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def close(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


def completes(terminal):
    """Type the beginning of each command and a tab, then a comment sign, so that nothing runs."""
    for typed, expected in TYPED.items():
        terminal.type(f"{typed}\t#")
        assert expected in terminal.until("#"), typed
        terminal.type("\x15")  # the line is cleared


def test_bash_completes(script):
    terminal = Terminal("bash", "--norc", "--noprofile", "-i")
    try:
        terminal.until("ready> ")
        terminal.type(f"source {script('bash')}; echo loa''ded\n")
        terminal.until("loaded")
        terminal.until("ready> ")
        completes(terminal)
    finally:
        terminal.close()


def test_zsh_completes(script):
    """The script lies on zsh's path for functions, as its first lines say."""
    path = script("zsh", "_pacbench")
    terminal = Terminal("zsh", "-f", "-i")
    try:
        terminal.type(f"fpath=({path.parent} $fpath); autoload -Uz compinit; compinit -u -D; echo loa''ded\n")
        terminal.until("loaded")
        terminal.until("ready> ")
        completes(terminal)
    finally:
        terminal.close()


def test_fish_completes(script):
    path = script("fish")
    for typed, expected in TYPED.items():
        command = ["fish", "--no-config", "-c", f"source {path}; complete -C '{typed}'"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert expected.split()[-1] in [line.split("\t")[0] for line in said.splitlines()], typed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_is_in_the_script(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    commands = next(action.choices for action in parser()._actions if action.dest == "command")
    assert [command for command in commands if command not in script] == []
