use super::*;
use crate::kernel::BoxId;

#[test]
fn a_round_over_everything_leaves_the_cache_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { block_cache_mib: 8, write_buffer_mib: 4, ..Options::default() };
    let db = Db::open(folder.path(), options, true).unwrap();
    let org = OrgId(7);
    for number in 0..3_000 {
        let key = keys::row(0, RowSpace::Boxes, org, &BoxId(number).to_bytes());
        db.raw_put(&key, &[number as u8; 400]);
    }
    assert!(db.memory().unwrap().memtables > 1_000_000);
    db.compact(&keys::row_space(0, RowSpace::Boxes));
    let cached = || db.memory().unwrap().block_cache;
    let before = cached();
    assert_eq!(db.rows_of_all(RowSpace::Boxes, None, 3_000).unwrap().len(), 3_000);
    assert!(cached() < before + 100_000, "{before} became {}", cached());
    assert_eq!(db.rows(RowSpace::Boxes, org, &[], None, 3_000).unwrap().len(), 3_000);
    assert!(cached() > before + 1_000_000, "a list is read again soon: {before} became {}", cached());
}
