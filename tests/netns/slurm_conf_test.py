#!/usr/bin/python3
"""The hosts and ports that ubfd reads in a slurm.conf are those that Slurm itself names: slurmctld by 'scontrol show
config' and 'scontrol show node', and scontrol by 'show hostnames'."""

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case  # noqa: E402
from lab.case import ADDRESSES, Case, wait_until  # noqa: E402
from lab.node import Node, join  # noqa: E402
from lab.tree import FOLDER, Trouble, add_hosts  # noqa: E402

# Files as people write them.
CONTROLLER = "SlurmctldHost=ctl(127.0.0.1)\n"
NODE = "NodeName=n1 NodeAddr=127.0.0.1 CPUs=1\n"
FIXTURES = {
    "plain": CONTROLLER + NODE,
    "ports": CONTROLLER + NODE + "SlurmctldPort=7817\nSlurmdPort=7818\nSrunPortRange=60001-63000\n",
    "a range of controller ports": CONTROLLER + NODE + "SlurmctldPort=6820-6823\n",
    "case": CONTROLLER + "NODENAME=n1 nodeaddr=127.0.0.1 cpus=1\nsrunportrange=50000-50100\nSLURMDPORT=7001\n",
    "brackets": CONTROLLER + "NodeName=n[1-4,7] NodeAddr=127.0.0.[1-4,7] CPUs=1\n",
    "padded numbers": CONTROLLER + "NodeName=n[008-011] NodeAddr=127.0.0.1 CPUs=1\n",
    "two brackets": CONTROLLER + "NodeName=r[1-2]n[01-02] NodeAddr=127.0.0.[1-4] CPUs=1\n",
    "several lines of nodes": CONTROLLER + NODE + "NodeName=m1,m2 NodeAddr=127.0.0.2,127.0.0.3 CPUs=1\n",
    "a default port": CONTROLLER + "NodeName=DEFAULT Port=7100 CPUs=1\nNodeName=n[1-2] NodeAddr=127.0.0.[1-2]\n"
                                   "NodeName=n3 NodeAddr=127.0.0.3 Port=7200\n",
    "a port for each node": CONTROLLER + "NodeName=n[1-3] NodeHostname=ctl NodeAddr=127.0.0.1 "
                                         "Port=[17001-17003] CPUs=1\n",
    "continued lines": CONTROLLER + "NodeName=n[1-2] \\\n   NodeAddr=127.0.0.[1-2] \\\n\tPort=7300 CPUs=1\n",
    "comments": "# head\n" + CONTROLLER + "SlurmdPort=7005 # not 7006\n#SlurmdPort=7006\n" + NODE,
    "a comment does not go on": CONTROLLER + "# SlurmdPort=7006 \\\nSlurmdPort=7007\n" + NODE,
    "quotes": CONTROLLER + 'SrunPortRange="60001-60500"\nNodeName="n1,n2" NodeAddr="127.0.0.[1-2]" CPUs=1\n',
    "the last value holds": CONTROLLER + "SlurmdPort=7001\nSlurmdPort=7002\n" + NODE,
    # No other controller answers: since 24.11 one that is asked to shut down does so, also if the address is its own.
    "several controllers": CONTROLLER + "SlurmctldHost=spare(192.0.2.9)\nSlurmctldHost=third\n" + NODE,
    "an include": CONTROLLER + "Include nodes.inc\n",
    "an include of an include": CONTROLLER + "include deep.inc\n",
    "names as addresses": CONTROLLER + "NodeName=n[1-2] CPUs=1\n",
    "accounting": CONTROLLER + NODE + "AccountingStorageHost=db1\nAccountingStorageBackupHost=db2\n"
                                      "AccountingStoragePort=7031\n",
    "equal signs with space": CONTROLLER + "SlurmdPort = 7008\n" + NODE,
}
FILES = {"nodes.inc": "NodeName=n[1-2] NodeAddr=127.0.0.[1-2] CPUs=1\nSlurmdPort=7009\n",
         "deep.inc": "# deeper\nInclude nodes.inc\n"}
COMMON = """ClusterName=lab
SlurmUser=root
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
"""
# Mistakes, and what ubfd says of each. Slurm itself passes over some of them.
WRONG = {
    "NodeName=n[1-\n": r":11: NodeName: 'n\[1-' has a '\['",
    "NodeName=n[3-1]\n": r":11: NodeName: '3-1' ends before it begins",
    "NodeName=n[1-3] NodeAddr=127.0.0.[1-2]\n": r":11: NodeAddr has 2 names for 3 nodes",
    "Include gone.inc\n": r":11: Include .*/gone.inc: can't be read",
    "SlurmdPort=abc\n" + NODE: r":11: SlurmdPort=abc is no port",
    "SrunPortRange=600\\\n00-1\n" + NODE: r":11: SrunPortRange=60000-1 is no port",
    "SlurmdPort=7003 SrunPortRange=60001-60100\n" + NODE: r":11: 'srunportrange' stands behind another setting",
    "nonsense\n" + NODE: r":11: 'nonsense' is no KEY=VALUE",
}


