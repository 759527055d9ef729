//! A stretch of network between a client and its broker, that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Passes on what comes to its address; ends with the test.
pub struct Proxy {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    cuts: watch::Sender<()>,
    _runtime: Runtime,
}

impl Proxy {
    /// To a port of this machine.
    pub fn to(port: u16) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        let (cuts, cut) = watch::channel(());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, count) = (cut.clone(), Arc::clone(&count));
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                    pass(client, server, &mut cut).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Proxy {
            address,
            connections,
            cuts,
            _runtime: runtime,
        }
    }

    /// Resets every connection; new ones may be made. How many there were.
    pub fn cut(&self) -> usize {
        let connections = self.connections.load(Ordering::SeqCst);
        self.cuts.send_replace(());
        connections
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: &mut watch::Receiver<()>) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.changed() => {
            // What is closed without lingering is reset: neither side hears that it was the end.
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
    }
}
