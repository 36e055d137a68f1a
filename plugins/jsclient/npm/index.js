// Bindery's client: live collections that never lose their place.
//
// The promise: a version is shown whole or not at all. The client holds the messages of
// a batch until the last one, applies them together, and only then remembers the
// version. A connection lost in the middle leaves nothing half done: the next one
// resumes from the version that is shown.
//
//   client.js       what is followed over one connection; joins.js, join.js: batches
//   store.js        rows as they show: replica.js (the server's, by key.js, in order.js
//                   and compare.js), and over them writes.js, write.js, confirmation.js
//   collection.js   the same as users hold them; diff.js, events.js
//   connection.js   which transport, when to try again; backoff.js, pagelife.js
//   socketlink.js, httplink.js: streamlink.js (eventstream.js), polllink.js; rest.js
//   credentials.js  who asks; renewal.js
//
// Every module is imported here, so that a browser requests all of them at once and not
// one level after the other.

import "./lib/backoff.js";
import "./lib/compare.js";
import "./lib/confirmation.js";
import "./lib/connection.js";
import "./lib/credentials.js";
import "./lib/diff.js";
import "./lib/environment.js";
import "./lib/eventstream.js";
import "./lib/httplink.js";
import "./lib/join.js";
import "./lib/joins.js";
import "./lib/key.js";
import "./lib/names.js";
import "./lib/order.js";
import "./lib/pagelife.js";
import "./lib/polllink.js";
import "./lib/renewal.js";
import "./lib/replica.js";
import "./lib/rest.js";
import "./lib/socketlink.js";
import "./lib/store.js";
import "./lib/streamlink.js";
import "./lib/write.js";
import "./lib/writes.js";

export { Client, connect } from "./lib/client.js";
export { Collection } from "./lib/collection.js";
export { BinderyError } from "./lib/errors.js";
export { ChangeEvent, ProblemEvent } from "./lib/events.js";
