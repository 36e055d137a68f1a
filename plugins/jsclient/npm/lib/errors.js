// Errors, in the server's words.

/**
 * A problem that the server reported (RFC 9457), or one of the client itself. `status`
 * is the HTTP status, 0 for none.
 */
export class BinderyError extends Error {
  constructor(problem, options) {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title, options);
    this.name = "BinderyError";
    this.type = problem.type ?? "about:blank";
    this.title = problem.title ?? "";
    this.status = problem.status ?? 0;
    this.detail = problem.detail ?? "";
    this.problem = problem;
  }
}

/** Reads the problem of an answer without success. */
export async function problemOf(answer, status = answer.status) {
  try {
    const problem = await answer.json();
    if (problem && typeof problem.title === "string") return { ...problem, status: problem.status ?? status };
  } catch {
    // A proxy answered, in its own format.
  }
  return { type: "about:blank", title: answer.statusText || "Refused", status };
}

/** Whether the same request may succeed later. */
export const mayPass = (status) => status >= 500 || status === 429;

/** Whether other credentials may change the answer. */
export const isDenial = (status) => status === 401 || status === 403;
