// Package notifier takes deliveries out of the durable outbox and sends them
// through their channels, each with a worker of its own: one slow or dead
// channel never delays another.
//
// Delivery is at-least-once. A delivery is leased, sent and settled; when the
// process dies in between, it is sent again with the same id, by which
// receivers tell the second from the first. An attempt that failed is settled
// by what its error asks for: [Permanent] errors end the delivery,
// [ChannelFailing] ones let all deliveries of the channel wait until it is
// mended, [RetryAfter] postpones, and everything else is tried again on a
// schedule of ten attempts over about 75 hours. A delivery that died and a
// channel that fails are announced once on the rule's other channels, or on
// the fallback.
package notifier
