//! Takes messages from Kafka's library many at a time. To be asked for a single one costs it an event, several
//! looks at the clock and a handful of locks, which is more than everything else that a consumer does.
//!
//! The library has that only for queues of partitions: they are led to one queue here, past that of the consumer, where
//! rebalances, answers to commits and errors still come.

use std::ffi::CString;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{IsError as _, KafkaError};

/// Messages that are taken at a time: few enough that one stamp holds for all of them.
const BATCH: usize = 64;

/// A queue to which partitions of a consumer are led.
pub struct Batches<'a, C: ConsumerContext> {
    consumer: &'a BaseConsumer<C>,
    queue: NonNull<native::rd_kafka_queue_t>,
    taken: [*mut native::rd_kafka_message_t; BATCH],
}

impl<'a, C: ConsumerContext> Batches<'a, C> {
    /// Of this consumer; nothing is led to it yet.
    pub fn of(consumer: &'a BaseConsumer<C>) -> Batches<'a, C> {
        // SAFETY: the client lives as long as the consumer, which is borrowed for longer than the queue lives.
        let queue = unsafe { native::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Batches {
            consumer,
            queue: NonNull::new(queue).expect("the library allocates or aborts"),
            taken: [null_mut(); BATCH],
        }
    }

    /// Leads partitions here; to be done before they are read from. One that is given up forgets where it leads,
    /// and when it is read from again it would hold what it has for itself.
    pub fn lead(&self, partitions: &TopicPartitionList) {
        for partition in partitions.elements() {
            let Ok(topic) = CString::new(partition.topic()) else {
                continue;
            };
            // SAFETY: client and name outlive the call, which copies the name; the queue that it returns is given
            // back, and the one that partitions are led to is counted by the library.
            unsafe {
                let client = self.consumer.client().native_ptr();
                let number = partition.partition();
                let queue = native::rd_kafka_queue_get_partition(client, topic.as_ptr(), number);
                if !queue.is_null() {
                    native::rd_kafka_queue_forward(queue, self.queue.as_ptr());
                    native::rd_kafka_queue_destroy(queue);
                }
            }
        }
    }

    /// Waits for one message, or takes those that are there where there is no `patience`. The stamp of the
    /// moment is for whoever asks to take, between this and [`Batches::hand_out`].
    pub fn take(&mut self, patience: Duration) -> usize {
        // The library waits until it has all that it was asked for.
        let most = if patience.is_zero() { BATCH } else { 1 };
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is there until this is dropped, and there is room for as many as are asked for.
        let count = unsafe {
            let room = self.taken.as_mut_ptr();
            native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), patience, room, most)
        };
        // Below zero is no message.
        usize::try_from(count).unwrap_or(0)
    }

    /// Hands out the first `count` messages that were taken, or what came in place of one.
    pub fn hand_out(&mut self, count: usize, mut each: impl FnMut(Result<&[u8], KafkaError>)) {
        for place in &mut self.taken[..count] {
            let taken = std::mem::replace(place, null_mut());
            // SAFETY: the library gave it to us, and it stays until it is given back below.
            let Some(message) = (unsafe { taken.as_ref() }) else {
                continue;
            };
            if message.err.is_error() {
                each(Err(KafkaError::MessageConsumption(message.err.into())));
            } else if message.payload.is_null() {
                each(Ok(&[]));
            } else {
                // SAFETY: so many bytes are there, which nobody changes.
                each(Ok(unsafe {
                    slice::from_raw_parts(message.payload.cast::<u8>(), message.len)
                }));
            }
            // SAFETY: it is given back once, and not used again.
            unsafe { native::rd_kafka_message_destroy(taken) };
        }
    }
}

impl<C: ConsumerContext> Drop for Batches<'_, C> {
    fn drop(&mut self) {
        // SAFETY: it is ours and given back once. Partitions that are still led here lose what they fetch
        // from now on, with their consumer, which ends too.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}
