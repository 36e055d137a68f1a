// Bindery's client: live collections that never lose their place.
//
// The promise: a version is shown whole or not at all. The messages of a batch
// are held until its last, applied at once, and only then is the version
// remembered; a connection lost in the middle leaves nothing half done, and the
// next one resumes from the version that is shown.
//
//   client.js       what is followed over one connection
//   connection.js   which transport, when to try again; socketlink.js and streamlink.js
//   join.js         the batches of one binding
//   store.js        its rows, by key (key.js) and in order (order.js, compare.js)
//   collection.js   the same as users hold them

export { Client, connect } from "./lib/client.js";
export { Collection } from "./lib/collection.js";
export { BinderyError } from "./lib/errors.js";
export { ChangeEvent, ProblemEvent } from "./lib/events.js";
