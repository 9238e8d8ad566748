"""A client of PostgreSQL that uses all available connections."""

import socket
import struct
import time


class Hogs:
    def __init__(self, postgres):
        self.postgres = postgres
        self.connections = []

    def connect(self):
        """Opens a connection and logs in. Returns None if PostgreSQL has no free connection."""
        connection = socket.create_connection(("127.0.0.1", self.postgres.port), timeout=10)
        parameters = f"user\0{self.postgres.user}\0database\0postgres\0\0".encode()
        # The startup message, with version 3.0 of the protocol.
        connection.sendall(struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters)
        if self.until_ready(connection):
            return connection
        connection.close()
        return None

    def until_ready(self, connection):
        """Reads messages until PostgreSQL is ready for a query. Returns False if PostgreSQL has too many connections (53300)."""
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
        raise AssertionError("PostgreSQL closed the connection")

    def take_all(self):
        """Opens all free connections, then terminates the connections of the service and replaces them, up to `max_connections`."""
        most = int(self.postgres.settings["max_connections"])
        deadline = time.monotonic() + 20
        while len(self.connections) < most:
            if time.monotonic() > deadline:
                raise AssertionError(f"opened only {len(self.connections)} of {most} connections")
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
