#!/usr/bin/python3
"""One user's sockets share a port, and belong to jobs with two labels."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lab import case, person  # noqa: E402
from lab.case import V4, WAYS, WILDCARD  # noqa: E402
from lab.labels import EVERYBODY, WithJobs  # noqa: E402
import sharing_test  # noqa: E402

PORT = 9001
LABELS = {"slurm:physics": EVERYBODY, "slurm:chem": EVERYBODY}


class Jobs(WithJobs):
    """alice's listeners: the decoy in a job of physics, and one in a job of chem that gets all packets."""

    connector = "bob"

    def setUp(self):
        super().setUp()
        for ubfd in (self.ubfd1, self.ubfd2):
            for job, user, label in ((1001, "alice", "physics"), (1002, "alice", "chem"), (1003, self.connector, "physics")):
                self.begin(ubfd, job, user, label)

    def assert_decoy_lets_nobody_in(self):
        for way in WAYS:
            with self.subTest(str(way)):
                people = [self.in_job("alice", self.two, job) for job in (1001, 1002)]
                for one in people:
                    handle = one.listen(way.protocol, WILDCARD[way.family], PORT, reuse_port=True)
                one.do(sharing_test.choose, handle, 1)
                node = self.one if way.across else self.two
                seen = set()
                for _ in range(5):
                    client = self.in_job(self.connector, node, 1003)
                    seen.add(client.connect(way.protocol, way.address, PORT))
                    self.dismiss(client)
                self.assertEqual(seen, {way.refused})
                for one in people:
                    self.dismiss(one)

    def assert_label_of_both_lets_in(self):
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                people = [self.in_job("alice", self.two, 1001) for _ in range(2)]
                for one in people:
                    one.listen(protocol, "0.0.0.0", PORT, reuse_port=True)
                client = self.in_job(self.connector, self.one, 1003)
                self.assertEqual(client.connect(protocol, V4, PORT), "connected")
                for one in (*people, client):
                    self.dismiss(one)

    def assert_sender_has_no_label_for_certain(self):
        self.in_job("alice", self.two, 1001).listen("udp", "0.0.0.0", PORT)
        client, other = self.in_job(self.connector, self.one, 1003), self.person(self.connector, self.one)
        here = ("10.77.0.1", 9501)
        self.assertEqual(client.connect("udp", V4, PORT, bind=here), "connected")
        other.do(person.bound, "udp", "127.0.0.1", 9502)
        self.assertEqual(client.connect("udp", V4, PORT, bind=("10.77.0.1", 9502)), "EHOSTUNREACH")


class Labels(Jobs):
    settings = {"policy": {"labels": LABELS}}

    def test_sockets_of_two_labels_let_nobody_of_one_in(self):
        self.assert_decoy_lets_nobody_in()

    def test_sockets_of_one_label_let_in_who_has_it(self):
        self.assert_label_of_both_lets_in()

    def test_a_sender_that_shares_its_port_has_no_label_for_certain(self):
        self.assert_sender_has_no_label_for_certain()


class Required(Jobs):
    """Both ends belong to one user."""

    settings = {"policy": {"require_label": True, "labels": LABELS}}
    connector = "alice"

    def test_a_decoy_leads_over_no_label_that_is_required(self):
        self.assert_decoy_lets_nobody_in()

    def test_sockets_of_the_label_that_is_required_are_reached(self):
        self.assert_label_of_both_lets_in()

    def test_a_sender_without_a_certain_label_reaches_nobody(self):
        self.assert_sender_has_no_label_for_certain()


if __name__ == "__main__":
    case.main()
