"""JupyterHub behind ubf: the hub's proxy sends what is for a person's server to ubf-connect, which connects as that
person. In jupyterhub_config.py:

    import sys
    sys.path.insert(0, "/usr/share/ubf/portal/jupyterhub")
    c.JupyterHub.proxy_class = "ubf_proxy.UbfProxy"

Hub and proxy run as users of portal.users, and are in portal.group. Debian 12's proxy, 4.5.3, knows no Unix sockets;
version 5.3.0 does. Servers must run on
other nodes, as batchspawner starts them.
"""

import asyncio
import json
from urllib.parse import quote, urlparse

from jupyterhub.proxy import ConfigurableHTTPProxy
from traitlets import Unicode

SECONDS = 5


class UbfProxy(ConfigurableHTTPProxy):
    connect_socket = Unicode("/run/ubf/connect/ask.sock", config=True, help="the socket at which ubf-connect is asked")

    async def _path(self, user, target):
        """The socket of a person and a target."""
        reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(self.connect_socket), SECONDS)
        try:
            writer.write(json.dumps({"user": user, "target": target}).encode() + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), SECONDS))
        finally:
            writer.close()
        if "path" not in answer:
            raise RuntimeError(f"ubf-connect: {user} at {target}: {answer.get('error', 'no answer')}")
        return answer["path"]

    async def add_route(self, routespec, target, data):
        # Routes of the hub and of its services have no user, and stay as they are.
        if user := data.get("user"):
            data = {**data, "ubf_target": target}
            target = "unix+http://" + quote(await self._path(user, urlparse(target).netloc), safe="")
        await super().add_route(routespec, target, data)

    async def get_all_routes(self, client=None):
        """The hub compares these with the addresses of its servers."""
        routes = await super().get_all_routes(client)
        for route in routes.values():
            route["target"] = route["data"].pop("ubf_target", route["target"])
        return routes
