"""A relay between the service and PostgreSQL. It can add latency, or drop connections silently like a firewall."""

import queue
import socket
import threading
import time


class Relay:
    """Listens on a free port, and forwards connections to another port of this machine."""

    def __init__(self, port):
        self.server = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        # Latency of a packet in each direction, in seconds.
        self.delay = 0
        # The relay does not forward packets on connections of earlier epochs.
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
                return  # `close` was called.
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
            pass  # The other side closed the connection.
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
            pass  # The other side closed the connection.

    def close(self):
        # The shutdown wakes the thread that accepts connections.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