class SlurmConf(Case):
    def setUp(self):
        if not all(map(shutil.which, ("munged", "slurmctld", "scontrol"))):
            self.skipTest("no Slurm here")
        super().setUp()
        add_hosts({"n1": "127.0.0.21", "n2": "127.0.0.22", "third": "192.0.2.3"})
        self.node, self.other = Node("ctl"), Node("other")
        join(self.node, self.other, ADDRESSES)  # glibc resolves nothing on a host that has only loopback
        self.folder = FOLDER / "slurm-conf"
        (self.folder / "state").mkdir(parents=True)
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "slurm.conf"
        for name, text in FILES.items():
            (self.folder / name).write_text(text)

    def write(self, text):
        self.file.write_text(COMMON.format(folder=self.folder) + text)

    def read(self):
        """The hosts and ports, as ubfd reads them."""
        return json.loads(self.node.run(case.build / "tests" / "lab" / "slurm_conf", self.file))

    def ask(self, *words):
        return self.node.run("scontrol", "--oneliner", *words, env={"PATH": os.environ["PATH"], "LANG": "C",
                                                                     "SLURM_CONF": str(self.file)})

    def start_munge(self):
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(64))
        file = self.folder.joinpath
        munge = self.node.start("munged", "--foreground", "--force", "--socket", file("munge.sock"), "--key-file", key,
                                "--pid-file", file("munged.pid"), "--log-file", file("munged.log"), "--seed-file",
                                file("munge.seed"), "--origin", "127.0.0.1", stderr=subprocess.DEVNULL)
        self.addCleanup(munge.wait)
        self.addCleanup(munge.kill)
        wait_until(file("munge.sock").exists, 10, "munged")

    @contextlib.contextmanager
    def controller(self):
        with open(self.folder / "log", "w") as log:
            daemon = self.node.start("slurmctld", "-D", "-c", stdout=log, stderr=log, env={
                "PATH": os.environ["PATH"], "SLURM_CONF": str(self.file)})
        try:
            wait_until(lambda: daemon.poll() is not None or self.is_up(), 10, "slurmctld")
            self.assertIsNone(daemon.poll(), (self.folder / "log").read_text())
            yield
        finally:
            daemon.kill()
            daemon.wait()

    def is_up(self):
        with contextlib.suppress(Trouble):
            return bool(self.ask("show", "config"))

    def slurm_says(self):
        config = dict(re.findall(r"^(\S+)\s+= (.*?)\s*$", self.ask("show", "config"), re.M))
        nodes = [dict(word.split("=", 1) for word in line.split() if "=" in word)
                 for line in self.ask("show", "nodes").splitlines()]
        controllers = [re.fullmatch(r"([^(]+)(?:\((.*)\))?", value).groups()
                       for name, value in sorted(config.items()) if name.startswith("SlurmctldHost[")]
        return config, nodes, [[name, address or name] for name, address in controllers]

    def compare(self, read):
        config, nodes, controllers = self.slurm_says()
        self.assertEqual(read["controllers"], controllers)
        self.assertEqual(sorted(read["nodes"]), sorted([node["NodeName"], node["NodeAddr"]] for node in nodes))
        ports = {int(node.get("Port", config["SlurmdPort"])) for node in nodes}
        self.assertEqual({port for first, last in read["node_ports"] for port in range(first, last + 1)}, ports)
        self.assertEqual(read["node_port"], int(config["SlurmdPort"]))
        self.assertEqual(as_range(read["controller_ports"]), config["SlurmctldPort"])
        said = config["SrunPortRange"]
        self.assertEqual(as_range(read["srun_ports"]) if "srun_ports" in read else "0-0", said)
        self.assertEqual(read["user"], config["SlurmUser"].split("(")[0])
        if config["AccountingStoragePort"] != "0":  # without slurmdbd it is nothing
            self.assertEqual(read["database_port"], int(config["AccountingStoragePort"]))

    def test_is_what_slurm_itself_says_of_the_same_file(self):
        self.start_munge()
        self.assertGreaterEqual(len(FIXTURES), 20)
        for name, text in FIXTURES.items():
            with self.subTest(name):
                self.write(text + "PartitionName=all Nodes=ALL\n")
                read = self.read()
                self.assertEqual(read["mistakes"], [])
                with self.controller():
                    self.compare(read)

    def test_a_mistake_has_file_and_line(self):
        for text, message in WRONG.items():
            with self.subTest(text):
                self.write(CONTROLLER + text + "PartitionName=all Nodes=ALL\n")
                self.assertRegex("\n".join(self.read()["mistakes"]), f"^{re.escape(str(self.file))}{message}")

    def test_lists_of_hosts_expand_as_scontrol_expands_them(self):
        for names in ("n[1-4,7]", "n[01-03],m5", "n[9-11]", "a[1-2]b[3-4]", "x1,x2", "n[098-102]", "n[01-1]",
                      "r[1-3]c[0-1]n[07-08]"):
            self.write(CONTROLLER + f"NodeName={names} NodeAddr=127.0.0.1\n")
            self.assertEqual(sorted(name for name, _ in self.read()["nodes"]),
                             sorted(self.ask("show", "hostnames", names).split()))


def as_range(ports):
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


if __name__ == "__main__":
    case.main()
