// The events of clients and collections.

/** The "change" event of a collection: how one version became the next. */
export class ChangeEvent extends Event {
  constructor(change) {
    super("change");
    this.created = change.created;
    this.updated = change.updated;
    this.previous = change.previous;
    this.deleted = change.deleted;
    this.version = change.version;
  }
}

/** The "error" event of clients and collections. */
export class ProblemEvent extends Event {
  constructor(error) {
    super("error");
    this.error = error;
  }
}

/** Calls a listener. An exception is reported and does not reach other listeners. */
export function call(fn, argument) {
  try {
    fn(argument);
  } catch (err) {
    if (globalThis.reportError) globalThis.reportError(err);
    else queueMicrotask(() => { throw err; });
  }
}
