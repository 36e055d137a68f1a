// What clients and collections dispatch.

/** What a collection dispatches as "change": how one version became the next. */
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

/** What clients and collections dispatch as "error". */
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
