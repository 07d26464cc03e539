//! GetRateCard: meters, attributes and pages.

use creditd::rpc::pb::creditd::v1 as pb;

use super::client::*;
use crate::support::refusal::refused;

#[tokio::test]
async fn a_rate_card_is_shown_whole_or_in_pages() {
    let server = start();
    let mut client = Client::of(&server).await;
    let request = pb::GetRateCardRequest {
        services: vec!["chat".into()],
        ..Default::default()
    };
    let card = client
        .pricing
        .get_rate_card(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((card.title.as_str(), card.services.len()), ("Plans", 1));
    let chat = &card.services[0];
    let attributes: Vec<(&str, String, &str, pb::AttributeSource)> = chat
        .attributes
        .iter()
        .map(|a| {
            (
                a.attribute.as_str(),
                a.values.join(" "),
                a.default_value.as_str(),
                a.source(),
            )
        })
        .collect();
    assert_eq!(
        attributes,
        [
            (
                "hours",
                "peak off_peak night".to_owned(),
                "peak",
                pb::AttributeSource::Clock
            ),
            (
                "model",
                "small large".to_owned(),
                "small",
                pb::AttributeSource::Caller
            ),
            (
                "plan",
                "payg growth max".to_owned(),
                "payg",
                pb::AttributeSource::Account
            ),
            (
                "tier",
                "retail partner house".to_owned(),
                "retail",
                pb::AttributeSource::Account
            ),
        ]
    );
    let meters: Vec<(&str, &str, i32, &str)> = chat
        .meter_details
        .iter()
        .map(|m| {
            (
                m.meter.as_str(),
                m.unit.as_str(),
                m.decimals,
                m.default_value.as_str(),
            )
        })
        .collect();
    assert_eq!(meters, [("tokens", "token", 0, "")]);
    let (mut keys, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = pb::GetRateCardRequest {
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = client
            .pricing
            .get_rate_card(request)
            .await
            .unwrap()
            .into_inner();
        keys.extend(page.services.into_iter().map(|service| service.service));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((keys.join(" ").as_str(), pages), ("image lip_sync chat", 3));
    for (request, path, reason) in [
        (
            pb::GetRateCardRequest {
                page_size: -1,
                ..Default::default()
            },
            "page_size",
            "INVALID_PAGE_SIZE",
        ),
        (
            pb::GetRateCardRequest {
                page_token: "x".into(),
                ..Default::default()
            },
            "page_token",
            "INVALID_PAGE_TOKEN",
        ),
        (
            pb::GetRateCardRequest {
                services: vec!["chap".into()],
                ..Default::default()
            },
            "services",
            "UNKNOWN_SERVICE",
        ),
        (
            pb::GetRateCardRequest {
                services: vec!["chat".into(); 1_001],
                ..Default::default()
            },
            "services",
            "TOO_MANY_ITEMS",
        ),
    ] {
        let refusal = refused(client.pricing.get_rate_card(request).await);
        assert_eq!(refusal.fields, [(path.to_owned(), reason.to_owned())]);
    }
}
