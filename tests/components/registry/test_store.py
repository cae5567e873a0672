"""Where the record lies, and what an address that does not work says."""

import ipaddress
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.errors import RegistryError
from components.registry import addresses, open_run
from components.registry import store as registry_store
from components.registry.store import artifact_root
from tests.shared_storage import free_port, needs_postgres


def test_the_default_record_lies_in_the_projects_state(tmp_path: Path) -> None:
    uri, artifacts = addresses({}, tmp_path)
    assert uri == f"sqlite:///{tmp_path}/state/mlflow.db"
    assert artifacts == tmp_path / "state" / "mlflow-artifacts"


def test_a_sqlite_address_keeps_its_artifacts_beside_it(tmp_path: Path) -> None:
    assert addresses({"MLFLOW_TRACKING_URI": "sqlite:////a/b.db"}, tmp_path) == (
        "sqlite:////a/b.db",
        Path("/a/mlflow-artifacts"),
    )
    assert addresses({"MLFLOW_TRACKING_URI": "sqlite:///b.db"}, tmp_path)[0] == f"sqlite:///{tmp_path}/b.db"


def test_a_server_decides_where_artifacts_lie_and_another_database_does_not(tmp_path: Path) -> None:
    assert addresses({"MLFLOW_TRACKING_URI": "https://mlflow.example"}, tmp_path)[1] is None
    database = addresses({"MLFLOW_TRACKING_URI": "postgresql://db/mlflow"}, tmp_path)
    assert database == ("postgresql://db/mlflow", tmp_path / "state" / "mlflow-artifacts")


def test_importing_the_registry_imports_no_mlflow_and_writes_nothing(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import components.registry; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert not list(tmp_path.iterdir())


def test_an_unreachable_server_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:hunter22@127.0.0.1:9")
    started = time.monotonic()
    with (
        pytest.raises(
            RegistryError, match=r"expected an MLflow server at MLFLOW_TRACKING_URI, found .*127\.0\.0\.1:9"
        ) as error,
        open_run("x", "y", {}),
    ):
        pass
    assert "hunter22" not in str(error.value)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("address", ["http://", "http://[::1", "http://mlflow:port", "https://mlflow .example"])
def test_an_address_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    named = pytest.raises(RegistryError, match="expected an MLflow server at MLFLOW_TRACKING_URI, found ")
    with named, open_run("x", "y", {}):
        pass


class Healthy(BaseHTTPRequestHandler):
    """Answers as MLflow's /health does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody knows, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return folder / "ca.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def behind_own_ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server whose certificate nobody knows, and the file of that certificate."""
    certificate, key = own_certificate(tmp_path_factory.mktemp("certificate"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", str(certificate)
        server.shutdown()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize(
    "variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "MLFLOW_TRACKING_INSECURE_TLS"]
)
def test_a_server_behind_a_companys_ca_answers_by_the_variables_that_mlflow_reads(
    behind_own_ca: tuple[str, str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    address, certificate = behind_own_ca
    with pytest.raises(RegistryError, match=r"expected an MLflow server at MLFLOW_TRACKING_URI, found .*certificate"):
        registry_store._await_answer(address)
    monkeypatch.setenv(variable, "true" if variable.endswith("INSECURE_TLS") else certificate)
    registry_store._await_answer(address)


@needs_postgres
def test_an_unreachable_postgresql_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GRADUS_RECORD", f"postgresql+psycopg2://me@127.0.0.1:{free_port()}/mlflow")
    started = time.monotonic()
    away = pytest.raises(RegistryError, match=r"expected a record of runs that opens, found .*refused.*me@127")
    with away, open_run("x", "y", {}):
        pass
    assert time.monotonic() - started < 10


def test_the_shared_database_and_bucket_are_found_and_mlflows_own_variable_wins(tmp_path: Path) -> None:
    shared = {"GRADUS_RECORD": "postgresql+psycopg2://me@db/mlflow", "GRADUS_ARTIFACTS": "s3://team/mlflow"}
    assert addresses(shared, tmp_path)[0] == shared["GRADUS_RECORD"]
    assert artifact_root(shared, tmp_path) == "s3://team/mlflow"
    assert addresses({**shared, "MLFLOW_TRACKING_URI": "sqlite:////a/b.db"}, tmp_path)[0] == "sqlite:////a/b.db"
    assert artifact_root({**shared, "MLFLOW_TRACKING_URI": "https://mlflow.example"}, tmp_path) is None
    assert artifact_root({}, tmp_path) == f"file://{tmp_path}/state/mlflow-artifacts"


def test_an_invalid_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("this is a letter, and no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    refused = pytest.raises(RegistryError, match=r"expected a record of runs that opens, found .*not a database")
    with refused, open_run("x", "y", {}):
        pass
