// Reads and writes single rows over REST, so that a write never overwrites what
// its author has not seen: each carries the ETag of the row it was made for.

const collection = "/api/products";

// Problem is an answer that is not the one hoped for, as problem+json tells it.
export class Problem extends Error {
  // status is 0 when there was no answer at all; fields has one message for
  // each field that is wrong.
  constructor(status, title, detail, fields = {}) {
    super(detail ? `${title}: ${detail}` : title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.fields = fields;
  }
}

// read returns {row, etag}.
export async function read(id) {
  const response = await request(`${collection}/${id}`, { cache: "no-store" });
  return { row: await response.json(), etag: response.headers.get("ETag") };
}

// patch changes the fields given and returns the row as the database has it.
export async function patch(id, fields, etag) {
  const response = await request(`${collection}/${id}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/merge-patch+json", ...condition(etag) },
    body: JSON.stringify(fields),
  });
  return response.json();
}

export async function remove(id, etag) {
  await request(`${collection}/${id}`, { method: "DELETE", headers: condition(etag) });
}

// create returns the row as the database has it.
export async function create(fields) {
  const response = await request(collection, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  });
  return response.json();
}

const condition = (etag) => (etag ? { "If-Match": etag } : {});

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(15_000), ...options });
  } catch (err) {
    throw err.name === "TimeoutError"
      ? new Problem(0, "No answer", "The server did not answer within 15 seconds. Whether it saved the change shows in the table.")
      : new Problem(0, "The server cannot be reached", "Nothing was saved. Try again when the connection is back.");
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

async function problemOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (/^application\/(problem\+)?json/.test(type)) {
    try {
      const body = await response.json();
      const fields = {};
      for (const e of body.errors ?? []) fields[e.field] = e.detail;
      const title = body.title ?? body.message ?? `The server answered ${response.status}`;
      return new Problem(response.status, title, body.detail, fields);
    } catch {
      // Not what it said it was; the status is all there is to tell.
    }
  }
  return new Problem(response.status, `The server answered ${response.status} ${response.statusText}`.trim());
}
