use super::*;
use taosync_model::OrgId;
use taosync_model::item::{ItemKind, ReceiptStatus};
use uuid::Uuid;

const HEAD: AuditHead = AuditHead { no: 9, digest: Digest([7; 32]) };

fn receipt(no: i64) -> Receipt {
    Receipt {
        v: 1,
        central: Uuid::from_u128(1),
        epoch: Uuid::from_u128(2),
        receipt_no: no,
        org: OrgId::new("org").unwrap(),
        kind: ItemKind::Attempt,
        item: Uuid::from_u128(4),
        version: 5,
        digest: Digest::of(b"payload"),
        received_at: "2026-05-12T08:00:00Z".parse().unwrap(),
        status: ReceiptStatus::Stored,
        out_of_scope: false,
        proof: None,
    }
}

fn batch(size: i64) -> Vec<Receipt> {
    (0..size).map(receipt).collect()
}

#[test]
fn each_receipt_of_a_batch_verifies_alone_after_json() {
    let key = NodeKey::generate();
    for size in 1..=BATCH as i64 + 3 {
        let mut receipts = batch(size);
        sign_batch(&key, HEAD, &mut receipts);
        for receipt in &receipts {
            let alone: Receipt = serde_json::from_str(&serde_json::to_string(receipt).unwrap()).unwrap();
            verify_receipt(&key.public(), &alone).unwrap();
            assert!(verify_receipt(&NodeKey::generate().public(), &alone).is_err());
        }
        assert!(verify_receipts(&key.public(), &receipts).iter().all(|genuine| *genuine));
    }
}

#[test]
fn the_other_side_finds_the_same_proofs() {
    let key = NodeKey::generate();
    let mut signed = batch(7);
    let signature = sign_batch(&key, HEAD, &mut signed);
    let mut travelled = batch(7);
    prove_batch(&key.public(), &signature, HEAD, &mut travelled).unwrap();
    assert_eq!(travelled, signed);
}

#[test]
fn a_batch_with_one_more_one_less_or_in_another_order_is_not_proved() {
    let key = NodeKey::generate();
    let signature = sign_batch(&key, HEAD, &mut batch(5));
    for wrong in [batch(4), batch(6), batch(5).into_iter().rev().collect(), Vec::new()] {
        let mut wrong: Vec<Receipt> = wrong;
        assert!(prove_batch(&key.public(), &signature, HEAD, &mut wrong).is_err());
        assert!(wrong.iter().all(|receipt| receipt.proof.is_none()));
    }
    assert!(prove_batch(&key.public(), "", HEAD, &mut batch(5)).is_err());
    assert!(prove_batch(&NodeKey::generate().public(), &signature, HEAD, &mut batch(5)).is_err());
    assert_eq!(sign_batch(&key, HEAD, &mut []), "");
}

#[test]
fn every_field_and_every_part_of_the_proof_counts() {
    let key = NodeKey::generate();
    let mut signed = batch(5);
    sign_batch(&key, HEAD, &mut signed);
    let changes: [fn(&mut Receipt); 22] = [
        |r| r.v = 2,
        |r| r.central = Uuid::nil(),
        |r| r.epoch = Uuid::nil(),
        |r| r.receipt_no = 40,
        |r| r.org = OrgId::everything(),
        |r| r.kind = ItemKind::Log,
        |r| r.item = Uuid::nil(),
        |r| r.version = 6,
        |r| r.digest = Digest::of(b"other"),
        |r| r.received_at = "2026-05-12T08:00:00.000000001Z".parse().unwrap(),
        |r| r.status = ReceiptStatus::Duplicate,
        |r| r.out_of_scope = true,
        |r| r.proof = None,
        |r| proof(r).signature.truncate(126),
        |r| proof(r).leaf += 1,
        |r| proof(r).leaf = u32::MAX,
        |r| proof(r).of += 1,
        |r| proof(r).of = 0,
        |r| proof(r).audit.no += 1,
        |r| proof(r).audit.digest = Digest::of(b"other"),
        |r| proof(r).path.clear(),
        |r| proof(r).path.push(Digest::of(b"more")),
    ];
    for place in 0..signed.len() {
        for (number, change) in changes.into_iter().enumerate() {
            let mut receipts = signed.clone();
            change(&mut receipts[place]);
            assert!(verify_receipt(&key.public(), &receipts[place]).is_err(), "change {number} at {place}");
            let genuine = verify_receipts(&key.public(), &receipts);
            assert!(genuine.iter().enumerate().all(|(at, genuine)| *genuine == (at != place)), "change {number}");
        }
    }
}

fn proof(receipt: &mut Receipt) -> &mut ReceiptProof {
    receipt.proof.as_mut().unwrap()
}
