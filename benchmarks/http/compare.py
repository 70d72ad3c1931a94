"""The emulator over HTTP beside its fastest peer, in one run: requests a second and CPU per request.

    python benchmarks/http/compare.py [--peers FOLDER] [--rounds 3] [--seconds 3]

Needs wrk (Debian: apt-get install wrk). FOLDER is where `npm install fauxqs` was run; without it the peer is left out,
and the table says so. The server has one core to itself and wrk the other; peers take turns, and medians are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LOAD = HERE / "load.lua"
CASES = {  # name: messages a request stands for
    "send": 1.0,
    "send_4k": 1.0,
    "send_batch": 10.0,
    "cycle": 1 / 3,
    "cycle_batch": 10 / 3,
    "empty_receive": 1.0,
    "fifo_send": 1.0,
}
CONNECTIONS = 16


@dataclass
class Measured:
    per_second: float
    cpu_us: float
    refused: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder with node_modules/fauxqs")
    parser.add_argument("--node", default="node", help="the Node.js to run the peer with (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt-get install wrk): nothing was measured")
        return 1
    servers = {"busframe": busframe_command()}
    if options.peers:
        servers["fauxqs"] = [options.node, str(HERE / "fauxqs.mjs"), str(options.peers.resolve())]
    else:
        print("fauxqs was not installed: see --help")
    results: dict[tuple[str, str], list[Measured]] = {}
    for case in options.cases:
        for _ in range(options.rounds):
            for name, command in servers.items():
                results.setdefault((case, name), []).append(measure(command, case, options.seconds))
    print_table(options.cases, list(servers), results)
    return 0


def busframe_command() -> list[str]:
    return [sys.executable, "-m", "busframe_emulator", "--port"]


def measure(command: list[str], case: str, seconds: int) -> Measured:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(["taskset", "-c", "0", *command, str(port)], stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        environment = {
            **os.environ,
            "CASE": case,
            "QUEUE_URL": create(url, "bench", {}),
            "FIFO_URL": create(url, "bench.fifo", {"FifoQueue": "true"}),
        }
        before_s = cpu_s(server.pid)
        wrk = [
            "taskset",
            "-c",
            "1",
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "-s",
            str(HERE / "load.lua"),
            url,
        ]
        output = subprocess.run(wrk, env=environment, capture_output=True, text=True, check=True).stdout
        used_s = cpu_s(server.pid) - before_s
    finally:
        server.terminate()
        server.wait(10)
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    requests, duration_us, refused, broken = map(int, line.split()[1:])
    assert broken == 0, output
    messages = requests * CASES[case]
    return Measured(messages / duration_us * 1e6, used_s / messages * 1e6, refused)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url + "/health", timeout=1).read()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(url)


def create(url: str, name: str, attributes: dict[str, str]) -> str:

    request = urllib.request.Request(
        url,
        data=json.dumps({"QueueName": name, "Attributes": attributes}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AmazonSQS.CreateQueue",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/sqs/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(json.loads(answer.read())["QueueUrl"])


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_table(cases: list[str], servers: list[str], results: dict[tuple[str, str], list[Measured]]) -> None:
    print(f"\n{'case':<15}" + "".join(f"{name + ' msg/s':>17}{'CPU us':>9}" for name in servers) + f"{'ratio':>8}")
    for case in cases:
        row = f"{case:<15}"
        rates: list[float] = []
        for name in servers:
            runs = results[case, name]
            rates.append(statistics.median(run.per_second for run in runs))
            row += f"{rates[-1]:>17,.0f}{statistics.median(run.cpu_us for run in runs):>9.1f}"
            if refused := sum(run.refused for run in runs):
                row += f" ({refused} refused)"
        if len(rates) > 1:
            row += f"{rates[0] / rates[1]:>8.2f}"
        print(row)


if __name__ == "__main__":
    sys.exit(main())
