//! What a link does to frames.

use std::time::{Duration, Instant};

/// Bytes that wait for a slow link, in milliseconds of its rate. A longer queue drops frames, as the buffer
/// of a router does.
const QUEUE: Duration = Duration::from_millis(200);

/// The impairment of a link, in both directions. The default changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Delay of each frame in each direction.
    pub delay: Duration,
    /// Percentage of frames that are lost.
    pub loss: u8,
    /// Percentage of frames that arrive twice.
    pub duplicate: u8,
    /// Maximum rate in bits per second.
    pub rate: Option<u64>,
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(crate) struct Direction {
    /// When the link has sent all frames that it took.
    free: Option<Instant>,
}

impl Direction {
    /// When a frame that enters the link at `now` leaves it: never, once or twice.
    pub(crate) fn pass(
        &mut self,
        how: &Impairment,
        bytes: usize,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Vec<Instant> {
        if random.u8(0..100) < how.loss {
            return Vec::new();
        }
        let Some(sent) = self.send(how.rate, bytes, now) else {
            return Vec::new();
        };
        let due = sent + how.delay;
        let copies = 1 + usize::from(random.u8(0..100) < how.duplicate);
        vec![due; copies]
    }

    /// When a frame is sent completely; `None` if the queue is full.
    fn send(&mut self, rate: Option<u64>, bytes: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = rate else {
            return Some(now);
        };
        let begin = self.free.map_or(now, |free| free.max(now));
        if begin - now > QUEUE {
            return None;
        }
        let seconds = bytes as f64 * 8.0 / rate.max(1) as f64;
        let sent = begin + Duration::from_secs_f64(seconds.min(3600.0));
        self.free = Some(sent);
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(how: &Impairment, frames: usize) -> Vec<Duration> {
        let (mut direction, now) = (Direction::default(), Instant::now());
        let mut random = fastrand::Rng::with_seed(1);
        (0..frames)
            .flat_map(|_| direction.pass(how, 1000, now, &mut random))
            .map(|due| due - now)
            .collect()
    }

    #[test]
    fn an_unimpaired_link_passes_each_frame_at_once() {
        assert_eq!(passed(&Impairment::default(), 3), [Duration::ZERO; 3]);
    }

    #[test]
    fn a_delay_holds_for_each_frame() {
        let delay = Duration::from_millis(100);
        let how = Impairment {
            delay,
            ..Default::default()
        };
        assert_eq!(passed(&how, 2), [delay; 2]);
    }

    #[test]
    fn loss_and_duplicates_are_percentages() {
        let how = |loss, duplicate| Impairment {
            loss,
            duplicate,
            ..Default::default()
        };
        let lost = passed(&how(20, 0), 1000).len();
        assert!((750..850).contains(&lost), "{lost}");
        let doubled = passed(&how(0, 20), 1000).len();
        assert!((1150..1250).contains(&doubled), "{doubled}");
        assert_eq!(passed(&how(100, 0), 1000).len(), 0);
        assert_eq!(passed(&how(0, 100), 10).len(), 20);
    }

    #[test]
    fn a_slow_link_sends_one_frame_after_the_other_and_drops_when_its_queue_is_full() {
        // 1000 bytes take 10 ms.
        let how = Impairment {
            rate: Some(800_000),
            ..Default::default()
        };
        let due = passed(&how, 100);
        assert_eq!(due[..3], [10, 20, 30].map(Duration::from_millis));
        assert_eq!(due.len(), 21);
    }
}
