"""A Slurm cluster of one node on the loopback interface: Debian's ``slurm-wlm`` and ``munge``, all in one folder.

    python tests/cluster/loopback.py COMMAND ...      # runs a command with the cluster's sbatch, squeue and scancel

Daemons, ports, keys and logs are its own, and nothing outside the folder is written or read, so a Slurm that is at work
on the same machine is not touched. It needs root, as slurmd does to start jobs. There is no accounting: what became of
a job, ``squeue`` and ``scontrol`` say for five minutes after its end.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct")
NEEDED = ("munged", "slurmctld", "slurmd", *COMMANDS)
_CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={worker}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=batch_sched_delay=1
MinJobAge=300
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=1:00:00 State=UP
"""


def missing() -> str | None:
    """Why there can be no cluster here; None where there can."""
    lacking = [name for name in NEEDED if _program(name) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "slurmd starts jobs as root only"


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _configure(folder: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    controller, worker = _free_ports(2)
    values = {"folder": folder, "host": socket.gethostname().split(".")[0], "cpus": os.cpu_count()}
    text = _CONFIG.format(controller=controller, worker=worker, memory=memory - 512, **values)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # a GPU in name only, so that a job can ask for one
    (folder / "gres.conf").write_text(f"NodeName={values['host']} Name=gpu File=/dev/null\n", encoding="utf-8")
    for name in ("state", "spool", "seed"):
        (folder / name).mkdir()
    (folder / "bin").mkdir()
    for name in COMMANDS:  # Snakemake hands no variable of Slurm's to its jobs, whose srun would look in /etc
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_program(name)} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))


def _daemons(folder: Path) -> Iterator[list[str]]:
    names = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
    munge = [f"--{option}={folder / name}" for option, name in names.items()]
    yield [_program("munged") or "", "--force", "--foreground", f"--seed-file={folder / 'seed' / 'munged'}", *munge]
    yield [_program("slurmctld") or "", "-D", "-f", str(folder / "slurm.conf")]
    yield [_program("slurmd") or "", "-D", "-f", str(folder / "slurm.conf")]


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """Start the daemons; yields the environment in which Slurm's commands find them, and leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munged and slurmd refuse what others could write
    started: list[subprocess.Popen] = []
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    try:
        _configure(folder)
        for command in _daemons(folder):
            with open(folder / f"{Path(command[0]).name}.out", "wb") as said:
                started.append(
                    subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
                )
            time.sleep(1)
        _wait_until_idle(environment, folder, started)
        yield environment
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, timeout=10, check=False)
        _end_jobs(folder)
        for process in reversed(started):
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_idle(environment: dict[str, str], folder: Path, started: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = [process.args for process in started if process.poll() is not None]
        if ended:
            break
        asked = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, encoding="utf-8", check=False
        )
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    said = "\n".join(path.read_text(errors="replace", encoding="utf-8")[-2000:] for path in folder.glob("*.log"))
    raise RuntimeError(f"the cluster did not come up:\n{said}")


def _end_jobs(folder: Path) -> None:
    """Wait for cancelled jobs, whose steps slurmd would leave; what is left after ten seconds is killed by its id."""
    deadline = time.monotonic() + 10
    while steps := _steps(folder):
        if time.monotonic() > deadline:
            for pid in steps:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.2)


def _steps(folder: Path) -> list[int]:
    """The processes of this cluster's jobs: its commands are on their path."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (path / "environ").read_bytes()
            if f"{folder}/bin".encode() in environment and b"SLURM_JOB_ID=" in environment:
                found.append(int(path.name))
    return found


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    if why := missing():
        print(f"no cluster: {why}", file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are ended
    with cluster() as environment:
        return subprocess.run(sys.argv[1:] or ["sinfo"], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
