"""A cluster over TLS: stock scheduler and workers, and who is let in."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import lepton_process, stock_scheduler, stock_workers

pytestmark = pytest.mark.cluster

PIPELINE = """
name: line
steps:
  rows: {read: {path: rows.csv}}
  parts: {split: {train: 0.8, test: 0.2}}
  features: {prepare: {target: y}}
  model: {train: {loss: squared}}
  scores: {evaluate: {metrics: [r2], goals: [{metric: r2, part: test, at_least: 0.99}]}}
"""


class Authority(NamedTuple):
    """A certificate authority: its own certificate, and the key that it signs with."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Authority | None
) -> x509.Certificate:
    """Valid for an hour; signed by itself where there is no issuer."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer.certificate.subject if issuer else named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def write_certificates(folder: Path) -> None:
    """ca.pem, and certificate and key of one who is known to it."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(certificate("authority", key, None), key)
    own = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    for name, issued in [
        ("ca.pem", authority.certificate),
        ("own.pem", certificate("own", own, authority)),
    ]:
        (folder / name).write_bytes(issued.public_bytes(pem))
    (folder / "own-key.pem").write_bytes(
        own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline, certificates of the cluster's authority, and those of a stranger."""
    path = tmp_path_factory.mktemp("tls")
    write_certificates(path / "certificates")
    write_certificates(path / "strange")
    shutil.copytree(path / "strange", path / "forged")
    shutil.copy(path / "certificates" / "ca.pem", path / "forged")
    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    pd.DataFrame({"x": x, "y": 3 * x - 1 + 0.01 * rng.normal(size=300)}).to_csv(
        path / "rows.csv", index=False
    )
    (path / "line.yaml").write_text(PIPELINE)
    return path


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A stock scheduler over TLS with two stock workers."""
    names = {"--tls-ca-file": "ca.pem", "--tls-cert": "own.pem", "--tls-key": "own-key.pem"}
    tls = [f"{option}={folder / 'certificates' / name}" for option, name in names.items()]
    with (
        stock_scheduler(folder, "--protocol", "tls", *tls) as (address, _),
        stock_workers(folder, address, 2, *tls),
    ):
        yield address


@pytest.fixture
def config(address: str, folder: Path) -> Callable[[str], Path]:
    """Writes a configuration for the cluster; `certificates` names a folder, or is empty."""

    def write(certificates: str) -> Path:
        files = {"ca_file": "ca.pem", "cert_file": "own.pem", "key_file": "own-key.pem"}
        lines = ["cluster:", "  kind: address", f"  address: {address}"]
        if certificates:
            lines.append("  tls:")
            lines += [f"    {key}: {certificates}/{name}" for key, name in files.items()]
        lines.append("worker_timeout_s: 2")
        path = folder / f"{certificates or 'plain'}.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_pipeline_runs_on_a_tls_cluster(
    config: Callable[[str], Path], address: str, folder: Path, tmp_path: Path
) -> None:
    assert address.startswith("tls://127.0.0.1:")
    with lepton_process(
        tmp_path, "run", folder / "line.yaml", "--on", config("certificates"), "--json"
    ) as command:
        assert command.exit_code() == 0, command.stderr
        scores = json.loads(command.stdout)["metrics"]["scores"]
        assert scores["test"]["r2"] > 0.999
        assert f"2 workers, 2 threads, 2.00 GiB at {address}" in command.stderr


@pytest.mark.parametrize(
    ("certificates", "said"),
    [
        ("", "lets nobody in without a certificate; name yours under `tls:`"),
        ("strange", "do the certificates come from its authority?"),
        ("forged", "do the certificates come from its authority?"),
    ],
    ids=["no certificate", "another authority", "certificate of another authority"],
)
def test_a_stranger_is_refused(
    certificates: str,
    said: str,
    config: Callable[[str], Path],
    address: str,
    folder: Path,
    tmp_path: Path,
    lepton: Lepton,
) -> None:
    began = time.monotonic()
    done = lepton(
        "run", folder / "line.yaml", "--on", config(certificates), "--output", tmp_path / "run"
    )
    assert done.code == 4
    assert time.monotonic() - began < 10
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("lepton: ")
    assert address in line
    assert said in line
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 4


def test_the_scheduler_itself_wants_a_certificate(address: str, folder: Path) -> None:
    """Of whatever client: this one knows the authority and has no certificate of its own."""
    context = ssl.create_default_context(cafile=folder / "certificates" / "ca.pem")
    context.check_hostname = False
    host, _, port = address.removeprefix("tls://").rpartition(":")

    def listen() -> None:
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            context.wrap_socket(plain) as encrypted,
        ):
            encrypted.recv(1)

    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure"):
        listen()


def test_a_plain_address_of_a_tls_scheduler_is_refused(
    config: Callable[[str], Path], folder: Path, tmp_path: Path, lepton: Lepton
) -> None:
    plain = config("")
    plain.write_text(plain.read_text().replace("tls://", "tcp://"))
    done = lepton("run", folder / "line.yaml", "--on", plain, "--output", tmp_path / "run")
    assert done.code == 4
    assert "does it want TLS" in done.stderr


def test_certificate_files_that_are_not_there_are_mistakes_of_the_configuration(
    config: Callable[[str], Path], folder: Path, tmp_path: Path, lepton: Lepton
) -> None:
    path = config("absent")
    done = lepton("run", folder / "line.yaml", "--on", path, "--output", tmp_path / "run")
    assert done.code == 2
    for line, key, name in [
        (5, "ca_file", "ca.pem"),
        (6, "cert_file", "own.pem"),
        (7, "key_file", "own-key.pem"),
    ]:
        column = len(f"    {key}: ") + 1
        missing = folder / "absent" / name
        assert f"{path}:{line}:{column}: {key}: there is no file '{missing}'" in done.stderr
    assert done.stderr.endswith("3 mistakes\n")


def test_files_that_are_no_certificates_are_a_mistake_of_the_configuration(
    config: Callable[[str], Path], folder: Path, tmp_path: Path, lepton: Lepton
) -> None:
    write_certificates(folder / "mixed")
    (folder / "mixed" / "own-key.pem").write_bytes(
        (folder / "strange" / "own-key.pem").read_bytes()
    )
    path = config("mixed")
    done = lepton("run", folder / "line.yaml", "--on", path, "--output", tmp_path / "run")
    assert done.code == 2
    assert f"{path}:5:5: tls: the files are no authority, certificate and key" in done.stderr
    assert "KEY_VALUES_MISMATCH" in done.stderr
