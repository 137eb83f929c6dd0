"""A gRPC server's certificates: read from files, and again when those are renewed."""

from __future__ import annotations

import logging
import threading

import grpc

from ramp.errors import Invalid, NotFound
from services.common.expiry import expires_at
from services.common.metrics import CERTIFICATE_EXPIRY
from services.common.tls import CertificateFiles

logger = logging.getLogger(__name__)


class Certificates:
    """What a gRPC server shows to each new connection: the newest certificate that is whole."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises NotFound, Invalid."""
        self._files, self._lock = files, threading.Lock()
        files.check()
        self._seen = files.stamp()

    def credentials(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._renewed,  # type: ignore[arg-type]  # None is right: the stubs do not know it
            require_client_authentication=self._files.client_ca is not None,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at every connection; None where the files are the ones that it has."""
        with self._lock:
            try:
                stamp = self._files.stamp()
                if stamp == self._seen:
                    return None
                self._files.check()
                found = self._read()
            except (Invalid, NotFound, OSError) as error:  # half renewed; the next connection looks again
                logger.error("the certificate stays as it was: %s", error)
                return None
            self._seen = stamp
            logger.info("a new certificate from %s", self._files.certificate)
            return found

    def _read(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        pair = (files.key.read_bytes(), files.certificate.read_bytes())
        CERTIFICATE_EXPIRY.labels("certificate").set(expires_at(files.certificate))
        if files.client_ca:
            CERTIFICATE_EXPIRY.labels("client_ca").set(expires_at(files.client_ca))
        return grpc.ssl_server_certificate_configuration(
            [pair], files.client_ca.read_bytes() if files.client_ca else None
        )
