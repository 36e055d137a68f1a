// Credentials: a token, or headers, from functions of the application.

/** The subprotocol, and the prefix of the one that carries a token beside it. */
const subprotocol = "bindery";
const bearerPrefix = `${subprotocol}.bearer.`;

export class Credentials {
  #token;
  #headers;

  constructor({ token, headers }) {
    this.#token = token;
    this.#headers = headers;
  }

  /** Whether the application gave any credentials. */
  get any() {
    return this.#token !== undefined || this.#headers !== undefined;
  }

  /**
   * Asks the functions for credentials. status is that of the refusal of the previous
   * ones, 0 for none. The answer is {headers, protocols, text}; answers with the same
   * text are the same.
   */
  async ask(status = 0) {
    const [token, more] = await Promise.all([valueOf(this.#token, status), valueOf(this.#headers, status)]);
    const headers = {};
    const protocols = [];
    for (const [name, value] of more ? new Headers(more) : []) headers[name] = value;
    if (token) {
      headers.authorization = `Bearer ${token}`;
      protocols.push(subprotocol, bearerPrefix + base64url(String(token)));
    }
    return { headers, protocols, text: JSON.stringify([headers, protocols]) };
  }
}

/** The credentials of a client without any. */
export const anonymous = Object.freeze({ headers: Object.freeze({}), protocols: Object.freeze([]), text: "" });

const valueOf = (given, status) => (typeof given === "function" ? given({ status }) : given);

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
