//! The yardstick: an ordinary tonic server, as its documentation shows one. It has
//! creditd's messages and answers constants: no prices, no accounts, no disk. With
//! `--http2-alone` it is what such a server stands on, and nothing else.

mod http2;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use pb::creditd::v1;
use pb::creditd::v1::batch_estimate_result::Result as Item;
use pb::creditd::v1::pricing_service_server::{PricingService, PricingServiceServer};

#[allow(clippy::all, clippy::pedantic)]
mod pb {
    include!(concat!(env!("OUT_DIR"), "/pb.rs"));
}

struct Constant;

fn estimate() -> v1::Estimate {
    v1::Estimate {
        service: "lip_sync_video".to_owned(),
        credits: "0.248".to_owned(),
        display_credits: "0.25".to_owned(),
        rate_card: "jogg-api-v2".to_owned(),
        revision: "0123456789abcdef01234567".to_owned(),
        lines: Vec::new(),
        account_known: false,
    }
}

#[tonic::async_trait]
impl PricingService for Constant {
    async fn estimate(
        &self,
        _: Request<v1::EstimateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        Ok(Response::new(v1::EstimateResponse {
            estimate: Some(estimate()),
            affordability: None,
        }))
    }

    async fn batch_estimate(
        &self,
        request: Request<v1::BatchEstimateRequest>,
    ) -> Result<Response<v1::BatchEstimateResponse>, Status> {
        let item = |_: &v1::Usage| v1::BatchEstimateResult {
            result: Some(Item::Estimate(estimate())),
        };
        Ok(Response::new(v1::BatchEstimateResponse {
            results: request.get_ref().usages.iter().map(item).collect(),
            total_credits: "248".to_owned(),
            failed_count: 0,
            affordability: None,
        }))
    }

    async fn get_rate_card(
        &self,
        _: Request<v1::GetRateCardRequest>,
    ) -> Result<Response<v1::GetRateCardResponse>, Status> {
        Err(Status::unimplemented("a yardstick has no prices"))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("--http2-alone") => Ok(http2::serve(&v1::EstimateResponse {
            estimate: Some(estimate()),
            affordability: None,
        })?),
        Some(other) => Err(format!("{other:?} is no option; there is --http2-alone").into()),
        None => serve(),
    }
}

#[tokio::main]
async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listens on {}", listener.local_addr()?);
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(PricingServiceServer::new(Constant))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
