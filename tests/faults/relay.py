"""A network between the service and PostgreSQL, which may be slow, or forget its connections as a firewall does."""

import queue
import socket
import threading
import time


class Relay:
    """Forwards connections to a port of this machine, from a port of its own."""

    def __init__(self, port):
        self.server = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        # Seconds for a packet, each way.
        self.delay = 0
        # Connections of earlier epochs are forgotten.
        self.epoch = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def forget(self):
        """Stops forwarding on the existing connections, without closing them. New connections work."""
        self.epoch += 1

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # It was closed.
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        """Forwards a connection until both sides have closed it."""
        epoch = self.epoch
        with client, socket.create_connection(self.server) as server:
            forwarding = []
            for source, target in [(client, server), (server, client)]:
                target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                packets = queue.SimpleQueue()
                forwarding.append(threading.Thread(target=self.receive, args=(source, packets), daemon=True))
                forwarding.append(threading.Thread(target=self.send, args=(target, packets, epoch), daemon=True))
            for thread in forwarding:
                thread.start()
            for thread in forwarding:
                thread.join()

    def receive(self, source, packets):
        try:
            while packet := source.recv(65536):
                packets.put((time.monotonic(), packet))
        except OSError:
            pass  # It was closed from the other side.
        packets.put((0, None))

    def send(self, target, packets, epoch):
        while (taken := packets.get())[1]:
            came, packet = taken
            time.sleep(max(0, came + self.delay - time.monotonic()))
            if self.epoch == epoch:
                try:
                    target.sendall(packet)
                except OSError:
                    break
        try:
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It was closed from the other side.

    def close(self):
        # It wakes the thread that accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
