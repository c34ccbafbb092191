"""Who comes through a door and what they may do there: every door asks here, and only here."""

from __future__ import annotations

import secrets
from hashlib import sha256
from pathlib import Path

from benito.errors import AccessError, StateError
from benito.services.files import private_folder, write_secret
from benito.testbed.home import ExperimentId, Home
from benito.testbed.people import Action, Credential, People, Role, User
from benito.testbed.store import ExperimentRecord
from benito.testbed.testbed import Testbed

TOKEN_BYTES = 32


class Access:
    """Answers the doors' questions about people; for one thread."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.people = People(bed.store)

    def by_token(self, token: str) -> User | None:
        """Return who has that token. Tokens are kept and looked up as digests, so timing tells nothing of them."""
        return self.people.holder(Credential.TOKEN, _digest(token.encode())) if token else None

    def by_certificate(self, der: bytes) -> User | None:
        """Return whose certificate that is; one that was replaced, or whose user is gone, is nobody's."""
        return self.people.holder(Credential.CERTIFICATE, _digest(der))

    def may(self, user: User, action: Action, pid: str) -> bool:
        """Whether this user may do that in that project."""
        return self.people.may(user, action, pid)

    def experiment(self, user: User, action: Action, pid: str, eid: str) -> ExperimentRecord:
        """Return the experiment when the user may do that with it.

        InputError for names that can't be; StateError when there is none, or the user may not even know of it;
        AccessError when they may see it but not do that.
        """
        name = ExperimentId.checked(pid, eid)
        if not self.may(user, Action.SEE, pid):
            raise StateError(f"there is no experiment {name}")
        record = self.bed.record(name)
        if not self.may(user, action, pid):
            raise AccessError(f"{user.name} may not {action} experiments of {record.id.pid}")
        return record

    def require(self, user: User, action: Action, pid: str) -> None:
        """AccessError unless the user may do that in the project."""
        if not self.may(user, action, pid):
            raise AccessError(f"{user.name} may not {action} experiments of {pid}")

    def projects(self, user: User) -> dict[str, str]:
        """Return the projects that the user may see, by their key: those that have members or experiments."""
        named = [pid for pid, _, _ in self.people.members()] + [record.id.pid for record in self.bed.records()]
        return {pid.lower(): pid for pid in sorted(named) if self.may(user, Action.SEE, pid)}

    def appoint(self, user: User, pid: str, name: str, role: Role | None) -> User:
        """Have the user say what somebody is in a project; None is nothing any more. Returns who it is.

        AccessError for who may not; StateError for who isn't entered, and for the project's last owner, whom only an
        administrator takes away.
        """
        if not self.may(user, Action.MANAGE, pid):
            raise AccessError(f"{user.name} may not say who belongs to {pid}")
        try:
            other = self.people.user(name)
        except StateError:
            raise StateError(
                f"there is no user {name[:80]!r}", hint="an administrator enters users: benito user add NAME"
            ) from None
        owners = {key for key, each in self.members(pid).items() if each is Role.OWNER}
        if owners == {other.name} and role is not Role.OWNER and not user.admin:
            raise StateError(f"{other.name} is the last owner of {pid}", hint="make somebody else an owner first")
        self.people.set_role(other, pid, role)
        return other

    def members(self, pid: str) -> dict[str, Role]:
        """Return who belongs to a project, by name."""
        return {name: role for each, name, role in self.people.members() if each.lower() == pid.lower()}

    def records(self, user: User) -> list[ExperimentRecord]:
        """Return the experiments that the user may see, by name."""
        return [record for record in self.bed.records() if self.may(user, Action.SEE, record.id.pid)]


def token_file(home: Home, user: User) -> Path:
    """Return where a user's token is, for root to hand on."""
    return folder(home) / "tokens" / user.name.lower()


def folder(home: Home) -> Path:
    """Return where the doors keep their keys."""
    return home.root / "serve"


def new_token(home: Home, people: People, user: User) -> str:
    """Give a user a new token in place of the old one, and keep it in a file that only root reads."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    people.set_credential(user, Credential.TOKEN, _digest(token.encode()))
    private_folder(folder(home))
    write_secret(token_file(home, user), token.encode() + b"\n")
    return token


def accept_certificate(people: People, user: User, der: bytes) -> None:
    """Have this certificate be the user's, in place of the old one."""
    people.set_credential(user, Credential.CERTIFICATE, _digest(der))


def _digest(secret: bytes) -> str:
    return sha256(secret).hexdigest()
