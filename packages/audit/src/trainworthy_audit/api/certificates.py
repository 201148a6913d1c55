"""Certificates: loaded, saved, compared with their dataset, and demanded."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainworthy_audit import admission, output
from trainworthy_audit import certificate as certificates
from trainworthy_audit.api.options import place
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from trainworthy_audit.api.options import Location
    from trainworthy_audit.certificate import Verification
    from trainworthy_audit.types import Verdict


class Certificate:
    """Proof that a dataset was approved, made by `Audit.certify` or `Certificate.load`. It can be read, not edited.

    Attributes:
        data: all that it says, as certificate.json holds it; `docs/python.md` names the keys.
        name: the dataset's.
        verdict: "approved" or "approved-with-waivers".
        fingerprint: BLAKE3 over the content of every file that training reads.
        created: when, ISO 8601 in UTC.

    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data: Mapping[str, Any] = MappingProxyType(certificates.seal(data))
        self.name: str = data["name"]
        self.verdict: Verdict = data["verdict"]
        self.fingerprint: str = data["fingerprint"]
        self.created: str = data["created"]

    @classmethod
    def load(cls, file: str | PathLike[str]) -> Certificate:
        """The certificate in `file`. Raises `CertificateError` where it cannot be read, or was edited."""
        return cls(certificates.read(Path(file)))

    def save(self, file: str | PathLike[str]) -> Path:
        """Write the certificate to `file`, over an older one only, and return its path. Raises `OutputError`."""
        target = Path(file)
        output.check_replaceable(target, certificates.MARK)
        output.replace_text(target, certificates.dump(self.data))
        return target

    def __repr__(self) -> str:
        return f"<Certificate of {self.name}: {self.verdict}, {self.fingerprint}>"


def verify(dataset: Location, certificate: str | PathLike[str] | Certificate | None = None) -> Verification:
    """Compare a dataset with its certificate, every byte of every file that training reads.

    `certificate` is a file or an object, by default reports/NAME/certificate.json. What comes back has `holds`, and
    the paths that are `changed`, `added` and `removed`, why the dataset is `unreadable` as it was certified, and the
    waivers that are `expired`. Raises `DatasetError` and `CertificateError`.
    """
    where = place(dataset)
    source = open_source(where)
    if not isinstance(certificate, Certificate):
        file = Path(certificate) if certificate is not None else certificates.default_file(source)
        certificate = Certificate(certificates.read(file, dataset=shlex.quote(str(where))))
    if certificates.follows_links(certificate.data):
        source = open_source(where, follow_links=True)
    return certificates.verify(source, certificate.data)


def require(
    dataset: Location,
    certificate: str | PathLike[str] | None = None,
    *,
    config: str | PathLike[str] | None = None,
    full: bool = False,
) -> Certificate:
    """Return the dataset's certificate, or raise `RefusedError`: the line that belongs at the start of any training.

    It is raised where there is no certificate, where it was issued under weaker rules than the trainworthy.toml in
    or beside the dataset (or `config`) demands, where a file changed, came or went, or where a waiver has expired;
    the message says which, as `trainworthy train` does. `certificate` is a file, by default
    reports/NAME/certificate.json. Files that have the inode, size and times with which an audit on this machine
    measured them are taken as unchanged, unless `full`: then every byte is read, as by `verify`.
    """
    admitted = admission.admit(
        place(dataset),
        certificate=None if certificate is None else Path(certificate),
        config=None if config is None else Path(config),
        trust_times=not full,
    )
    return Certificate(admitted.certificate)
