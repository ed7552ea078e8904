"""Communication: what a method speaks into, what arrives, and how bits are accounted.

A method hands tensors to a channel and never sees bytes. The channel compresses them, counts their
bits and delivers them as the runtime wants. In one round of the uplink:

1.  The runtime opens the channel. `Method.work` calls its verbs, with a row of `x` `[n, d]` for
    each of n senders: send (a call), `dense`, `error_feedback`, `append_part`, `cascade`.
2.  The channel compresses the rows (`wiregrad.compressors`), each with its sender's generator.
3.  It counts every message twice: its bits on the wire, headers included, and what the convention
    of the paper charges (`accounting`). An empty payload, of a sender that skips, is counted too.
4.  It delivers the messages. `SimulatedChannel` (runtimes) passes them on as they are encoded,
    `WireChannel` turns them into bytes; both decode to the same vectors, bit for bit.
5.  The server gets them as `Received`: rows `[n, d]`, their mean or sum, who has sent, the tags.

The downlink is the same with a single sender. A message, from its sender to its receiver:

EncodedBlock  rows of one block, encoded by a compressor, on the device;
Encoded       rows of all blocks: what a channel delivers;
Payload       the self-describing bytes of one vector (`wiregrad.wire`);
Message       one sender's message of a round, decoded, with its tag, its bits and its error: its
              parts are payloads, one or more, whose vectors are added;
Received      the messages of all senders of a round, as the server gets them.

What a message holds, for a convention to price, is its content (`wiregrad.compressors.content`).
This room imports `compressors`, `wire`, `kernels` and `core`, and knows no method and no runtime.
"""
