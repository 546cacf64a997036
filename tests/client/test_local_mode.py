"""Local mode: a folder is the address, and its server comes and goes by itself. With real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.test_process_life import PATIENT
from tests.support.server import ServerProcess

from runwire import Client, errors
from runwire._local import file_system, socket_path

# Logs one point to the folder that is the default, and says which server took it.
LOG_ONE = """
import json, pathlib
import runwire
with runwire.start_run() as run:
    runwire.log_metric("loss", 0.5, step=3)
print(run.info.run_id, json.loads(pathlib.Path("runwire-data/server.json").read_text())["pid"])
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with a runtime folder; servers that are still there are ended."""
    # Not below tmp_path, whose own path may be too long for a socket's.
    runtime = tempfile.mkdtemp(prefix="rw")
    os.chmod(runtime, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    for name in [name for name in os.environ if name.startswith("RUNWIRE_SERVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for pointer in tmp_path.rglob("server.json"):
        server = pid_of(pointer.parent)
        if alive(server):
            os.kill(server, signal.SIGKILL)
            gone(server)
    shutil.rmtree(runtime)


def pid_of(folder: Path) -> int:
    """Returns the pid of the server of a folder."""
    return int(json.loads((folder / "server.json").read_text())["pid"])


def alive(pid: int) -> bool:
    """Says whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> None:
    """Waits until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with open(descriptor, "rb") as file:
        # Readable when the process has ended.
        waiting = select.select([file], [], [], 120)
        assert waiting[0], f"process {pid} does not end"


def script(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a program in the current folder."""
    command = [sys.executable, "-W", "error", "-c", PATIENT + code, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Waits for a program, and returns what it printed."""
    said, complained = process.communicate(timeout=400)
    assert (process.returncode, complained) == (0, "")
    return said


def test_the_first_use_starts_a_server_that_outlives_the_program(place: Path) -> None:
    run_id, pid = finished(script(LOG_ONE)).split()
    assert alive(int(pid))
    # Nobody's child, so that no program waits for it, and no terminal ends it.
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(stat[3]) != os.getsid(0)
    again, same = finished(script(LOG_ONE)).split()
    assert (again != run_id, same) == (True, pid)
    with Client() as client:
        assert client.address == str(place / "runwire-data")
        assert client.get_run(run_id).data.metrics == {"loss": 0.5}
        assert client.get_run(again).info.status == "FINISHED"
    log = (place / "runwire-data" / "server.log").read_text()
    assert log.count("\n") == 1
    assert "ready at unix:" in log


def test_only_this_user_can_open_the_socket(place: Path) -> None:
    finished(script(LOG_ONE))
    socket = socket_path(place / "runwire-data")
    assert socket.is_socket()
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o777 == 0o700


def test_twenty_programs_at_once_share_one_server(place: Path) -> None:
    programs = [script(LOG_ONE) for _ in range(20)]
    said = [finished(program).split() for program in programs]
    assert len({pid for _, pid in said}) == 1
    assert (place / "runwire-data" / "server.log").read_text().count("ready at") == 1
    with Client() as client:
        assert len(client.search_runs(["0"], "metrics.loss = 0.5", max_results=100)) == 20


def test_two_folders_have_two_servers(place: Path) -> None:
    with Client("./a") as a, Client(str(place / "b")) as b:
        run = a.create_run("0").info.run_id
        with pytest.raises(errors.NotFound):
            b.get_run(run)
    assert pid_of(place / "a") != pid_of(place / "b")


def test_one_folder_by_two_names_has_one_server(place: Path) -> None:
    (place / "link").symlink_to(place / "real", target_is_directory=True)
    (place / "real").mkdir()
    with Client("./link") as one, Client("./real") as other:
        run = one.create_run("0").info.run_id
        assert other.get_run(run).info.run_id == run


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_of_two_hundred_characters(kind: str, place: Path) -> None:
    folder = place / ("long-" * 12) / ("name-" * 30)
    assert len(str(folder)) > 200
    with connect(kind, str(folder)) as client:
        assert client.create_run("0").info.run_id
    assert (folder / "runwire.db").exists()


def test_it_leaves_when_its_last_client_has_gone(place: Path) -> None:
    os.environ["RUNWIRE_SERVER_IDLE_EXIT"] = "0.5"
    try:
        _, pid = finished(script(LOG_ONE)).split()
        gone(int(pid))
        assert not (place / "runwire-data" / "server.json").exists()
        assert not socket_path(place / "runwire-data").exists()
        # And it was an orderly end: nothing is left to recover.
        assert not (place / "runwire-data" / "runwire.db-wal").exists()
        _, next_pid = finished(script(LOG_ONE)).split()
        gone(int(next_pid))
    finally:
        del os.environ["RUNWIRE_SERVER_IDLE_EXIT"]
    assert "Traceback" not in (place / "runwire-data" / "server.log").read_text()


def test_it_stays_while_a_client_is_connected(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWIRE_SERVER_IDLE_EXIT", "0.2")
    with Client() as client:
        client.server_info()
        pid = pid_of(place / "runwire-data")
        # Another folder's server comes and goes meanwhile, which takes longer than this one may be idle.
        with Client("./other") as other:
            other.server_info()
            brief = pid_of(place / "other")
        gone(brief)
        client.server_info()
        assert pid_of(place / "runwire-data") == pid
    gone(pid)


def test_programs_that_meet_a_leaving_server(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that leave after 50 ms, and programs that come all the time: every call is answered."""
    monkeypatch.setenv("RUNWIRE_SERVER_IDLE_EXIT", "0.05")
    for _ in range(3):
        for program in [script(LOG_ONE) for _ in range(4)]:
            finished(program)
    with Client() as client:
        assert len(client.search_runs(["0"], "metrics.loss = 0.5", max_results=100)) == 12
        pid = pid_of(place / "runwire-data")
    gone(pid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_server_is_replaced_at_the_next_call(kind: str, place: Path) -> None:
    with connect(kind, "./runwire-data") as client:
        run = client.create_run("0").info.run_id
        for step in range(3):
            client.log_metric(run, "loss", 0.5, step=step)
            # Sees all that was logged, from whichever server.
            assert client.get_metric_history(run, "loss").steps.tolist() == list(range(step + 1))
            pid = pid_of(place / "runwire-data")
            os.kill(pid, signal.SIGKILL)
            gone(pid)
        client.log_metric(run, "loss", 0.5, step=3)
        assert client.get_metric_history(run, "loss").steps.tolist() == [0, 1, 2, 3]


def test_a_server_that_is_stopped_is_replaced(place: Path) -> None:
    with Client() as client:
        run = client.create_run("0").info.run_id
        for step in range(3):
            client.log_metric(run, "loss", 0.5, step=step)
            assert client.get_metric_history(run, "loss").steps.tolist() == list(range(step + 1))
            # The next call comes while it is leaving.
            os.kill(pid_of(place / "runwire-data"), signal.SIGTERM)
        client.log_metric(run, "loss", 0.5, step=3)
        assert client.get_metric_history(run, "loss").steps.tolist() == [0, 1, 2, 3]


def test_a_server_whose_socket_was_removed_is_replaced(place: Path) -> None:
    with Client() as client:
        run = client.create_run("0").info.run_id
    pid = pid_of(place / "runwire-data")
    socket_path(place / "runwire-data").unlink()
    with Client() as client:
        assert client.get_run(run).info.run_id == run
    gone(pid)


def test_a_server_started_by_hand_is_joined(place: Path) -> None:
    for arguments in ([], ["--host", "::1"], ["--host", "0.0.0.0", "--insecure"]):
        with ServerProcess(place / "data", *arguments) as server:
            with Client("./data") as client:
                run = client.create_run("0").info.run_id
            with Client(server.address.replace("::1", "[::1]").replace("0.0.0.0", "127.0.0.1")) as direct:
                assert direct.get_run(run).info.run_id == run
            assert pid_of(place / "data") == server.pid
            assert server.stop() == 0
        assert not (place / "data" / "server.json").exists()


def test_a_client_goes_along_to_a_server_elsewhere(place: Path) -> None:
    with Client("./data") as client:
        run = client.create_run("0").info.run_id
        pid = pid_of(place / "data")
        os.kill(pid, signal.SIGTERM)
        gone(pid)
        with ServerProcess(place / "data") as server:
            assert client.get_run(run).info.run_id == run
            assert server.stop() == 0
        assert client.get_run(run).info.run_id == run


def test_a_server_with_a_token_is_joined_with_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "token").write_text("a-token-of-enough-length\n")
    with ServerProcess(place / "data", "--token-file", str(place / "token")):
        with Client("./data") as client, pytest.raises(errors.Unauthenticated):
            client.server_info()
        monkeypatch.setenv("RUNWIRE_TOKEN", "a-token-of-enough-length")
        with Client("./data") as client:
            assert client.server_info().version


def test_a_server_with_tls_is_named(place: Path) -> None:
    here = Path(__file__).parent
    tls = ["--tls-cert", str(here / "localhost.pem"), "--tls-key", str(here / "localhost.key")]
    with ServerProcess(place / "data", *tls) as server, Client("./data") as client:
        with pytest.raises(errors.LocalServerFailed) as caught:
            client.server_info()
        assert f"runwires://{server.address}" in str(caught.value)


def test_the_servers_own_variables_do_not_move_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWIRE_SERVER_DATABASE", "postgresql://nowhere/x")
    monkeypatch.setenv("RUNWIRE_SERVER_HOST", "192.0.2.1")
    monkeypatch.setenv("RUNWIRE_SERVER_DATA_DIR", str(place / "elsewhere"))
    with Client() as client:
        assert client.server_info().database == "sqlite"
    assert not (place / "elsewhere").exists()


def test_files_of_the_user_are_not_taken_for_packages(place: Path) -> None:
    for name in ("grpc", "click", "structlog", "json"):
        (place / f"{name}.py").write_text("raise SystemExit('not mine')\n")
    with Client() as client:
        assert client.server_info().version


def test_what_keeps_a_server_from_starting_is_said_at_once(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "runwire.db").write_text("this is no database, whatever its name says\n" * 100)
    with Client("./data") as client, pytest.raises(errors.LocalServerFailed) as caught:
        client.server_info()
    assert "damaged or not a Runwire database" in str(caught.value)
    assert str(place / "data" / "server.log") in str(caught.value)
    (place / "file").touch()
    with Client("./file/data") as client, pytest.raises(errors.LocalServerFailed, match="can not be used"):
        client.server_info()


def test_without_the_servers_packages_it_says_what_to_install(place: Path) -> None:
    # A meta path hook stands for an environment without them: this one has them.
    (place / "hidden").mkdir()
    (place / "hidden" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'aiosqlite':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    paths = os.pathsep.join(filter(None, [str(place / "hidden"), os.environ.get("PYTHONPATH", "")]))
    process = script(LOG_ONE, PYTHONPATH=paths)
    _, complained = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pip install 'runwire[server]'" in complained
    assert "aiosqlite" in complained


def _child(folder: str, run: str, step: int) -> None:
    with Client(folder) as client:
        client.log_metric(run, "loss", 0.5, step=step)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_log_to_the_same_server(place: Path) -> None:
    with Client() as client:
        run = client.create_run("0").info.run_id
        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=_child, args=(client.address, run, step)) for step in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
            assert child.exitcode == 0
        assert client.get_metric_history(run, "loss").steps.tolist() == [0, 1, 2, 3]


def test_the_environment_comes_first(server: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWIRE_TRACKING_URI", server.address)
    # In a program of its own: what another test has set in this one would come before the environment.
    assert finished(script("import runwire; print(runwire.get_tracking_uri())")).strip() == server.address
    with Client() as client:
        assert client.server_info().version
    assert not (place / "runwire-data").exists()


def test_the_folder_stays_when_the_program_goes_elsewhere(place: Path) -> None:
    code = """
import os
import runwire
with runwire.start_run():
    os.makedirs("elsewhere")
    os.chdir("elsewhere")
    runwire.log_metric("loss", 0.5)
print(runwire.get_tracking_uri(), os.path.exists("runwire-data"))
"""
    assert finished(script(code)).split() == [str(place / "runwire-data"), "False"]


MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:2 - nfs4 filer:/home rw
31 30 8:2 / /home/local\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/x rw - ext4 /dev/sdc1 rw
33 22 0:42 / /mnt/x rw master:1 propagate_from:2 - fuse.sshfs me@there: rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/data", "ext4"),
        ("/homework", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/runs", "nfs4"),
        ("/home/local disk/runs", "xfs"),
        ("/mnt/x/runs", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_network_file_systems_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No such file system can be mounted here: what is found stands for it.
    monkeypatch.setattr("runwire._local.file_system", lambda folder, mounts: "nfs4")
    with Client("./data") as client, pytest.raises(errors.LocalServerFailed, match="network file system"):
        client.server_info()
    assert not (place / "data" / "runwire.db").exists()
