//! JetStream: the topology, requests in, events out, run states, cancel marks, dead letters.
