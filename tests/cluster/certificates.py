"""A CA and the certificates of the nodes."""

import shutil
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.certificate, self.key = folder / "ca.crt", folder / "ca.key"
        self.request(self.key, self.certificate, "/CN=cluster", "-x509", "-days", "2")

    def request(self, key, target, subject, *more):
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        openssl("req", *kind, "-nodes", "-keyout", key, "-out", target, "-subj", subject, *more)

    def issue(self, folder, address, owner):
        """Writes the certificate and key for an IP address, and the certificate of the CA, into a new folder."""
        folder.mkdir()
        names = folder / "names"
        names.write_text(f"subjectAltName = IP:{address}\n")
        self.request(folder / "node.key", folder / "request", f"/CN={address}")
        signed = ["-req", "-in", folder / "request", "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial"]
        openssl("x509", *signed, "-days", "2", "-extfile", names, "-out", folder / "node.crt")
        shutil.copy(self.certificate, folder)
        shutil.chown(folder, owner)
        for file in folder.iterdir():
            shutil.chown(file, owner)
            file.chmod(0o600)
