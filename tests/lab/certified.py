"""Three nodes on a switch, each with a key of its own. Tests of what a hostile root can do without the keys of others."""

from . import case, stamps
from .case import USERS, OnASwitch
from .identity import Authority, put_roster
from .tree import FOLDER

ROOTED, VICTIM, HONEST = "10.77.0.1", "10.77.0.2", "10.77.0.3"
CLASSES = {"compute": {"users": [f"{USERS['alice']}-{USERS['bob']}"]}, "login": {"users": ["0-70000"], "exempt": True}}


class Certified(OnASwitch):
    def setUp(self):
        super().setUp()
        self.authority = Authority()
        cluster_key = (FOLDER / "key").read_text().split()[1]
        self.authority.stamping.add(stamps.of_cluster(cluster_key).id)
        addresses = [[f"10.77.0.{n}/32", f"fd77::{n}/128"] for n in (1, 2, 3)]
        self.rooted = self.authority.member("rooted", addresses[0])
        self.victim = self.authority.member("victim", addresses[1], "login")
        self.honest = self.authority.member("honest", addresses[2], "login")
        self.members = [self.rooted, self.victim, self.honest]
        self.roster = put_roster(self.authority.roster(self.members))

    def settings_of(self, member, required=True, classes=None, roster=True, **more):
        own = member.files() | {"authorities": [self.authority.line], "classes": CLASSES if classes is None else classes}
        if roster:
            own["roster"] = str(self.roster)
        return {"peers": {"ranges": case.PEERS}, "ident": {"deadline_ms": 400, "require_certificates": required},
                "identity": own} | more

    def start(self, node, member, **options):
        return self.start_ubfd(node, self.settings_of(member, **options))
