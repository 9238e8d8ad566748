"""Another client of PostgreSQL, which takes all the connections that it allows."""

import socket
import struct
import time


class Hogs:
    def __init__(self, postgres):
        self.postgres = postgres
        self.connections = []

    def connect(self):
        """One more connection, or none if there is none left. It speaks as much of the protocol as that takes."""
        connection = socket.create_connection(("127.0.0.1", self.postgres.port), timeout=10)
        parameters = f"user\0{self.postgres.user}\0database\0postgres\0\0".encode()
        # The version is 3.0.
        connection.sendall(struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters)
        if self.until_ready(connection):
            return connection
        connection.close()
        return None

    def until_ready(self, connection):
        """Reads to the end of an answer; whether it was no refusal."""
        reader = connection.makefile("rb")
        while head := reader.read(5):
            kind, length = struct.unpack("!ci", head)
            body = reader.read(length - 4)
            if kind == b"E":
                if b"C53300\0" not in body:
                    raise AssertionError(body)
                return False
            if kind == b"Z":
                return True
        raise AssertionError("PostgreSQL hung up")

    def take_all(self):
        """Takes what is free, and what the service holds, until there is nothing else."""
        most = int(self.postgres.settings["max_connections"])
        deadline = time.monotonic() + 20
        while len(self.connections) < most:
            if time.monotonic() > deadline:
                raise AssertionError(f"took {len(self.connections)} of {most} connections")
            if taken := self.connect():
                self.connections.append(taken)
            else:
                self.end_others()

    def end_others(self):
        statement = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'signet'\0"
        self.connections[0].sendall(b"Q" + struct.pack("!i", 4 + len(statement)) + statement)
        self.until_ready(self.connections[0])

    def release(self):
        for connection in self.connections:
            connection.close()
        self.connections.clear()
