//! A server's health, as a client asks for it.

use std::time::{Duration, Instant};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::server::Running;

/// How long it may take to notice that the disk works again.
const RECOVERY: Duration = Duration::from_secs(10);

/// Asks a server for its health.
pub struct Health(HealthClient<tonic::transport::Channel>);

impl Health {
    pub async fn of(server: &Running) -> Self {
        Self(HealthClient::new(server.channel().await))
    }

    pub async fn status(&mut self, service: &str) -> ServingStatus {
        let service = service.to_owned();
        let request = HealthCheckRequest { service };
        self.0.check(request).await.unwrap().into_inner().status()
    }

    /// The ledger's state, which is the server's; prices go on whatever it is.
    pub async fn ledger(&mut self) -> ServingStatus {
        let prices = self.status("creditd.v1.PricingService").await;
        assert_eq!(prices, ServingStatus::Serving);
        self.status("creditd.v1.LedgerService").await
    }

    /// Calls only the health service until its status is so.
    pub async fn wait(&mut self, status: ServingStatus) {
        for service in ["creditd.v1.LedgerService", ""] {
            let start = Instant::now();
            while self.status(service).await != status {
                assert!(start.elapsed() < RECOVERY, "{service:?} is not {status:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(self.ledger().await, status);
    }
}
