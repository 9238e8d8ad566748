//! A network between the service and PostgreSQL. It can be slow, and it can lose connections like a firewall.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Forwards connections from a free port to a server.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    server: String,
    network: Arc<Network>,
}

#[derive(Debug, Default)]
struct Network {
    /// Connections of earlier epochs are lost: their packets are dropped.
    epoch: AtomicU64,
    /// Delay of a packet in each direction, in milliseconds.
    delay: AtomicU64,
    is_closed: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Starts a relay to the server of this URL.
    pub(crate) fn new(url: &str) -> Self {
        let (_, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let server = authority.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            server,
            network: Arc::default(),
        };
        let (server, network) = (relay.server.clone(), Arc::clone(&relay.network));
        thread::spawn(move || {
            for client in listener.incoming() {
                if network.is_closed.load(Ordering::SeqCst) {
                    break;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let clones = [&client, &server].map(|it| it.try_clone().unwrap());
                network.open.lock().unwrap().extend(clones);
                let epoch = network.epoch.load(Ordering::SeqCst);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    forward(from, to, epoch, &network);
                }
            }
        });
        relay
    }

    /// Closes all connections, and rejects new connections.
    pub(crate) fn hang_up(&self) {
        self.network.is_closed.store(true, Ordering::SeqCst);
        // This connection wakes the thread of the listener. The thread then drops the listener, and closes or resets this connection. A
        // connection of the service may have woken the thread before.
        if let Ok(mut last) = TcpStream::connect(self.address) {
            let _ = last.read_to_end(&mut Vec::new());
        }
        for connection in self.network.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }

    /// Returns the URL with the address of this relay.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(&self.server, &self.address.to_string())
    }

    /// Stops forwarding on the existing connections, without closing them. New connections work.
    pub(crate) fn forget(&self) {
        self.network.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn slow_down(&self, each_way: Duration) {
        let delay = each_way.as_millis().try_into().unwrap();
        self.network.delay.store(delay, Ordering::SeqCst);
    }
}

fn forward(from: &TcpStream, to: &TcpStream, epoch: u64, network: &Arc<Network>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    let network = Arc::clone(network);
    let (packets, received) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = from.read(&mut buffer)
            && length > 0
            && packets
                .send((Instant::now(), buffer[..length].to_vec()))
                .is_ok()
        {}
    });
    thread::spawn(move || {
        for (sent, packet) in received {
            let delay = Duration::from_millis(network.delay.load(Ordering::SeqCst));
            thread::sleep((sent + delay).saturating_duration_since(Instant::now()));
            let is_known = network.epoch.load(Ordering::SeqCst) == epoch;
            if is_known && to.write_all(&packet).is_err() {
                break;
            }
        }
        // The receiver may have closed the connection.
        let _ = to.shutdown(Shutdown::Both);
    });
}
