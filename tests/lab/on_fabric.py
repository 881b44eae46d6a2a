"""For tests of the fabric: two nodes on it, with listeners."""

from .fabric import V4, TwoNodesOnFabric

PORT, MORE = 9001, 9002


class Fabric(TwoNodesOnFabric):
    def tracked(self, node):
        """The flows over the fabric that the kernel tracks."""
        listing = node.run("sh", "-c", "conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")
        return [line for line in listing.splitlines() if "10.78.0." in line or "fd78::" in line]

    def in_set(self, node, name):
        """The number of elements in the set."""
        return node.run("nft", "list", "set", "inet", "ubf", name).count(" expires ")

    def counted_by_kernel(self, ubfd, name):
        return ubfd.status()["kernel"].get(name, {}).get("packets", 0)

    def talk(self, user="alice", address=V4, protocol="udp", port=PORT):
        """Starts two programs of this user, and returns them with the client's view."""
        server, client = self.person(user, self.two), self.person(user, self.one)
        server.listen(protocol, address, port)
        seen = client.connect(protocol, address, port)
        self.assertEqual(seen, "connected")
        return server, client, seen
