use super::*;
use std::sync::{Mutex, MutexGuard};

/// What a disk would keep.
#[derive(Default)]
struct Disk(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    stored: Option<(u64, u64)>,
    syncs: u32,
    broken: bool,
}

struct Open<'a>(MutexGuard<'a, Kept>);

impl Disk {
    fn open(&self) -> io::Result<Open<'_>> {
        let kept = self.0.lock().expect("no panic");
        match kept.broken {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(Open(kept)),
        }
    }

    fn stored(&self) -> Option<(u64, u64)> {
        self.0.lock().expect("no panic").stored
    }
}

impl CallStore for Open<'_> {
    fn read(&mut self) -> io::Result<Option<(u64, u64)>> {
        Ok(self.0.stored)
    }

    fn write(&mut self, day: u64, calls: u64, durable: bool) -> io::Result<()> {
        self.0.stored = Some((day, calls));
        self.0.syncs += u32::from(durable);
        Ok(())
    }
}

const TODAY: u64 = 20_786;

/// Spends one call after the other until one is refused.
fn spend_all(count: &CallCount, disk: &Disk, limit: u64, day: u64) -> u64 {
    let mut spent = 0;
    while count.spend(1, Some(limit), false, day, || disk.open()).is_ok() {
        spent += 1;
        assert!(spent <= limit, "no end");
    }
    spent
}

#[test]
fn no_more_than_the_limit_and_what_is_exempt_counts() {
    let (count, disk) = (CallCount::default(), Disk::default());
    let spend = |calls, exempt| count.spend(calls, Some(10), exempt, TODAY, || disk.open());
    spend(7, false).expect("within");
    let Err(Refused::Spent { day, used }) = spend(4, false) else {
        panic!("four more are too many")
    };
    assert_eq!((day, used), (TODAY, 7));
    spend(3, false).expect("the last ones");
    assert!(spend(1, false).is_err());
    spend(5, true).expect("exempt");
    assert_eq!(count.used(TODAY, || disk.open()), 15);
    assert!(spend(1, false).is_err());
}

#[test]
fn threads_together_keep_to_the_limit() {
    for limit in [1, 99, 1_000, 12_345] {
        let (count, disk) = (CallCount::default(), Disk::default());
        let spent: u64 = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| spend_all(&count, &disk, limit, TODAY)));
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum()
        });
        assert_eq!(spent, limit);
        let (day, stored) = disk.stored().expect("stored");
        assert_eq!(day, TODAY);
        assert!((limit..=limit + BLOCK).contains(&stored), "{stored} of {limit}");
        // One write of the store for a block of calls.
        let block = (limit / PARTS).clamp(1, BLOCK);
        let syncs = u64::from(disk.0.lock().expect("no panic").syncs);
        assert!(syncs <= limit / block + 1, "{syncs} for {limit}");
    }
}

#[test]
fn a_crash_forgets_no_call_and_costs_less_than_a_block() {
    for limit in [5, 250, 10_000] {
        let disk = Disk::default();
        let block = (limit / PARTS).clamp(1, BLOCK);
        let (mut sent, mut crashes) = (0, 0);
        loop {
            // Memory is zeroed by a crash.
            let count = CallCount::default();
            let mut since = 0;
            while since < 1 + crashes % 7 && count.spend(1, Some(limit), false, TODAY, || disk.open()).is_ok()
            {
                since += 1;
            }
            sent += since;
            if since == 0 {
                break;
            }
            crashes += 1;
        }
        assert!(sent <= limit, "{sent} of {limit}");
        assert!(
            sent + crashes * (block - 1) >= limit,
            "{sent} of {limit}, {crashes}"
        );
    }
}

#[test]
fn an_end_in_order_costs_nothing() {
    let disk = Disk::default();
    for part in 1..=10 {
        let count = CallCount::default();
        for _ in 0..33 {
            count
                .spend(1, Some(100_000), false, TODAY, || disk.open())
                .expect("within");
        }
        count.give_back(|| disk.open()).expect("stored");
        assert_eq!(disk.stored(), Some((TODAY, 33 * part)));
    }
}

#[test]
fn a_new_day_begins_at_nothing() {
    let (count, disk) = (CallCount::default(), Disk::default());
    assert_eq!(spend_all(&count, &disk, 300, TODAY), 300);
    // By the day before, which another process still sees for a moment, the new day's calls count.
    assert_eq!(spend_all(&count, &disk, 300, TODAY + 1), 300);
    assert_eq!(spend_all(&count, &disk, 300, TODAY), 0);
    assert_eq!(count.used(TODAY + 1, || disk.open()), 300);
    // After a restart on another day nothing is used.
    assert_eq!(CallCount::default().used(TODAY + 2, || disk.open()), 0);
    assert_eq!(spend_all(&CallCount::default(), &disk, 7, TODAY + 9), 7);
}

#[test]
fn a_clock_that_is_set_back_does_not_begin_anew() {
    let (count, disk) = (CallCount::default(), Disk::default());
    assert_eq!(spend_all(&count, &disk, 20, TODAY), 20);
    for back in [1, 2, 400] {
        assert_eq!(spend_all(&count, &disk, 20, TODAY - back), 0, "{back}");
        assert_eq!(spend_all(&CallCount::default(), &disk, 20, TODAY - back), 0);
    }
    // And does not close it for ever.
    assert_eq!(spend_all(&count, &disk, 20, TODAY - 398), 20);
}

#[test]
fn without_a_limit_nothing_is_stored_and_all_is_counted() {
    let (count, disk) = (CallCount::default(), Disk::default());
    for _ in 0..100 {
        count
            .spend(2, None, false, TODAY, || disk.open())
            .expect("no limit");
    }
    assert_eq!(disk.stored(), None);
    // A limit that is set now knows of them.
    assert!(matches!(
        count.spend(1, Some(200), false, TODAY, || disk.open()),
        Err(Refused::Spent { used: 200, .. })
    ));
    count
        .spend(1, Some(201), false, TODAY, || disk.open())
        .expect("the last one");
    assert_eq!(disk.stored(), Some((TODAY, 202)));
}

#[test]
fn what_cannot_be_stored_is_not_sent() {
    let (count, disk) = (CallCount::default(), Disk::default());
    disk.0.lock().expect("no panic").broken = true;
    for exempt in [false, true] {
        let refused = count.spend(1, Some(5), exempt, TODAY, || disk.open());
        assert!(matches!(refused, Err(Refused::Store(_))));
    }
    count
        .spend(1, None, false, TODAY, || disk.open())
        .expect("without a limit");
    disk.0.lock().expect("no panic").broken = false;
    assert_eq!(spend_all(&count, &disk, 5, TODAY), 4);
}
